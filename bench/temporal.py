"""Time and memory of paper A's temporal blocks beside AnimateDiff's motion modules, on the same frozen base.

    python bench/temporal.py                 # tiny, and Stable Diffusion 1.5's size with random weights
    python bench/temporal.py --bases tiny --repeats 3 --output /tmp/temporal.json

Without --output the results go to results/bench/temporal.json.

Targets: our modules add at most a quarter of the forward time that AnimateDiff's add, and at most a tenth to
the bare UNet's. A frozen UNet alone has no backward pass; beside a training step stands one of the bare UNet
with a gradient for its input.
"""

import argparse
import copy
import gc
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from measuring import in_turns, peak
from models import bare, trained_adapter

from motionrepro.backbones import load_backbone, sd_unet
from motionrepro.core import generator
from motionrepro.provenance import save_result
from motionrepro.studies.ablations import VARIANTS
from motionrepro.temporal.adapter import MotionAdaptiveUNet
from motionrepro.training.adapter import RECIPES

TARGET_ADDED, TARGET_TOTAL = 0.25, 1.10
RECIPE = {
    "tiny": (VARIANTS["ours"], VARIANTS["animatediff"]),
    "sd15": (
        RECIPES["paper"],
        replace(RECIPES["paper"], method="animatediff", adapter=dict(use_motion_mid_block=False)),
    ),
}  # v1's layout


def base_unet(name, device, dtype):
    """The base's UNet; at Stable Diffusion's size its weights are random, which costs the same."""
    if name == "tiny":
        return load_backbone("tiny", device=device, dtype=dtype).unet
    with torch.device(device):
        unet = sd_unet(name).eval()
    return unet if unet.dtype == dtype else unet.to(dtype)


def forward(model, given):
    """One forward pass without gradients."""

    def run():
        with torch.no_grad():
            return model(*given).sample

    return run


def training_step(model, given, adapter=None):
    """Forward, backward and AdamW; without an adapter, backward to the input."""
    latents, *rest = given
    optimizer = None if adapter is None else torch.optim.AdamW(adapter.parameters(), 1e-6, fused=True)

    def run():
        x = latents.clone().requires_grad_(adapter is None)
        model(x, *rest).sample.float().square().mean().backward()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()

    return run


def ratios(times, over, under):
    """Quartiles of paired ratios; `over` and `under` map one turn's seconds to numbers."""
    turns = [dict(zip(times, values)) for values in zip(*times.values())]
    lower, median, upper = statistics.quantiles([over(t) / under(t) for t in turns], method="inclusive")
    return dict(median=median, lower=lower, upper=upper)


def measure(name, args):
    """Seconds, bytes and ratios of forward passes and training steps."""
    gpu = args.device == "cuda"
    clips, frames, side = (2, 8, 64) if gpu else (1, 8, 8) if name == "tiny" else (1, 2, 8)
    unet = base_unet(name, args.device, torch.float16 if gpu else torch.float32)

    def draw(key, *shape):
        return torch.randn(*shape, generator=generator("bench temporal", key)).to(unet.device, unet.dtype)

    given = (
        draw("latents", clips, frames, 4, side, side),
        500,
        draw("text", clips, 77, unet.config.cross_attention_dim),
        torch.linspace(0, 1, clips + 2)[1:-1].to(unet.device),
    )
    adapters = dict(zip(("ours", "AnimateDiff"), (trained_adapter(recipe, unet) for recipe in RECIPE[name])))
    bases = dict(ours=unet, AnimateDiff=copy.deepcopy(unet))  # a UNet carries one adapter at a time
    models = {"bare": bare(unet)} | {
        m: MotionAdaptiveUNet(bases[m], adapter).requires_grad_(False) for m, adapter in adapters.items()
    }
    for adapter in adapters.values():
        adapter.requires_grad_(True)
    values = dict(
        clips=clips,
        frames=frames,
        side=side,
        parameters={m: sum(p.numel() for p in a.parameters()) for m, a in adapters.items()},
    )
    for task, make in dict(forward=forward, step=training_step).items():
        runs = {
            m: make(model, given, *([adapters.get(m)] if task == "step" else []))
            for m, model in models.items()
        }
        times = in_turns(runs, args.repeats if task == "forward" else max(2, args.repeats // 3), args.device)
        values[task] = dict(
            seconds={m: statistics.median(s) for m, s in times.items()},
            bytes={m: peak(run, args.device) for m, run in runs.items()},
            total=ratios(times, lambda t: t["ours"], lambda t: t["bare"]),
            to_animatediff=ratios(times, lambda t: t["ours"], lambda t: t["AnimateDiff"]),
        )
        if task == "forward":
            values[task]["added"] = ratios(
                times, lambda t: t["ours"] - t["bare"], lambda t: t["AnimateDiff"] - t["bare"]
            )
    return values


def report(name, v):
    """Print one base's numbers; whether each target is met or missed by all of the middle half."""

    def show(r):
        return f"{r['median']:.2f} ({r['lower']:.2f} to {r['upper']:.2f})"

    print(
        f"{name}: {v['clips']} clips of {v['frames']} frames, {v['side']} x {v['side']} latents; "
        + ", ".join(f"{m} {n:,} parameters" for m, n in v["parameters"].items())
    )
    for task in ("forward", "step"):
        print(
            f"{task:>9}: "
            + ", ".join(
                f"{m} {s * 1e3:.1f} ms, {v[task]['bytes'][m] / 2**20:.0f} MB"
                for m, s in v[task]["seconds"].items()
            )
            + f"; ours to bare {show(v[task]['total'])}, to AnimateDiff {show(v[task]['to_animatediff'])}"
        )
    goals = dict(added=TARGET_ADDED, total=TARGET_TOTAL)
    aims = {
        name: "met"
        if v["forward"][name]["upper"] <= most
        else "missed"
        if v["forward"][name]["lower"] > most
        else "not decided"
        for name, most in goals.items()
    }
    print(
        f"   target: adds {show(v['forward']['added'])} of what AnimateDiff adds, "
        f"at most {TARGET_ADDED}: {aims['added']}; "
        f"{show(v['forward']['total'])} of the bare time, at most {TARGET_TOTAL:.2f}: {aims['total']}"
    )
    return aims


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bases", nargs="+", default=list(RECIPE), choices=list(RECIPE))
    parser.add_argument(
        "--repeats",
        type=int,
        default=41,
        help="forward passes take turns that often, at least 2, steps a third of it; "
        "medians and quartiles count",
    )
    parser.add_argument(
        "--device",
        default="cpu",
        choices=["cpu", "cuda"],
        help="on cuda: 2 clips of 8 frames, 64 x 64 latents, half precision",
    )
    parser.add_argument("--output", default=Path(__file__).parents[1] / "results" / "bench" / "temporal.json")
    args = parser.parse_args()
    start = time.perf_counter()
    values = {}
    aims = {}
    for name in args.bases:
        values[name] = measure(name, args)
        aims[name] = report(name, values[name])
        gc.collect()
    save_result(
        args.output,
        dict(bases=values, target=dict(added=TARGET_ADDED, total=TARGET_TOTAL), aims=aims),
        dict(repeats=args.repeats, device=args.device, threads=torch.get_num_threads()),
        seed="bench temporal",
        seconds=time.perf_counter() - start,
    )
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
