"""What Stable Diffusion's size costs on one GPU, and trainings of the tiny models there: python bench/gpu.py

The machine needs Python, torch and the folder bench/, and no network. What else is imported may lie as wheels
in bench/wheels. A machine with an index collects them, for the other one's Python, without what it has:

    python bench/gpu.py --collect-wheels bench/wheels --python 3.12
    python bench/gpu.py --collect-wheels bench/wheels --python 3.12 --without numpy pillow --weights
    python bench/gpu.py --prepare --checkpoints gpu-checkpoints    # clips to train on, where scikit-learn is

On the GPU, at most 9 minutes. What is done is not done again, so it may be stopped and started at any time:

    python bench/gpu.py --checkpoints gpu-checkpoints
    python bench/gpu.py --smoke --out /tmp/gpu                     # a toy's size, on a CPU

Each step has a result of its own in --out, a small JSON file; a step that fails has its error as result. The
claims A22 and B13 read them from results/gpu. The trainings need the weights that the package ships.

Weights are random, which costs the same. Beside each time stands what this device could do: operations of all
matrix products and convolutions over its measured rate of products, or the bytes that these read and write
over its measured rate of copying, whichever takes longer.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import wheels

START = time.monotonic()
HERE = Path(__file__).resolve().parent


def options():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=9, help="for everything; what does not fit is left out"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results (results/gpu; on a CPU none are kept)"
    )
    parser.add_argument("--only", nargs="+", metavar="STEP", help="these steps alone")
    parser.add_argument("--list", action="store_true", help="name the steps and stop")
    parser.add_argument("--smoke", action="store_true", help="a toy's size, each thing once")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="cuda where there is one")
    parser.add_argument("--wheels", type=Path, default=HERE / "wheels", help="folder of wheels")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        help="clips and state of the trainings (OUT/checkpoints); continued where they are",
    )
    parser.add_argument("--prepare", action="store_true", help="make the clips of the trainings and stop")
    parser.add_argument("--collect-wheels", type=Path, metavar="DIR", help="collect the wheels and stop")
    parser.add_argument("--python", help="of the other machine, such as 3.12 (this one's)")
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="NAME", help="wheels the other machine has"
    )
    parser.add_argument("--weights", action="store_true", help="the package's wheel gets the shipped weights")
    return parser.parse_args()


def collect(args):
    """Collect the wheels and say what they are."""
    for wheel in wheels.collect(args.collect_wheels, args.python, args.without, args.weights):
        print(f"{wheel['bytes'] / 1e6:6.1f} MB  {wheel['name']} {wheel['version']}")
    print(f"written to {args.collect_wheels}, with checksums in {wheels.LIST}")


def main():
    args = options()
    if args.collect_wheels:
        return collect(args)
    with tempfile.TemporaryDirectory() as temporary:
        wheels.use(args.wheels, Path(temporary) / "site")
        import gpu_steps  # now that everything it imports can be found

        return gpu_steps.run(args, START, Path(temporary))


if __name__ == "__main__":
    sys.exit(main())
