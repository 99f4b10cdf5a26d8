"""How fast videos become shards, and shards batches: python bench/shards.py

Preparing is compared with decoding and encoding alone, of the same clips on the same cores; the reader of a
training with a bare loop over the tars. Both take turns, so that a busy machine slows both.

    python bench/shards.py --processes 2
    python bench/shards.py --smoke --output /tmp/shards.json
"""

import argparse
import functools
import io
import json
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measuring import in_turns

from motionrepro.core import generator
from motionrepro.data.shards import ShardReader, find_videos, run_blocks, split_blocks, video_clips
from motionrepro.data.video import write_video
from motionrepro.data.world import render, sample_scene
from motionrepro.provenance import save_result
from motionrepro.training.prepare import ClipEncoder, clip_options, encode_videos

TARGET = 0.9  # of the throughput without shards


def write_videos(folder, n, size):
    """Write videos of the world with their captions."""
    for k in range(n):
        scene = sample_scene(k, num_frames=24)
        write_video(folder / f"{k:04d}.mp4", render(scene, size, with_flow=False)["video"])
        (folder / f"{k:04d}.txt").write_text(scene.caption)
    return find_videos(folder)[0]


def encode_block(number, videos, encode, options):
    """Decode and encode the videos of a block; keep nothing."""
    torch.set_num_threads(1)
    for name, video, texts in videos:
        video_clips(name, video, texts, encode, options)


def preparing(videos, encoder, options, processes, shard_size):
    """Return the two tasks that are compared: shards, and nothing but decoding and encoding."""

    def shards():
        with tempfile.TemporaryDirectory() as folder:
            more = dict(shard_size=shard_size, processes=processes)
            encode_videos(videos, Path(folder) / "shards", encoder, options, progress=False, **more)

    def alone():
        task = functools.partial(encode_block, encode=encoder, options=options)
        for _ in run_blocks(task, split_blocks(videos, shard_size), processes):
            pass

    return dict(shards=shards, alone=alone)


def bare_loop(files):
    """Read the arrays of every sample of tars, one after the other."""
    n = 0
    for file in files:
        with tarfile.open(file) as archive:
            for member in archive:
                data = archive.extractfile(member).read()
                if member.name.endswith(".npy"):
                    np.load(io.BytesIO(data))
                else:
                    json.loads(data)
                    n += 1
    return n


def made_up_shards(folder, blocks, samples, frames, side, width):
    """Write shards of random latents, of the shape that a base's clips have."""
    from unittest import mock

    from motionrepro.data.shards import make_block

    random = generator("shards")
    latents = torch.randn(frames, 4, side, side, generator=random).half().numpy()
    text = torch.randn(77, width, generator=random).half().numpy()

    def clip(name, *_):
        return [dict(latents=latents, text=text, motion=0.1, caption="a caption", cut=False, id=name)]

    with (
        mock.patch("motionrepro.data.shards.video_clips", clip),
        mock.patch("motionrepro.data.shards.block_contents", lambda videos: {}),
    ):
        for b in range(blocks):
            rows = [(f"{b * samples + i}", None, ()) for i in range(samples)]
            make_block(b, rows, folder, None, dict(clips=1), {})
    common = dict(finished=True, counts=[samples] * blocks, options=dict(clips=1))
    (folder / "shards.json").write_text(json.dumps(common))


def reading(folder, batch):
    """Return the two tasks that are compared: batches of an epoch, and a bare loop over the tars."""
    files = sorted(folder.glob("clip0/*.tar"))

    def reader():
        shards = ShardReader(folder)
        for start in range(0, len(shards) - batch + 1, batch):
            shards.read(start, batch)

    return dict(reader=reader, bare=lambda: bare_loop(files))


def ratio_of(times, task, bare):
    """Return the throughput of a task over that of the bare one, from the medians of their times."""
    return statistics.median(times[bare]) / statistics.median(times[task])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--blocks", type=int, default=96, help="shards that are read; more than one window")
    parser.add_argument("--samples", type=int, default=64, help="clips of each")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few clips, only to see that it runs")
    parser.add_argument(
        "--output", default=Path(__file__).parent.parent / "results" / "bench" / "shards.json"
    )
    args = parser.parse_args()
    if args.smoke:
        args.videos, args.blocks, args.samples, args.repeats = 4, 2, 16, 1
    begin = time.perf_counter()
    options = clip_options(args.size)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        videos = write_videos(root / "videos", args.videos, args.size)
        encoder = ClipEncoder("tiny", "cpu")
        shard_size = max(1, args.videos // (4 * args.processes))
        tasks = preparing(videos, encoder, options, args.processes, shard_size)
        prepared = in_turns(tasks, args.repeats)
        made_up_shards(root / "shards", args.blocks, args.samples, 8, 32, 768)
        read = in_turns(reading(root / "shards", 16), args.repeats)
    ratios = dict(preparing=ratio_of(prepared, "shards", "alone"), reading=ratio_of(read, "reader", "bare"))
    for name, ratio in ratios.items():
        verdict = "met" if ratio >= TARGET else "missed"
        print(f"{name}: {ratio:.2f} of the bare throughput; target, {TARGET}: {verdict}")
    clips = args.blocks * args.samples
    prepared_rate = args.videos / statistics.median(prepared["shards"])
    rates = dict(prepared=prepared_rate, read=clips / statistics.median(read["reader"]))
    print(f"{rates['prepared']:.1f} clips a second prepared, {rates['read']:.0f} read")
    save_result(
        args.output,
        dict(
            ratios=ratios, clips_per_second=rates, seconds=dict(prepared=prepared, read=read), target=TARGET
        ),
        {k: v for k, v in vars(args).items() if k != "output"} | dict(base="tiny", threads=1),
        seed=0,
        seconds=time.perf_counter() - begin,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
