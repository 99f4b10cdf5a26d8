"""NMI along a sequence of motion matrices: this package, scikit-learn and a plain count, in one run.

    python bench/nmi.py            # 1000 steps of 256 x 256 entries; writes results/bench/nmi.json
    python bench/nmi.py --quick    # 60 steps, writes nothing

The others get the intervals of all entries ready made, and only count. This package starts from the matrices.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import normalized_mutual_info_score

from motionrepro.core import generator
from motionrepro.provenance import save_result
from motionrepro.reuse.nmi import BINS, nmi_curve

OURS = "nmi_curve"
TARGET_RATIO = 40
TARGET_DIFFERENCE = 1e-6


def sequence(steps, size):
    """Cosines `steps size size` that change a little from each step to the next."""
    random = generator("bench nmi")
    keep = 0.98
    x = torch.randn(size, size, generator=random)
    result = torch.empty(steps, size, size)
    for k in range(steps):
        result[k] = (x / 3).tanh()
        x = keep * x + (1 - keep**2) ** 0.5 * torch.randn(size, size, generator=random)
    return result


def intervals(matrix, bins):
    """Interval of each entry, by search among the edges that numpy.histogram uses."""
    x = matrix.double().numpy().ravel()
    return np.minimum(np.searchsorted(np.linspace(x.min(), x.max(), bins + 1), x, side="right") - 1, bins - 1)


def plain(a, b, bins):
    """NMI by one bincount."""
    joint = np.bincount(a * bins + b, minlength=bins * bins).reshape(bins, bins) / a.size
    entropy = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (joint.sum(0), joint.sum(1), joint)]
    return 2 * (entropy[0] + entropy[1] - entropy[2]) / (entropy[0] + entropy[1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="at most 60 steps; nothing is written")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--size", type=int, default=256, help="positions; matrices are size x size")
    parser.add_argument("--bins", type=int, default=BINS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", default=Path(__file__).parents[1] / "results" / "bench" / "nmi.json")
    args = parser.parse_args()
    start = time.perf_counter()
    steps = min(args.steps, 60) if args.quick else args.steps
    matrices = sequence(steps, args.size)
    labels = {name: [intervals(m, args.bins).astype(name) for m in matrices] for name in ("int64", "int32")}

    def loop(f, labels):
        return np.array([f(a, b) for a, b in zip(labels, labels[1:])])

    runs = {
        OURS: lambda: nmi_curve(matrices, bins=args.bins).numpy(),
        "scikit-learn, int64": lambda: loop(normalized_mutual_info_score, labels["int64"]),
        "scikit-learn, int32": lambda: loop(normalized_mutual_info_score, labels["int32"]),
        "plain bincount, int64": lambda: loop(lambda a, b: plain(a, b, args.bins), labels["int64"]),
    }
    seconds = {name: [] for name in runs}
    found = {}
    nmi_curve(matrices[:3])
    normalized_mutual_info_score(*labels["int64"][:2])  # libraries load on their first call
    for _ in range(args.repeats):  # one after the other, so that a busy machine slows all of them
        for name, run in runs.items():
            begin = time.perf_counter()
            found[name] = run()
            seconds[name].append(time.perf_counter() - begin)
    difference = max(float(np.abs(found[OURS] - other).max()) for other in found.values())
    ratios = {name: [theirs / ours for theirs, ours in zip(s, seconds[OURS])] for name, s in seconds.items()}
    print(
        f"NMI of {steps} matrices of {args.size} x {args.size} and their neighbours, "
        f"{torch.get_num_threads()} threads, median of {args.repeats}"
    )
    for name, s in seconds.items():
        print(
            f"{name:>22}: {statistics.median(s):8.3f} s, "
            f"{statistics.median(s) / (steps - 1) * 1e6:8.1f} us per pair, "
            f"{statistics.median(ratios[name]):6.1f} times ours "
            f"({min(ratios[name]):.1f} to {max(ratios[name]):.1f})"
        )
    # int64 is what numpy.digitize and numpy.searchsorted return
    ratio = statistics.median(ratios["scikit-learn, int64"])
    met = ratio >= TARGET_RATIO and difference <= TARGET_DIFFERENCE
    print(
        f"largest difference {difference:.1e}; target, {TARGET_RATIO} times as fast as scikit-learn (int64) "
        f"and equal to {TARGET_DIFFERENCE:g}: " + ("met" if met else "missed")
    )
    if args.quick:
        return
    values = dict(
        seconds={name: statistics.median(s) for name, s in seconds.items()},
        ratios={
            name: dict(median=statistics.median(r), lowest=min(r), highest=max(r))
            for name, r in ratios.items()
            if name != OURS
        },
        difference=difference,
        target=dict(ratio=TARGET_RATIO, difference=TARGET_DIFFERENCE),
        met=met,
    )
    config = dict(
        steps=steps, size=args.size, bins=args.bins, repeats=args.repeats, threads=torch.get_num_threads()
    )
    save_result(args.output, values, config, seed="bench nmi", seconds=time.perf_counter() - start)
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
