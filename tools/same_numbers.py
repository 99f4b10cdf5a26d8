"""Do stored results outlive a change of the code that was not meant to change any number?

    git worktree add /tmp/before COMMIT          # the state that made the results
    python tools/same_numbers.py /tmp/before     # some minutes; --dry-run only compares

Results say which code made them, by a hash of its source, so even a new comment makes them stale, and making them again takes hours. This runs a small sample of
all that makes them (each training of the matrix for four steps, clips with and without adapter, every way of `motionrepro measure`, the measures) in both checkouts, and
compares every bit. Only if all agree, stored results with the earlier hash get the present one, and say so. It is a sample, on this machine and with these versions,
and no proof. Where a change is meant to change numbers, make them anew.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from motionrepro.core import read_json, write_json
from motionrepro.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]


def numbers():
    """Hashes of results by what they are of, and the two hashes of the code."""
    import torch

    from motionrepro.backbones import load_backbone
    from motionrepro.core import assets_path, generator
    from motionrepro.provenance import source_hash
    from motionrepro.studies import ablations as matrix
    from motionrepro.studies import switching as frontier
    from motionrepro.temporal.noise import correlated_noise
    from motionrepro.training.adapter import clip_cache, fingerprint, load_saved, sampler, train_adapter

    torch.set_num_threads(1)  # sums in one order
    bits = lambda t: hashlib.sha256(t.detach().contiguous().numpy().tobytes()).hexdigest()[:16]
    base = load_backbone("tiny", device="cpu")
    adapter = load_saved(assets_path() / "tiny" / "adapter")
    judges = matrix.Judges.shipped("cpu")
    real = matrix.references(4, 0, 64)
    found = {}
    real |= dict(axes=matrix.real_axes(judges, 4, 64))
    noise = correlated_noise((4, 8, 4, 8, 8), 0.6, generator=generator(0, "matrix"), dtype=torch.float32)
    for name, what in (("adapter", adapter), ("bare", None)):
        clips = sampler(base, what)(
            real["caption"],
            noise,
            torch.tensor([0.2, 0.9, 0.0, 1.0]),
            num_inference_steps=4,
            guidance_scale=3.0,
        )
        found |= {
            f"clips, {name}": bits(clips),
            f"scores, {name}": matrix.score_clips(clips, real, judges, torch.ones(4)),
        }
    with tempfile.TemporaryDirectory() as folder:
        cache = clip_cache(base, Path(folder) / "clips.pt", size=64, interval=1, length=12, progress=False)
        for name in (v for v, recipe in matrix.VARIANTS.items() if recipe):
            trained, history = train_adapter(
                replace(matrix.VARIANTS[name], steps=4, warmup=1),
                Path(folder) / name,
                base,
                cache,
                progress=False,
            )
            found[f"training, {name}"] = [fingerprint(trained), [row["loss"] for row in history["log"]]]
    larger = load_backbone("tiny-128", device="cpu")
    full = {}
    real = matrix.references(2, 0, 128, num_frames=8) | dict(axes=matrix.real_axes(judges, 4, 128, 8))
    for name, way in frontier.WAYS.items():
        made = frontier.make_clips(
            replace(way, steps=6), frontier.make_pipeline(way, larger), real["caption"], 8, 4, 6, 5.0, 0
        )
        found[f"way {name}"] = [
            bits(made.video),
            made.switch_step.tolist(),
            made.unet_calls,
            None if made.errors is None else bits(made.errors),
        ]
        full[name] = made
    scores = frontier.reuse_scores(full["auto"], full["full"].video, real, judges, 4)
    found["scores of reuse"] = {k: v for k, v in scores.items() if k not in ("seconds", "measured_speedup")}
    return dict(
        found=found, code=dict(matrix=source_hash(*matrix.MADE_BY), frontier=source_hash(*frontier.MADE_BY))
    )


def numbers_of(checkout):
    """The same, of the package in a checkout."""
    env = os.environ | dict(PYTHONPATH=str(checkout), HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore")
    said = subprocess.run(
        [sys.executable, __file__, "--numbers"],
        cwd=checkout,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    found = json.loads(said.splitlines()[-1])
    if Path(found.pop("package")).resolve() != (checkout / "motionrepro").resolve():
        sys.exit(f"{checkout} is not where the package was imported from")
    return found


def relabel(file, old, new):
    """Give a result the present hash, with a trace of that."""
    result = read_json(file)
    result["config"]["code"] = new
    result["provenance"].setdefault("same_numbers", []).append(dict(before=old, now=new, at=provenance()))
    write_json(file, result)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", nargs="?", type=Path, help="a checkout of the state that made the results")
    parser.add_argument("--dry-run", action="store_true", help="compare, and write nothing")
    parser.add_argument("--numbers", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.numbers:
        import motionrepro

        print(json.dumps(numbers() | dict(package=str(Path(motionrepro.__file__).parent))))
        return
    if args.before is None or not (args.before / "motionrepro").is_dir():
        sys.exit(f"before={args.before}: name a checkout of this project")
    if (
        not args.dry_run
        and subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ).stdout
    ):
        sys.exit("there are uncommitted changes; commit them first, or give --dry-run")
    before, now = (numbers_of(root.resolve()) for root in (args.before, ROOT))
    both = [
        k for k in before["found"] if k in now["found"]
    ]  # what only one of them has, a new way, has no stored results
    differ = [k for k in both if before["found"][k] != now["found"][k]]
    print(
        *(
            f"{'differs' if k in differ else 'same   ' if k in both else 'new    '}  {k}"
            for k in before["found"] | now["found"]
        ),
        sep="\n",
    )
    if differ:
        sys.exit(
            f"{len(differ)} of {len(now['found'])} differ: the stored results are of another code, and nothing was changed"
        )
    for kind, old in before["code"].items():
        files = [
            f for f in (ROOT / "results" / kind).rglob("*.json") if read_json(f)["config"].get("code") == old
        ]
        if not args.dry_run and old != now["code"][kind]:
            for f in files:
                relabel(f, old, now["code"][kind])
        print(
            f"{kind}: code {old} is {now['code'][kind]} now; {len(files)} results {'would get' if args.dry_run else 'have'} the present hash"
        )


if __name__ == "__main__":
    main()
