"""How long the shipped models would take to train here, from short runs: python bench/training.py

A training's time is linear in its steps and in the scenes it draws beforehand, so three short runs of each
recipe tell both slopes and the constant. Run it on a machine that does nothing else.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from motionrepro import backbones
from motionrepro.provenance import save_result
from motionrepro.training import base as recipes

TARGET_MINUTES = {"tiny": 100, "tiny-128": 180}  # the second comes on top of the first


def trainers():
    """Return one function `(folder, steps, pool_length)` for each target, with its own batches and sizes."""
    tiny = backbones.load_backbone("tiny")
    parts = dict(vae=tiny.vae, text_encoder=tiny.text_encoder, tokenizer=tiny.tokenizer)

    def unet(size, start=None):
        return lambda folder, steps, pool_length: recipes.train_unet(
            folder, steps=steps, size=size, start=start, pool_length=pool_length, progress=False, **parts
        )

    def plain(train, *given):
        return lambda folder, steps, pool_length: train(
            folder, *given, steps=steps, pool_length=pool_length, progress=False
        )

    return {
        "vae": plain(recipes.train_vae),
        "text": plain(recipes.train_text, tiny.tokenizer),
        "classifier": plain(recipes.train_classifier),
        "unet": unet(64),
        "video": plain(recipes.train_video),
        "clip": plain(recipes.train_clip, tiny.tokenizer),
        "unet-128": unet(128, tiny.unet),
    }


def timed(train, steps, pool_length):
    """Seconds of one run, from nothing to its last checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(folder, steps=steps, pool_length=pool_length)
        return time.perf_counter() - start


def slopes(train, steps, pool):
    """Seconds per step and per scene, and what is left."""
    timed(train, 2, pool)  # libraries load on their first call
    short = timed(train, steps, pool)
    long = timed(train, 4 * steps, pool)
    more = timed(train, steps, 3 * pool)
    per_step = (long - short) / (3 * steps)
    per_scene = (more - short) / (2 * pool)
    return dict(per_step=per_step, per_scene=per_scene, constant=short - steps * per_step - pool * per_scene)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--steps", type=int, default=20, help="of the shorter runs; the longer one has four times as many"
    )
    parser.add_argument("--pool", type=int, default=300, help="scenes of the shorter runs")
    parser.add_argument(
        "--output", default=Path(__file__).parent.parent / "results" / "bench" / "training.json"
    )
    args = parser.parse_args()
    begin = time.perf_counter()
    values = {}
    for name, train in trainers().items():
        s = slopes(train, args.steps, args.pool)
        values[name] = s | dict(
            steps=recipes.STEPS[name],
            scenes=recipes.SCENES[name],
            minutes=(
                recipes.STEPS[name] * s["per_step"] + recipes.SCENES[name] * s["per_scene"] + s["constant"]
            )
            / 60,
        )
        print(
            f"{name:>10}: {s['per_step']:.3f} s a step x {recipes.STEPS[name]:6}, "
            f"{1000 * s['per_scene']:.2f} ms a scene x {recipes.SCENES[name]:6}: "
            f"{values[name]['minutes']:5.1f} minutes",
            flush=True,
        )
    total = {
        "tiny": sum(values[p]["minutes"] for p in recipes.PARTS["tiny"]),
        "tiny-128": values["unet-128"]["minutes"],
    }
    met = {name: total[name] <= TARGET_MINUTES[name] for name in total}
    for name in total:
        print(
            f"{name}: {total[name]:.0f} minutes projected; "
            f"target, {TARGET_MINUTES[name]}: {'met' if met[name] else 'missed'}"
        )
    save_result(
        args.output,
        dict(parts=values, minutes=total, target=TARGET_MINUTES, met=met),
        dict(steps=args.steps, pool=args.pool, threads=torch.get_num_threads()),
        seed=0,
        seconds=time.perf_counter() - begin,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
