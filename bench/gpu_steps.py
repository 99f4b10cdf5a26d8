"""The steps of bench/gpu.py: what each measures, and how they are run within a time."""

import gc
import signal
import statistics
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.utils import logging
from measuring import in_turns, peak
from models import bare, random_base, trained_adapter
from reuse import ways
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from motionrepro.backbones import load_backbone, sd_unet, tiny_unet
from motionrepro.core import assets_path, default_device, generator, write_json
from motionrepro.provenance import save_result
from motionrepro.studies.sizes import OPTIMISER_BYTES, parameters, training_step
from motionrepro.temporal.adapter import MotionAdaptiveUNet, TemporalAdapter
from motionrepro.temporal.attention import AdaptiveTemporalBlock, GlobalTemporalBlock
from motionrepro.training.adapter import RECIPES, load_saved, train_adapter
from motionrepro.training.prepare import clip_cache

DTYPES = dict(fp16=torch.float16, bf16=torch.bfloat16)
# larger batches than on a processor: a GPU is hardly busy with a few clips of such small latents
GPU_RECIPES = {"tiny": replace(RECIPES["tiny"], batch=48), "tiny-128": replace(RECIPES["tiny-128"], batch=24)}
CLIPS = 4000  # to train on
CHUNK = 50  # steps of a training between two looks at the clock
SPARE = 10  # seconds at the end that no training uses


@dataclass(frozen=True)
class Setting:
    """What all steps share."""

    device: str  # "cpu" or "cuda"
    smoke: bool  # a toy's size
    checkpoints: Path  # clips and state of the trainings
    deadline: float  # by `time.monotonic`, when everything has to be over

    def pick(self, real, toy):
        """Return `real`, or `toy` in a smoke run."""
        return toy if self.smoke else real

    def unet(self, name, dtype):
        """Build a UNet with random weights."""
        with torch.device(self.device):
            unet = tiny_unet(widths=(32, 32, 32, 32)) if self.smoke else sd_unet(name)
        return unet.to(dtype).eval().requires_grad_(False)


@dataclass(frozen=True)
class Step:
    """A part of the whole with a result of its own."""

    name: str
    seconds: float  # planned; checked against what is left of the time
    measure: Callable[[Setting], dict]
    in_smoke: bool = True  # False: at a toy's size it is the same as another


# ---- what a device can do, and what a computation asks of it


def quartiles(values):
    """Return the median, the quartiles and their number."""
    lower, median, upper = statistics.quantiles(values, method="inclusive") if len(values) > 1 else values * 3
    return dict(n=len(values), median=median, lower=lower, upper=upper)


def device_rates(setting, dtype):
    """Operations a second of a large matrix product, and bytes a second of a large copy, read and written."""
    side = setting.pick(8192, 128)
    a, b = (torch.randn(side, side, device=setting.device, dtype=dtype) for _ in range(2))
    source = torch.empty(setting.pick(2**30, 2**16), dtype=torch.uint8, device=setting.device)
    target = torch.empty_like(source)
    tasks = dict(products=lambda: a @ b, copies=lambda: target.copy_(source))
    times = in_turns(tasks, setting.pick(20, 2), setting.device)
    work = dict(products=2 * side**3, copies=2 * source.numel())
    return {name: work[name] / statistics.median(times[name]) for name in tasks}


class ProductBytes(TorchDispatchMode):
    """Count the bytes that matrix products and convolutions read and write, each for itself."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation; count its tensors if it is a product."""
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return out


def count_work(run):
    """Operations of the products and convolutions of a run, and the bytes that they read and write."""
    with FlopCounterMode(display=False) as counter, ProductBytes() as products:
        run()
    return dict(operations=counter.get_total_flops(), bytes=products.bytes)


def roofline(seconds, work, rates):
    """Return the shortest time that the device could need for this work, what limits it, and its share of the
    measured time."""
    by_limit = dict(products=work["operations"] / rates["products"], copies=work["bytes"] / rates["copies"])
    limit = max(by_limit, key=by_limit.__getitem__)
    return dict(least_seconds=by_limit[limit], limit=limit, share=by_limit[limit] / seconds["median"])


# ---- forward passes of 16 frames


def clip_models(setting, dtype):
    """The bare UNet, ours, and AnimateDiff's modules, in a UNet of their own: one carries one adapter."""
    unet = setting.unet("sd15", dtype)
    ours = RECIPES["tiny" if setting.smoke else "paper"]
    theirs = replace(ours, method="animatediff", adapter=dict(use_motion_mid_block=False))
    models = dict(bare=bare(unet))
    for name, recipe, base in (("ours", ours, unet), ("AnimateDiff", theirs, deepcopy(unet))):
        models[name] = MotionAdaptiveUNet(base, trained_adapter(recipe, base)).eval()
    return models


@contextmanager
def compiled_regions(models, backend):
    """Compile the blocks of all models for the time of a block, each kind and shape once."""
    for limit in ("recompile_limit", "cache_size_limit"):  # torch's newer and older name
        if hasattr(torch._dynamo.config, limit):
            setattr(torch._dynamo.config, limit, 64)
    kinds = (BasicTransformerBlock, ResnetBlock2D, AdaptiveTemporalBlock, GlobalTemporalBlock)
    networks = [m for m in models.values() if isinstance(m, torch.nn.Module)]
    blocks = {block for network in networks for block in network.modules() if isinstance(block, kinds)}
    for block in blocks:
        block.forward = torch.compile(block.forward, backend=backend, dynamic=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
        torch._dynamo.reset()


@torch.no_grad()
def time_forward(setting, dtype_name, side, compiled):
    """Seconds and bytes of a forward pass of 16 frames, for each model, beside what the device can do."""
    dtype = DTYPES[dtype_name]
    models = clip_models(setting, dtype)
    frames, side = setting.pick(16, 2), setting.pick(side, 8)
    width = models["ours"].config.cross_attention_dim

    def draw(*shape):
        return torch.randn(shape, generator=generator("gpu", *shape)).to(setting.device, dtype)

    motion = torch.tensor([0.5], device=setting.device)
    given = (draw(1, frames, 4, side, side), 500, draw(1, 77, width), motion)
    tasks = {name: partial(model, *given) for name, model in models.items()}
    work = {name: count_work(run) for name, run in tasks.items()}
    start = time.perf_counter()
    with compiled_regions(models, setting.pick("inductor", "eager")) if compiled else torch.no_grad():
        times = in_turns(tasks, setting.pick(10, 1), setting.device)
        most = {name: peak(run, setting.device) for name, run in tasks.items()}
    measured_in = time.perf_counter() - start
    rates = device_rates(setting, dtype)
    rows = {}
    for name in models:
        seconds = quartiles(times[name])
        row = dict(seconds=seconds, peak_bytes=most[name], **work[name])
        rows[name] = row | roofline(seconds, work[name], rates)
    return dict(dtype=dtype_name, frames=frames, side=side, rates=rates, models=rows, measured_in=measured_in)


# ---- reuse against frame-wise denoising, and one training step


def time_reuse(setting, side):
    """Seconds of 16 frames with reuse at step 200 and without it, and their ratio, turn by turn."""
    base = random_base(setting.unet("sd15", torch.float16), setting.device)
    size = dict(clips=1, references=setting.pick(4, 2), frames=setting.pick(16, 3))
    steps, guidance = setting.pick(50, 5), 7.5
    every = ways(base, setting.pick(side, 8), **size, steps=steps, guidance=guidance)
    tasks = {name: every[name] for name in ("reuse", "framewise", "one_batch")}
    made = tasks["reuse"]()
    times = in_turns(tasks, setting.pick(3 if side < 64 else 2, 1), setting.device)
    ratios = {
        name: quartiles([full / reuse for full, reuse in zip(times[name], times["reuse"])])
        for name in ("framewise", "one_batch")
    }
    return dict(
        dtype="fp16",
        **size,
        side=setting.pick(side, 8),
        steps=steps,
        guidance=guidance,
        switch_step=made.switch_step[0].item(),
        unet_calls=made.unet_calls,
        ideal=made.ideal_speedup,
        seconds={name: quartiles(t) for name, t in times.items()},
        speedup=ratios,
        peak_bytes={name: peak(run, setting.device) for name, run in tasks.items()},
    )


def time_training_step(setting, side):
    """Bytes and seconds of a training step of 55 clips; `peak_bytes` is None where it does not fit."""
    unet = setting.unet("sd21", torch.float16)
    adapter = TemporalAdapter.for_unet(unet).to(setting.device, torch.float16)
    size = dict(clips=setting.pick(55, 1), frames=setting.pick(8, 2), positions=setting.pick(side, 8))
    run = partial(training_step, unet, adapter, **size)
    found = dict(dtype="fp16", **size, optimiser_bytes=OPTIMISER_BYTES * parameters(adapter))
    held = torch.cuda.memory_allocated() if setting.device == "cuda" else 0
    try:
        found["peak_bytes"] = held + peak(run, setting.device) + found["optimiser_bytes"]
    except torch.OutOfMemoryError:
        return found | dict(peak_bytes=None)
    adapter.zero_grad()
    work = count_work(run)
    seconds = quartiles(
        in_turns(dict(step=run), setting.pick(3 if side < 64 else 1, 1), setting.device)["step"]
    )
    rates = device_rates(setting, torch.float16)
    return found | dict(seconds=seconds, rates=rates, **work, **roofline(seconds, work, rates))


# ---- trainings


def training_clips(setting, base, name, progress=False):
    """The clips of a training: those that lie there, or new ones."""
    recipe = GPU_RECIPES[name]
    options = dict(size=recipe.size, num_frames=recipe.num_frames, interval=recipe.interval)
    length = setting.pick(CLIPS, 8)
    return clip_cache(
        base, setting.checkpoints / name / "clips.pt", **options, length=length, progress=progress
    )


def train(setting, name, share):
    """Train an adapter in a share of the time that is left; its checkpoint goes on on any device."""
    until = time.monotonic() + share * (setting.deadline - SPARE - time.monotonic())
    base = load_backbone(name, device=setting.device)
    recipe = replace(GPU_RECIPES[name], batch=setting.pick(GPU_RECIPES[name].batch, 2))
    cache = training_clips(setting, base, name)
    start = load_saved(assets_path() / "tiny" / "adapter") if name == "tiny-128" else None
    options = dict(start=start, sample_every=recipe.steps + 1, progress=False)
    folder = setting.checkpoints / name / "run"
    first = reached = read_step(folder)
    begun = time.monotonic()
    longest = 0.0
    losses = []
    while reached < recipe.steps and time.monotonic() + longest < until:
        before = time.monotonic()
        reached = min(recipe.steps, reached + setting.pick(CHUNK, 1))
        _, history = train_adapter(recipe, folder, base, cache, stop_at=reached, **options)
        longest = max(longest, time.monotonic() - before)
        losses = [row["loss"] for row in history["log"][-10:]]
        if setting.smoke:
            break
    rate = (reached - first) * recipe.batch / (time.monotonic() - begun)
    return dict(
        dtype="fp32",
        first_step=first,
        last_step=reached,
        steps=recipe.steps,
        batch=recipe.batch,
        clips_per_second=rate,
        losses=losses,
        checkpoint=str(folder / "checkpoint.pt"),
    )


def read_step(folder):
    """The step that a training has reached."""
    file = folder / "checkpoint.pt"
    return torch.load(file, map_location="cpu", weights_only=True)["step"] if file.exists() else 0


def forward_step(dtype, side, compiled=False):
    """A step that times forward passes."""
    kind = "compiled" if compiled else "eager"
    measure = partial(time_forward, dtype_name=dtype, side=side, compiled=compiled)
    same = side > 32 or (compiled and dtype == "bf16")
    return Step(f"forward-{kind}-{dtype}-{side}", 45 if compiled else 12, measure, not same)


STEPS = (
    forward_step("fp16", 32),
    forward_step("fp16", 64),
    Step("training-step-256", 35, partial(time_training_step, side=32)),
    Step("reuse-256", 30, partial(time_reuse, side=32)),
    Step("reuse-512", 60, partial(time_reuse, side=64), in_smoke=False),
    forward_step("bf16", 32),
    forward_step("bf16", 64),
    forward_step("fp16", 64, compiled=True),
    Step("training-step-512", 50, partial(time_training_step, side=64), in_smoke=False),
    forward_step("bf16", 64, compiled=True),
    forward_step("fp16", 32, compiled=True),
    forward_step("bf16", 32, compiled=True),
    Step("train-tiny", 60, partial(train, name="tiny", share=0.5)),
    Step("train-tiny-128", 60, partial(train, name="tiny-128", share=1.0)),
)


# ---- running them


def attempt(step, setting):
    """The numbers of a step, or the error that ended it."""
    try:
        return step.measure(setting)
    except Exception as error:
        traceback.print_exc()
        return dict(error=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


class OutOfTime(BaseException):
    """The time is over in the middle of a step; no step takes it for an error of its own."""


@contextmanager
def at_most(seconds):
    """Raise `OutOfTime` in what runs longer; a call into the device ends first."""

    def stop(*_):
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    every = 1.0  # seconds from then on: a finaliser may swallow the first alarm
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def device_answers(device):
    """Whether the device can still be used after an error."""
    try:
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def about(setting, step):
    """What the numbers of a step depend on, besides the code."""
    gpu = setting.device == "cuda"
    return dict(
        step=step.name,
        smoke=setting.smoke,
        device=torch.cuda.get_device_name() if gpu else "cpu",
        device_bytes=torch.cuda.get_device_properties(0).total_memory if gpu else None,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )


def run_steps(steps, setting, out):
    """Run what is not there yet and fits into the time; return names of steps by what became of them."""
    became = dict(done=[], failed=[], there=[], left_out=[])
    for step in steps:
        file = out / f"{step.name}.json"
        left = setting.deadline - time.monotonic()
        if file.exists():
            became["there"].append(step.name)
        elif step.seconds > left and not setting.smoke:
            became["left_out"].append(step.name)
        else:
            begun = time.monotonic()
            try:
                with nullcontext() if setting.smoke else at_most(left):
                    values = attempt(step, setting)
            except OutOfTime:
                became["left_out"].append(step.name)
                print(f"{step.name}: stopped, since the time is over", flush=True)
                continue
            seconds = time.monotonic() - begun
            save_result(file, values, about(setting, step), seed="gpu", seconds=round(seconds, 1))
            became["failed" if "error" in values else "done"].append(step.name)
            print(f"{step.name}: {values.get('error', 'done')}, {seconds:.1f} s", flush=True)
            if not device_answers(setting.device):
                print(
                    "the device does not answer any more: run this again, and it goes on with the next step"
                )
                break
    return became


def chosen_steps(names, smoke):
    """The steps of these names, or all that a size has."""
    if unknown := set(names or ()) - {step.name for step in STEPS}:
        raise SystemExit(f"no step {', '.join(sorted(unknown))}; --list names them")
    return [step for step in STEPS if (step.name in names if names else step.in_smoke or not smoke)]


def run(args, start, temporary):
    """Do what the command line asks for; return the exit status."""
    logging.set_verbosity_error()
    steps = chosen_steps(args.only, args.smoke)
    if args.list:
        print(*(f"{step.name}: {step.seconds} s planned" for step in steps), sep="\n")
        return 0
    device = args.device or default_device()
    out = args.out or (Path("results/gpu") if device == "cuda" else temporary / "results")
    setting = Setting(device, args.smoke, args.checkpoints or out / "checkpoints", start + 60 * args.minutes)
    if args.prepare:
        for name in GPU_RECIPES:
            training_clips(setting, load_backbone(name, device=device), name, progress=True)
        return 0
    became = run_steps(steps, setting, out)
    write_json(out / "summary.json", became | dict(seconds=round(time.monotonic() - start, 1)))
    for what, names in became.items():
        if names:
            print(f"{what.replace('_', ' ')}: {', '.join(names)}")
    return 1 if became["failed"] else 0
