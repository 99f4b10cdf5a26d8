"""How cost grows with the number of frames and of positions; exponents are fitted.

    python bench/scaling.py             # up to 64 frames of tiny, matrices of up to 96 x 96 positions
    python bench/scaling.py --quick     # a few small sizes; writes nothing

Without --quick the results go to results/bench/scaling.json. Reuse and frame-wise denoising are measured by
the number of frames, motion matrices by the number of positions.

An exponent is the slope of a line through logarithms of medians. Reuse costs R T + (F - R) t* calls. That is
a line in F with an offset, so its exponent lies below 1 and tends to it with more frames. All sizes take
turns. A dense matrix has N entries for each of N positions, a windowed one (2 r + 1)^2 at most.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from measuring import in_turns, peak
from reuse import speed

from motionrepro.backbones import load_backbone
from motionrepro.core import generator
from motionrepro.provenance import save_result
from motionrepro.reuse.matrices import motion_matrix

CHANNELS, WINDOW = 128, 8


def exponent(sizes, costs):
    """Slope of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


@torch.no_grad()
def positions(sides, repeats, device):
    """Measure matrices by number of positions, dense and windowed.

    Seconds and bytes are those of making a matrix between two frames and carrying a latent along it.
    """

    def made(side, window):
        source, target, latent = (
            torch.randn(1, c, side, side, generator=generator("bench scaling", side, k)).to(device)
            for k, c in enumerate((CHANNELS, CHANNELS, 4))
        )
        return lambda: motion_matrix(source, target, window=window, temperature=0.05).apply(latent)

    storages = {"dense": None, f"window {WINDOW}": WINDOW}
    tasks = {(side, name): made(side, window) for side in sides for name, window in storages.items()}
    rows = []
    times = in_turns(tasks, repeats, device)
    for side in sides:
        rows.append(
            dict(
                positions=side**2,
                seconds={k: statistics.median(times[side, k]) for k in storages},
                bytes={k: peak(tasks[side, k], device) for k in storages},
            )
        )
        print(
            f"{side} x {side} positions: "
            + ", ".join(
                f"{k} {1e3 * s:.1f} ms, {rows[-1]['bytes'][k] / 2**20:.1f} MB"
                for k, s in rows[-1]["seconds"].items()
            ),
            flush=True,
        )
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few small sizes; nothing is written")
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 16, 32, 64], help="of a clip")
    parser.add_argument(
        "--sides", type=int, nargs="+", default=[24, 32, 48, 64, 96], help="height and width in positions"
    )
    parser.add_argument("--steps", type=int, default=20, help="of the schedule")
    parser.add_argument("--repeats", type=int, default=5, help="all take turns that often; medians count")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--output", default=Path(__file__).parents[1] / "results" / "bench" / "scaling.json")
    args = parser.parse_args()
    if args.quick:
        args.frames, args.sides, args.steps, args.repeats = [6, 12], [8, 16], 5, 1
    begin = time.perf_counter()
    tiny = load_backbone("tiny", device=args.device)
    cases = [
        dict(backbone=tiny, latent=8, frames=frames, references=4, steps=args.steps, guidance=1.0)
        for frames in args.frames
    ]
    clips = speed(cases, args.repeats, args.device)
    grids = positions(args.sides, args.repeats, args.device)
    exponents = {
        f"{k}, frames": exponent(args.frames, [c["seconds"][k] for c in clips])
        for k in ("framewise", "reuse")
    }
    for what in ("seconds", "bytes"):
        exponents |= {
            f"{k}, {what} by positions": exponent(
                [g["positions"] for g in grids], [g[what][k] for g in grids]
            )
            for k in grids[0][what]
        }
    for name, value in exponents.items():
        print(f"exponent of {name}: {value:.2f}")
    if args.quick:
        return
    config = dict(
        steps=args.steps,
        channels=CHANNELS,
        window=WINDOW,
        repeats=args.repeats,
        device=args.device,
        threads=torch.get_num_threads(),
    )
    save_result(
        args.output,
        dict(clips=clips, grids=grids, exponents=exponents),
        config,
        seed="bench scaling",
        seconds=time.perf_counter() - begin,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
