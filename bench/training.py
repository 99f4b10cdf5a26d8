"""What a training step of an adapter costs, and what would make it cheaper: python bench/training.py

Every variant takes the same steps as the plain one, in turns, so that a busy machine slows all of them; what
counts is the smallest processor time of a step. Beside it stands how far its losses are from the plain ones.

    python bench/training.py                     # the variants that any machine can run
    python bench/training.py --compile           # compiled regions, too; compiling takes minutes
"""

import argparse
import copy
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch.utils.flop_counter import FlopCounterMode

from motionrepro.backbones import load_backbone
from motionrepro.core import generator
from motionrepro.provenance import save_result
from motionrepro.temporal.adapter import MotionAdaptiveUNet
from motionrepro.training.adapter import RECIPES, adapter_loss, make_adapter

SAME_LOSS = 1e-3  # relative: what may count as the same training
TARGET = 2.0  # clips per second over those of the plain step


def made_up_clips(n, recipe, unet):
    """Return a cache of `n` clips with random latents; what is in them costs nothing."""
    random = generator("clips")
    side = unet.config.sample_size
    shape = (n, recipe.num_frames, unet.config.in_channels, side, side)
    text = torch.randn(n, 32, unet.config.cross_attention_dim, generator=random)
    return dict(
        latents=torch.randn(shape, generator=random).half(),
        text=text.half(),
        empty=text[0].half(),
        motion=torch.rand(n, generator=random),
        ids=list(range(n)),
    )


class Trained:
    """An adapter in a copy of the base, and its training step."""

    def __init__(self, backbone, recipe, cache, half=False, channels_last=False, dtype=None, compiled=False):
        unet = copy.deepcopy(backbone.unet)
        unet.to(dtype or unet.dtype)
        if channels_last:
            unet.to(memory_format=torch.channels_last)
        if compiled:
            for module in unet.modules():
                if isinstance(module, (BasicTransformerBlock, ResnetBlock2D)):
                    module.forward = torch.compile(module.forward, dynamic=False)
        torch.manual_seed(0)
        self.adapter = make_adapter(recipe, unet)
        with torch.no_grad():  # its zeros become small, as after training: all of it is used
            for p in self.adapter.parameters():
                p.add_(0.02 * torch.randn_like(p))
        self.model = MotionAdaptiveUNet(unet, self.adapter).train()
        self.recipe, self.cache, self.scheduler = recipe, cache, backbone.scheduler
        self.half = half

    def step(self, number):
        """Take the loss of a batch and its gradient; return the loss."""
        with torch.autocast("cpu", torch.bfloat16) if self.half else nullcontext():
            random = generator("step", number)
            loss = adapter_loss(self.model, self.recipe, self.scheduler, self.cache, random)["loss"]
        self.adapter.zero_grad()
        loss.backward()
        return loss.item()


def variants(backbone, recipe, cache, compiled):
    """Return functions that build each variant of the training step."""
    build = partial(Trained, backbone, recipe, cache)
    made = {
        "plain": build,
        "channels last": partial(build, channels_last=True),
        "bf16 by autocast": partial(build, half=True),
        "bf16 base": partial(build, half=True, dtype=torch.bfloat16),
    }
    for batch in (1, 3 * recipe.batch):
        larger = replace(recipe, batch=batch)
        made[f"batches of {batch}"] = partial(Trained, backbone, larger, cache)
    if compiled:
        torch._dynamo.config.recompile_limit = 64  # one for each shape of a region
        made["compiled regions"] = partial(build, compiled=True)
    return made


def measure(trainers, repeats):
    """Return the smallest processor seconds of a step, and the losses of all steps, of each variant."""
    for trainer in trainers.values():
        trainer.step(0)
    seconds = {name: [] for name in trainers}
    losses = {name: [] for name in trainers}
    for number in range(repeats):
        for name, trainer in trainers.items():
            start = time.process_time()
            losses[name].append(trainer.step(number))
            seconds[name].append(time.process_time() - start)
    return {name: min(s) for name, s in seconds.items()}, losses


def compare(seconds, losses, batches):
    """Return each variant's clips per second, their ratio to the plain step's, and how far its losses are."""
    plain = batches["plain"] / seconds["plain"]
    rows = {}
    for name in seconds:
        clips = batches[name] / seconds[name]
        row = dict(seconds=seconds[name], clips_per_second=clips, ratio=clips / plain)
        if batches[name] == batches["plain"]:
            away = [abs(a / b - 1) for a, b in zip(losses[name], losses["plain"])]
            row |= dict(loss_differs_by=max(away), same_loss=max(away) <= SAME_LOSS)
        rows[name] = row
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=8, help="steps of each variant")
    parser.add_argument("--compile", action="store_true", help="compiled regions, too")
    parser.add_argument(
        "--output", default=Path(__file__).parent.parent / "results" / "bench" / "training.json"
    )
    args = parser.parse_args()
    begin = time.perf_counter()
    backbone = load_backbone("tiny", device="cpu")
    recipe = RECIPES["tiny"]
    cache = made_up_clips(64, recipe, backbone.unet)
    trainers = {k: make() for k, make in variants(backbone, recipe, cache, args.compile).items()}
    batches = {name: trainer.recipe.batch for name, trainer in trainers.items()}
    with FlopCounterMode(display=False) as counter:
        trainers["plain"].step(0)
    operations = counter.get_total_flops()
    rows = compare(*measure(trainers, args.repeats), batches)
    for name, row in rows.items():
        loss = f", losses within {row['loss_differs_by']:.0e}" if "loss_differs_by" in row else ""
        print(f"{name:>20}: {row['clips_per_second']:5.1f} clips a second, {row['ratio']:.2f} of plain{loss}")
    speed = operations / rows["plain"]["seconds"] / 1e9
    best = max(row["ratio"] for row in rows.values() if row.get("same_loss", True))
    met = best >= TARGET
    print(
        f"plain: {operations / 1e9:.1f} GFLOP a step at {speed:.0f} GFLOP/s, products and convolutions alone"
    )
    print(f"best of what trains the same: {best:.2f}; target, {TARGET}: {'met' if met else 'missed'}")
    save_result(
        args.output,
        dict(variants=rows, operations=operations, gflops=speed, best=best, target=TARGET, met=met),
        dict(base="tiny", batch=recipe.batch, repeats=args.repeats, threads=torch.get_num_threads()),
        seed=0,
        seconds=time.perf_counter() - begin,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
