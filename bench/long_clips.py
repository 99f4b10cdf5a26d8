"""Memory and seams of clips that are longer than the temporal encoding, at the shipped weights of `tiny`.

    python bench/long_clips.py                     # 16, 64 and 128 frames; seams of 8 clips
    python bench/long_clips.py --smoke             # a few frames, two clips; writes nothing
    python bench/long_clips.py --clips 16 --output /tmp/long_clips.json

Without --output the results go to results/bench/long_clips.json.

Memory is the most that a process of its own holds (`ru_maxrss`), beyond what it holds once the model is
loaded and a clip of one window has been made. Target: with windows averaged at the output, a clip takes no
more than that, apart from four copies of its own latents and pixels and 8 MB for the allocator.

Seams: the mean absolute difference of neighbouring frames at joints between windows, over that inside
windows; 1 is no seam. Student's interval of the mean over clips, each with a caption and noise of its own.
`cuts` are windows without overlap and with noise of their own, so clips one after the other; they show
whether the measure sees a seam where there is one.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from motionrepro.backbones import default_guidance
from motionrepro.core import generator
from motionrepro.data.world import World
from motionrepro.provenance import save_result
from motionrepro.reuse.pipeline import DenoisingReusePipeline
from motionrepro.studies.statistics import interval_text, mean_interval
from motionrepro.temporal.pipeline import MotionAdaptivePipeline
from motionrepro.temporal.windows import context_windows, seam_ratio, window_joints

WINDOW, STRIDE = 16, 12
SEAMS = {
    "output": dict(context_stride=STRIDE),
    "blocks": dict(context_stride=STRIDE, fuse_at="blocks"),
    "fresh noise": dict(context_stride=STRIDE, noise_type="random"),
    "cuts": dict(context_stride=WINDOW, noise_type="random"),
}


def quiet_pipeline(cls):
    """A pipeline of `tiny` without progress bars."""
    pipe = cls.from_pretrained("tiny", device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def peak_resident():
    """Most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_growth(frames, fuse_at):
    """Make a clip of one window, then a long one; print by how much the peak grew."""
    pipe = quiet_pipeline(MotionAdaptivePipeline)
    pipe.enable_free_noise(fuse_at=fuse_at)
    options = dict(num_inference_steps=2, guidance_scale=2.0, generator=generator(0), output_type="pt")
    pipe("a red circle", WINDOW, **options)
    before = peak_resident()
    pipe("a red circle", frames, **options)
    print(json.dumps(dict(before=before, grown=peak_resident() - before)))


def measure_memory(lengths):
    """Growth of the peak for each way of averaging and each length, in bytes."""
    rows = []
    for fuse_at in ("output", "blocks"):
        for frames in lengths:
            command = [sys.executable, __file__, "--hold", str(frames), fuse_at]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            own = frames * 4 * (4 * 8 * 8 + 3 * 64 * 64)  # float32 latents and pixels
            row = dict(fuse_at=fuse_at, frames=frames, own=own, **json.loads(done.stdout.splitlines()[-1]))
            rows.append(row)
            print(
                f"{fuse_at}, {frames} frames: {row['grown'] / 2**20:.1f} MB more, own {own / 2**20:.1f} MB",
                flush=True,
            )
    return rows


def measure_seams(clips, frames, steps):
    """Ratios at joints of each kind of clip, `name -> list`."""
    world = World("test", 64, 4, max(clips, 2), 3, with_flow=False)
    captions = [world[i]["caption"] for i in range(clips)]
    pipe = quiet_pipeline(MotionAdaptivePipeline)
    reuse = quiet_pipeline(DenoisingReusePipeline)
    options = dict(num_inference_steps=steps, guidance_scale=default_guidance("tiny"), output_type="latent")
    ratios = {name: [] for name in (*SEAMS, "reuse")}
    for i, caption in enumerate(captions):
        for name, windows in SEAMS.items():
            pipe.enable_free_noise(context_length=WINDOW, **windows)
            made = pipe(caption, frames, generator=generator("seams", i), **options)
            joints = window_joints(context_windows(frames, WINDOW, windows["context_stride"]))
            ratios[name].append(seam_ratio(pipe.backbone.decode(made.frames), joints).item())
        switch_step = reuse.timesteps(steps)[-max(steps // 4, 1)]
        every = dict(references=4, references_every=WINDOW, switch_step=switch_step)
        made = reuse(caption, frames, generator=generator("seams", i), **every, **options)
        joints = torch.zeros(frames - 1, dtype=torch.bool)
        joints[WINDOW - 1 :: WINDOW] = True
        ratios["reuse"].append(seam_ratio(reuse.backbone.decode(made.frames), joints).item())
        print(
            f"clip {i}: " + ", ".join(f"{name} {found[-1]:.2f}" for name, found in ratios.items()), flush=True
        )
    return ratios


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a few frames and two clips; nothing is written")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 64, 128], help="frames, for memory")
    parser.add_argument("--clips", type=int, default=8, help="for seams")
    parser.add_argument(
        "--frames", type=int, default=48, help="of a clip, for seams; 48 are three windows without overlap"
    )
    parser.add_argument("--steps", type=int, default=10, help="of the schedule, for seams")
    parser.add_argument("--hold", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", default=Path(__file__).parents[1] / "results" / "bench" / "long_clips.json"
    )
    args = parser.parse_args()
    if args.hold:
        print_growth(int(args.hold[0]), args.hold[1])
        return
    if args.smoke:
        args.lengths, args.clips, args.frames, args.steps = [16, 32], 2, 28, 2
    start = time.perf_counter()
    memory = measure_memory(args.lengths)
    constant = all(r["grown"] <= 4 * r["own"] + 8 * 2**20 for r in memory if r["fuse_at"] == "output")
    print(f"target: memory does not grow with the clip: {'met' if constant else 'missed'}")
    ratios = measure_seams(args.clips, args.frames, args.steps)
    seams = {}
    for name, found in ratios.items():
        seams[name] = mean_interval(found)
        print(f"seams, {name}: {interval_text(seams[name])}, n = {len(found)}")
    if args.smoke:
        return
    save_result(
        args.output,
        dict(memory=memory, constant=constant, ratios=ratios, seams=seams),
        dict(clips=args.clips, frames=args.frames, steps=args.steps, window=WINDOW, stride=STRIDE),
        seed="seams",
        seconds=time.perf_counter() - start,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
