"""Motion matrices in windowed and in dense storage, side by side in one run: memory and time.

    python bench/matrices.py            # 64 x 64 positions, 128 channels, radius 8
    python bench/matrices.py --quick    # 32 x 32 positions, writes nothing

Without --quick the results go to results/bench/matrices.json.

Peaks are counted from every allocation that torch makes on the way, the features not included.
"""

import argparse
import functools
import statistics
import time
from pathlib import Path

import torch
from measuring import in_turns, peak

from motionrepro.core import generator
from motionrepro.provenance import save_result
from motionrepro.reuse.matrices import motion_matrix

TARGET_SMALLER, TARGET_FASTER = 10, 3


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the positions and few repeats; nothing is written"
    )
    parser.add_argument("--side", type=int, default=64, help="height and width in positions")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--radius", type=int, default=8)
    parser.add_argument("--batch", type=int, default=1, help="pairs of frames")
    parser.add_argument("--repeats", type=int, default=30, help="both take turns that often; medians count")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--output", default=Path(__file__).parents[1] / "results" / "bench" / "matrices.json")
    args = parser.parse_args()
    if args.quick:
        args.side, args.repeats = min(args.side, 32), 5

    def draw(key, c):
        return torch.randn(
            args.batch, c, args.side, args.side, generator=generator("bench matrices", key)
        ).to(args.device)

    src = draw("src", args.channels)
    dst = draw("dst", args.channels)
    residual = draw("residual", 4)
    storages = dict(dense=None, windowed=args.radius)
    carry = {name: motion_matrix(src, dst, window=r, temperature=0.1) for name, r in storages.items()}
    tasks = {
        "cosines": lambda name: motion_matrix(src, dst, window=storages[name]),
        "probabilities": lambda name: motion_matrix(src, dst, window=storages[name], temperature=0.1),
        "apply": lambda name: carry[name].apply(residual),
    }
    start = time.perf_counter()
    values = {}
    for task, run in tasks.items():
        runs = {name: functools.partial(run, name) for name in storages}
        times = in_turns(runs, args.repeats, args.device)
        values[task] = dict(seconds=times, bytes={name: peak(runs[name], args.device) for name in storages})
    values["stored"] = dict(
        bytes={name: m.values.numel() * m.values.element_size() for name, m in carry.items()}
    )
    print(
        f"motion matrices of {args.side} x {args.side} positions, {args.channels} channels, "
        f"radius {args.radius}, {args.batch} pairs, {args.device}, "
        f"{torch.get_num_threads()} threads"
    )
    for task, v in values.items():
        v["smaller"] = v["bytes"]["dense"] / v["bytes"]["windowed"]
        line = (
            f"{task:>14}: {v['bytes']['dense'] / 2**20:7.2f} MB dense, "
            f"{v['bytes']['windowed'] / 2**20:6.2f} MB windowed, {v['smaller']:5.1f} times smaller"
        )
        if "seconds" in v:
            ratios = [d / w for d, w in zip(v["seconds"]["dense"], v["seconds"]["windowed"])]
            v["seconds"] = {name: statistics.median(s) for name, s in v["seconds"].items()}
            v["faster"] = dict(median=statistics.median(ratios), lowest=min(ratios), highest=max(ratios))
            line += (
                f"; {v['seconds']['dense'] * 1e3:8.2f} ms dense, "
                f"{v['seconds']['windowed'] * 1e3:7.2f} ms windowed, "
                f"{v['faster']['median']:5.1f} times faster ({min(ratios):.1f} to {max(ratios):.1f})"
            )
        print(line)
    made = [values["cosines"], values["probabilities"]]
    met = values["stored"]["smaller"] >= TARGET_SMALLER and all(
        v["smaller"] >= TARGET_SMALLER and v["faster"]["median"] >= TARGET_FASTER for v in made
    )
    print(
        f"target at 64 x 64 positions, 128 channels and radius 8, {TARGET_SMALLER} times smaller "
        f"and {TARGET_FASTER} times faster to make: "
        + (
            ("met" if met else "missed")
            if (args.side, args.channels, args.radius) == (64, 128, 8)
            else "not measured at this size"
        )
    )
    if args.quick:
        return
    config = dict(
        side=args.side,
        channels=args.channels,
        radius=args.radius,
        batch=args.batch,
        repeats=args.repeats,
        device=args.device,
        threads=torch.get_num_threads(),
    )
    save_result(
        args.output,
        dict(tasks=values, target=dict(smaller=TARGET_SMALLER, faster=TARGET_FASTER), met=met),
        config,
        seed="bench matrices",
        seconds=time.perf_counter() - start,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
