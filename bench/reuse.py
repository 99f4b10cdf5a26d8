"""Denoising reuse against frame-wise denoising in one run: speed-up and memory.

    python bench/reuse.py               # tiny, and Stable Diffusion 1.5's size; 64 x 64 positions
    python bench/reuse.py --quick       # tiny alone, few steps, 16 x 16 positions; writes nothing

Without --quick the results go to results/bench/reuse.json. At Stable Diffusion 1.5's size the weights are
random and the latents small.

The measured speed-up stands beside the ideal one. Frame-wise denoising takes its frames in the same two
batches as reuse does, so that steps are compared and not batch sizes. All frames in one batch are timed too.

The ideal formula counts frames, as if a UNet's call cost nothing of its own. Where batches are small, a call
costs a lot: the weights are read for a few frames only. One clip at a time misses the target for that reason
and is measured still; beside it several clips are made at a time, as for the tables. The UNet's calls of
both methods are also timed alone, without a pipeline around them.

Memory is that of the motion matrices. Peaks count every allocation that torch makes on the way, the features
not included.
"""

import argparse
import statistics
import time
from pathlib import Path

import diffusers
import torch
from measuring import in_turns, peak
from models import random_base

from motionrepro.backbones import load_backbone, sd_unet
from motionrepro.core import generator
from motionrepro.provenance import save_result
from motionrepro.reuse.mtn import MotionTransformationNetwork
from motionrepro.reuse.handover import RawMotion, ReuseState, start_latents
from motionrepro.reuse.pipeline import DenoisingReuseConfig, DenoisingReusePipeline, nearest_timestep

TARGET_SHARE = 0.95
TARGET_BYTES = 2 * 2**30
TARGET_SMALLER = 10


def ways(backbone, latent, clips, frames, references, steps, guidance):
    """Return what is timed, `name -> function`.

    That is reuse, frame-wise denoising in the same batches, all frames in one batch, and the UNet's calls of
    the first two alone.
    """
    pipe = DenoisingReusePipeline.from_pretrained(backbone, adapter=None, mtn=None, dss=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    prompts = ["a star"] * clips
    noise = torch.randn(clips, frames, 4, latent, latent, generator=generator("bench reuse"))
    schedule = pipe.timesteps(steps)
    switch = nearest_timestep(schedule, 200)
    parts = (slice(0, references), slice(references, None))
    more = dict(num_inference_steps=steps, guidance_scale=guidance, output_type="latent")

    def reuse():
        pipe.enable(DenoisingReuseConfig(references=references, switch_step=switch))
        return pipe(prompts, latents=noise, num_frames=frames, **more)

    def full(*parts):
        pipe.disable()
        for part in parts:
            pipe(prompts, latents=noise[:, part], num_frames=noise[:, part].shape[1], **more)

    @torch.no_grad()
    def calls(first):
        seen = noise.to(pipe.unet.device)
        text = backbone.encode_text(["a star"]).to(pipe.unet.device)
        for part, begin in zip(parts, (0, first)):
            batch = (
                seen[:, part].flatten(0, 1).repeat(1 + (guidance != 1), 1, 1, 1)
            )  # guidance sees each frame twice
            for t in schedule[begin:]:
                pipe.unet(batch, t, text.expand(len(batch), -1, -1))

    return dict(
        reuse=reuse,
        framewise=lambda: full(*parts),
        one_batch=lambda: full(slice(0, None)),
        calls_reuse=lambda: calls(schedule.index(switch)),
        calls_framewise=lambda: calls(0),
    )


def speed(cases, repeats, device):
    """Measure the speed-ups of each case; all cases and all their ways take turns.

    A case is `dict(backbone, latent, clips, frames, references, steps, guidance)`.
    """
    tasks = [ways(**case) for case in cases]
    made = [task["reuse"]() for task in tasks]
    times = in_turns(
        {(i, name): run for i, task in enumerate(tasks) for name, run in task.items()}, repeats, device
    )
    return [
        summary(case, output, {name: t for (j, name), t in times.items() if j == i})
        for i, (case, output) in enumerate(zip(cases, made))
    ]


def summary(case, made, times):
    """One case's numbers; medians of ratios within a turn."""

    def ratios(over, under):
        return [a / b for a, b in zip(times[over], times[under])]

    found = ratios("framewise", "reuse")
    ideal = made.ideal_speedup
    measured, reachable, whole = (
        statistics.median(r)
        for r in (found, ratios("calls_framewise", "calls_reuse"), ratios("one_batch", "reuse"))
    )
    result = case | dict(
        backbone=case["backbone"].name,
        switch_step=made.switch_step[0].item(),
        unet_calls=made.unet_calls,
        ideal=ideal,
        measured=measured,
        lowest=min(found),
        highest=max(found),
        share=measured / ideal,
        reachable=reachable,
        share_of_reachable=measured / reachable,
        against_one_batch=whole,
        seconds={name: statistics.median(t) for name, t in times.items()},
    )
    print(
        "{backbone}, {latent} x {latent} latents, {clips} clips of {frames} frames, {references} references, "
        "{steps} steps: ideal {ideal:.2f}, measured {measured:.2f} ({lowest:.2f} to {highest:.2f}), "
        "{share:.3f} of it; the UNet's calls alone {reachable:.2f}, "
        "measured {share_of_reachable:.3f} of that; "
        "{against_one_batch:.2f} against all frames in one batch".format(**result),
        flush=True,
    )
    return result


@torch.no_grad()
def matrices(network, side, frames, references, steps, device, auto=False):
    """Run the matrices' part at Stable Diffusion 1.5's size and return its peak in bytes.

    All steps of the references come first, then the start of the later frames. One reference stands for an
    edit of a given clip, at a step that is given or chosen.
    """
    given = references == 1
    seen = frames if given else references

    def draw(k, c, n):
        return torch.randn(seen, c, n, n, generator=generator("bench reuse", k)).to(device)

    features = {6: draw(6, 640, side // 2), 8: draw(8, 640, side)}
    latents = torch.randn(3, 1, frames, 4, side, side, generator=generator("latents")).to(device)
    pairs = (
        [(0, j) for j in range(1, frames)]
        if given
        else [(i, i + 1) for i in range(references - 1)][-1 if isinstance(network, RawMotion) else 0 :]
    )

    def run():
        state = ReuseState()
        for k in range(steps):
            state.observe(network, features, 999 - k, seen, pairs)
        if auto:  # the step is chosen by what another state sees, with errors
            chooser = ReuseState()
            for k in range(steps):
                chooser.observe(network, features, 999 - k, seen, pairs, (latents[0], latents[1]))
        matrices = state.motion_matrices(network)
        if not given:
            matrices = network.predict([*matrices], frames - references)
        return start_latents(matrices, latents[0, :, references:], latents[1, :, 0], latents[2, :, 0])

    return peak(run, device)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny alone with few steps, 16 x 16 positions; nothing is written",
    )
    parser.add_argument("--steps", type=int, default=50, help="of the schedule")
    parser.add_argument("--side", type=int, default=64, help="height and width in positions, for the memory")
    parser.add_argument(
        "--sd-latent",
        type=int,
        default=16,
        help="height and width of the latents at SD 1.5's size; 64 on a GPU",
    )
    parser.add_argument("--repeats", type=int, default=5, help="all take turns that often; medians count")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--output", default=Path(__file__).parents[1] / "results" / "bench" / "reuse.json")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.side, args.repeats = 5, 16, 1
    begin = time.perf_counter()
    tiny = load_backbone("tiny", device=args.device)

    def case(backbone, *numbers):
        return dict(
            zip(
                ("backbone", "latent", "clips", "frames", "references", "steps", "guidance"),
                (backbone, *numbers),
            )
        )

    if args.quick:
        speeds = speed([case(tiny, 8, 2, 4, 2, args.steps, 1.0)], args.repeats, args.device)
    else:
        speeds = speed(
            [
                case(tiny, 8, clips, 16, references, args.steps, 3.0)
                for clips, references in ((4, 4), (1, 4), (1, 2))
            ],
            args.repeats,
            args.device,
        )
        steps = args.steps if args.device == "cuda" else min(args.steps, 4)
        base = random_base(sd_unet("sd15").to(args.device).eval(), args.device)
        speeds += speed(
            [case(base, args.sd_latent, clips, 8, 2, steps, 1.0) for clips in (3, 1)],
            min(args.repeats, 2),
            args.device,
        )
    memory = {}
    for window in (None, 8):
        kind = "dense" if window is None else f"window {window}"
        learned = MotionTransformationNetwork((6, 8), (640, 640), window=window).to(args.device).eval()
        raw = RawMotion(window=window)
        for name, network, references, auto in (
            ("raw features", raw, 4, False),
            ("MTN", learned, 4, False),
            ("edit, raw features", raw, 1, False),
            ("edit, raw features, step chosen", raw, 1, True),
        ):
            # the peak does not grow with the steps: at most one surrogate and one matrix of a pair are alive
            steps = min(args.steps, 5 if references > 1 else 2)
            memory[f"{name}, {kind}"] = found = matrices(
                network, args.side, 16, references, steps, args.device, auto
            )
            print(
                f"{name}, {kind}, {args.side} x {args.side} positions, 16 frames, blocks 6 and 8, "
                f"{steps} steps: peak {found / 2**20:.0f} MB",
                flush=True,
            )
    smaller = {
        name: memory[f"{name}, dense"] / memory[f"{name}, window 8"]
        for name in (k.removesuffix(", dense") for k in memory if k.endswith(", dense"))
    }
    met = dict(
        speed=[s["share"] >= TARGET_SHARE for s in speeds],
        memory=[m < TARGET_BYTES for m in memory.values()],
        windowed=[x >= TARGET_SMALLER for x in smaller.values()],
    )
    for name, what in dict(
        speed=f"{TARGET_SHARE} of the ideal speed-up",
        memory=f"under {TARGET_BYTES // 2**30} GB at 64 x 64 positions",
        windowed=f"windowed {TARGET_SMALLER} times smaller there",
    ).items():
        decided = not args.quick and (name == "speed" or args.side == 64)
        print(
            f"target, {what}: "
            + (
                f"met in {sum(met[name])} of {len(met[name])} cases"
                if decided
                else "not measured at this size"
            )
        )
    if args.quick:
        return
    config = dict(
        steps=args.steps,
        side=args.side,
        sd_latent=args.sd_latent,
        repeats=args.repeats,
        device=args.device,
        threads=torch.get_num_threads(),
    )
    values = dict(
        speed=speeds,
        peak_bytes=memory,
        smaller=smaller,
        target=dict(share=TARGET_SHARE, bytes=TARGET_BYTES, smaller=TARGET_SMALLER),
        met=met,
    )
    save_result(args.output, values, config, seed="bench reuse", seconds=time.perf_counter() - begin)
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
