"""A training run killed with SIGKILL and started again ends with the weights of an undisturbed one."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

WAITING = multiprocessing.get_context("forkserver")  # imports PyTorch once for all processes that are killed
WAITING.set_forkserver_preload(["motionrepro.training.loop", "motionrepro.training.adapter"])


def start(function, *args):
    """A process of its own that calls a function of this file."""
    process = WAITING.Process(target=function, args=args)
    process.start()
    return process


def finish(process):
    """The exit status of a process that ends by itself."""
    process.join(600)  # a busy machine is no failure
    return process.exitcode


def kill_in_the_middle(process, checkpoint, seconds):
    """The checkpoint of a training that is killed some steps after it wrote one, at no particular point."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    deadline = time.monotonic() + 300
    while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
        if not process.is_alive() or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()  # SIGKILL
    process.join()
    return torch.load(checkpoint, weights_only=True)


def train_a_line(folder):
    """Train a small network on made-up numbers, 200 steps of 10 ms."""
    from motionrepro.training.loop import TrainConfig, train

    def loss(model, step, random):
        time.sleep(0.01)  # long enough to be hit in the middle
        x = torch.nn.functional.dropout(torch.randn(16, 4, generator=random), 0.1)
        return dict(loss=(model(x) - x.sum(1, keepdim=True)).square().mean())

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
    config = TrainConfig(steps=200, lr=0.01, precision="fp32", checkpoint_seconds=0.0)
    train(model, loss, config, folder, device="cpu", progress=False)
    torch.save(model.state_dict(), folder / "final.pt")


def test_killed_and_resumed(tmp_path):
    whole = tmp_path / "whole"
    broken = tmp_path / "broken"
    assert finish(start(train_a_line, whole)) == 0
    killed = [
        kill_in_the_middle(start(train_a_line, broken), broken / "checkpoint.pt", 0.15) for _ in range(2)
    ]
    steps = [state["step"] for state in killed]
    assert 0 < steps[0] < steps[1] < 200, f"killed at {steps}: not in the middle of the run"
    assert finish(start(train_a_line, broken)) == 0
    a, b = (torch.load(f / "final.pt", weights_only=True) for f in (whole, broken))
    assert all(torch.equal(a[k], b[k]) for k in a)
    leftovers = [f for f in os.listdir(broken) if f.startswith(".")]
    assert len(leftovers) <= 2, leftovers  # at most one unfinished temporary file for each kill


def as_one_of_several(rank, processes, port, function, *args):
    """Call a function of this file as torchrun would have it called in one of its processes."""
    address = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    os.environ.update({k: str(v) for k, v in (address | dict(RANK=rank, WORLD_SIZE=processes)).items()})
    os.environ.update(LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(processes))
    function(*args)


def start_several(processes, function, *args):
    """So many processes that call a function of this file together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(as_one_of_several, rank, processes, port, function, *args) for rank in range(processes)]


def train_with_others(folder, accumulation, stop_at=None):
    """Train a small network for 20 steps as one of the processes that share each step's batches."""
    from motionrepro.training.loop import TrainConfig, train

    def loss(model, step, random):
        x = torch.nn.functional.dropout(torch.randn(16, 4, generator=random), 0.1)
        return dict(loss=(model(x) - x.sum(1, keepdim=True)).square().mean(), largest=x.max())

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
    config = TrainConfig(
        steps=20, lr=0.01, warmup=5, precision="fp32", accumulation=accumulation, log_every=1
    )
    train(model, loss, config, folder, device="cpu", progress=False, stop_at=stop_at)
    torch.save(model.state_dict(), folder / f"final-{os.environ.get('RANK', 0)}.pt")


def same_training(one, two):
    """Whether two processes ended with the weights and the log of one that had their batches."""
    files = [one / "final-0.pt", two / "final-0.pt", two / "final-1.pt"]
    alone, first, second = (torch.load(f, weights_only=True) for f in files)
    for k, v in alone.items():
        torch.testing.assert_close(first[k], v, rtol=1e-6, atol=1e-6)
        assert torch.equal(second[k], first[k])
    logs = [json.loads((f / "log.json").read_text())["log"] for f in (one, two)]
    assert len(logs[0]) == len(logs[1]) == 20
    for a, b in zip(*logs):
        for k in ("loss", "largest", "grad_norm"):
            assert abs(a[k] - b[k]) <= 1e-6 * abs(a[k]), k


def test_two_processes_see_what_one_sees_with_twice_the_batches_and_go_on_from_a_checkpoint(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert finish(start(train_with_others, one, 2)) == 0
    script = tmp_path / "two.py"
    script.write_text(
        f"import pathlib, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"import test_training; folder = pathlib.Path({str(two)!r})\n"
        "test_training.train_with_others(folder, 1, stop_at=8)\n"
        "test_training.train_with_others(folder, 1)\n"  # goes on from the checkpoint
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*launch, script], check=True, timeout=400)
    same_training(one, two)


def in_double_precision(module, inputs, named):
    """Convert what a module is given."""

    def double(value):
        return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    return tuple(double(v) for v in inputs), {k: double(v) for k, v in named.items()}


def gradients_of_an_adapter(folder, clips, batch, accumulation):
    """Write the gradients of three steps of an adapter that learns nothing, for clips of each kind.

    They are computed in double precision: where clips change places, single precision alone makes 1e-6.
    """
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from motionrepro.training.adapter import AdapterRecipe, make_adapter, train_adapter
    from motionrepro.training.prepare import ClipStream

    recipe = AdapterRecipe(
        adapter=dict(num_heads=2, head_dim=8, ff_dim=16, gate_init=0.5),
        batch=batch,
        accumulation=accumulation,
        steps=3,
        lr=0.0,
        clip=1e6,
        size=32,
        num_frames=4,
        interval=1,
        precision="fp32",
        gradient_checkpointing=False,
        rho="spread",
        weighting="min-snr",
        consistency_weight=1.0,
        caption_drop=0.5,
    )
    torch.set_default_dtype(torch.float64)
    base = small_base()
    base.unet.register_forward_pre_hook(in_double_precision, with_kwargs=True)
    adapter = make_adapter(recipe, base.unet)  # the identity has no gradients but those of its last layers
    random = torch.Generator().manual_seed(3)
    for parameter in adapter.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=random)
    seen = []
    register_optimizer_step_pre_hook(
        lambda optimizer, *_: seen.append([p.grad.clone() for p in optimizer.param_groups[0]["params"]])
    )
    kinds = dict(
        cache=torch.load(clips / "cache.pt", weights_only=True),
        shards=ClipStream(clips / "shards", batch, accumulation),
    )
    for kind, data in kinds.items():
        train_adapter(recipe, folder / kind, base, data, adapter, progress=False, sample_every=1000)
    torch.save(seen, folder / f"gradients-{os.environ.get('RANK', 0)}.pt")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with clips as a file and as shards."""
    from motionrepro.backbones import load_backbone
    from motionrepro.data.shards import find_videos
    from motionrepro.data.video import write_video
    from motionrepro.data.world import render, sample_scene
    from motionrepro.training.prepare import ClipEncoder, clip_cache, clip_options, encode_videos

    folder = tmp_path_factory.mktemp("clips")
    base = load_backbone("tiny", device="cpu")
    shape = dict(size=32, num_frames=4, interval=1)
    clip_cache(base, folder / "cache.pt", length=8, progress=False, **shape)
    for k in range(8):
        write_video(folder / "videos" / f"{k}.gif", render(sample_scene(k, num_frames=6), 32)["video"])
        (folder / "videos" / f"{k}.txt").write_text(f"a red circle {k}")
    videos, left_out = find_videos(folder / "videos")
    encoder = ClipEncoder("tiny", "cpu", base)
    encode_videos(videos, folder / "shards", encoder, clip_options(**shape), False, left_out=left_out)
    return folder


WAYS = dict(whole=(0,), turns=(0,), pair=(0, 1), both=(0, 1))  # ranks of the processes that share a batch


def test_gradients_are_those_of_one_process_with_the_doubled_batch(clips, tmp_path):
    whole = start(gradients_of_an_adapter, tmp_path / "whole", clips, 4, 1)
    turns = start(gradients_of_an_adapter, tmp_path / "turns", clips, 2, 2)
    pair = start_several(2, gradients_of_an_adapter, tmp_path / "pair", clips, 2, 1)
    both = start_several(2, gradients_of_an_adapter, tmp_path / "both", clips, 1, 2)  # their order counts
    assert [finish(process) for process in (whole, turns, *pair, *both)] == [0] * 6
    files = [f"{name}/gradients-{rank}.pt" for name, ranks in WAYS.items() for rank in ranks]
    expected, *others = (torch.load(tmp_path / file, weights_only=True) for file in files)
    assert len(expected) == 6 and all(len(other) == 6 for other in others)
    flat = [torch.cat([g.flatten() for g in gradients]) for gradients in expected]
    assert all(g.abs().max() > 0 for gradients in expected for g in gradients)
    assert all((a - b).norm() > 0.01 * a.norm() for k, a in enumerate(flat) for b in flat[:k])
    for other in others:
        for a, gradients in zip(flat, other):
            assert (torch.cat([g.flatten() for g in gradients]) - a).norm() <= 1e-9 * a.norm()


def trainings_of_parts(folder, n):
    """Functions that train for three steps with batches of n: the parts of a base, its judges, a selector."""
    from motionrepro import backbones
    from motionrepro.core import assets_path
    from motionrepro.training.autoencoder import train_vae
    from motionrepro.training.base import train_classifier, train_unet, train_video

    parts = [backbones.load_part(assets_path() / "tiny", name, "cpu") for name in ("vae", "text_encoder")]
    parts = [part.double() for part in parts]
    parts.append(backbones.load_part(assets_path() / "tiny", "tokenizer"))
    common = dict(device="cpu", progress=False, pool_length=8, batch=n)
    return dict(
        vae=lambda: train_vae(folder / "vae", 3, **common),
        unet=lambda: train_unet(folder / "unet", *parts, 3, **common),
        classifier=lambda: train_classifier(folder / "classifier", 3, **common),
        video=lambda: train_video(folder / "video", 3, **common),
        dss=lambda: train_made_up_selector(folder / "dss", batch=n, steps=3),
    )


def gradients_of_parts(folder, n):
    """Write the gradients of three steps of each training, and the losses of the first and the last one."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    multiprocessing.set_start_method("fork", force=True)  # as in processes of torchrun
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # single precision alone makes 1e-6 where items change places
    seen = []
    register_optimizer_step_pre_hook(
        lambda optimizer, *_: seen.append(
            torch.cat([p.grad.flatten() for p in optimizer.param_groups[0]["params"] if p.grad is not None])
        )
    )
    found = {}
    for name, training in trainings_of_parts(folder, n).items():
        _, history = training()
        found[name] = dict(gradients=list(seen), losses=[row["loss"] for row in history["log"]])
        seen.clear()
    torch.save(found, folder / f"found-{os.environ.get('RANK', 0)}.pt")


def test_base_and_selector_have_the_gradients_of_one_process_with_the_doubled_batch(tmp_path):
    whole = start(gradients_of_parts, tmp_path / "whole", 4)
    pair = start_several(2, gradients_of_parts, tmp_path / "pair", 2)
    assert [finish(process) for process in (whole, *pair)] == [0] * 3
    files = ("whole/found-0.pt", "pair/found-0.pt", "pair/found-1.pt")
    expected, *others = (torch.load(tmp_path / file, weights_only=True) for file in files)
    assert list(expected) == ["vae", "unet", "classifier", "video", "dss"]
    for name, one in expected.items():
        assert len(one["gradients"]) == 3
        assert all((a - b).norm() > 0.01 * a.norm() for a, b in zip(one["gradients"], one["gradients"][1:]))
        for other in (other[name] for other in others):
            for a, b in zip(one["gradients"], other["gradients"], strict=True):
                assert (a - b).norm() <= 1e-6 * a.norm(), name
            for a, b in zip(one["losses"], other["losses"], strict=True):
                assert abs(a - b) <= 1e-6 * abs(a), name


def small_base():
    """A frozen base that trains in seconds, always the same one."""
    from dataclasses import replace

    from diffusers import UNet2DConditionModel

    from motionrepro.backbones import load_backbone

    torch.manual_seed(5)
    unet = UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(32, 32),
        layers_per_block=1,
        norm_num_groups=16,
        attention_head_dim=2,
        cross_attention_dim=96,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()
    return replace(load_backbone("tiny", device="cpu"), unet=unet)


def train_made_up_selector(folder, batch, steps, **more):
    """A run of a step selector on made-up numbers; it and its log."""
    from motionrepro.training.dss import SelectorRecipe, train_dss

    random = torch.Generator().manual_seed(1)
    data = dict(
        statistics=torch.rand(40, 6, 7, generator=random),
        timesteps=list(range(950, 0, -160)),
        about=dict(clips="made up"),
        errors=dict(surrogate_relative=torch.rand(40, 6, 2, generator=random)),
    )
    recipe = SelectorRecipe(dict(hidden=16), steps=steps, batch=batch)
    return train_dss(recipe, folder, data, device="cpu", **dict(progress=False) | more)


def trained(target, folder, checkpoint_seconds=120.0):
    """A run of one of the real training functions on a small base; its weights."""
    from motionrepro.reuse.mtn import SMALL
    from motionrepro.training.adapter import AdapterRecipe, train_adapter
    from motionrepro.training.prepare import clip_cache
    from motionrepro.training.mtn import MotionRecipe, train_mtn

    more = dict(checkpoint_seconds=checkpoint_seconds, progress=False)
    if target == "dss":
        return train_made_up_selector(folder, batch=8, steps=400, **more)[0].state_dict()
    base = small_base()
    long = dict(num_frames=4, interval=1)
    cache = clip_cache(base, Path(folder).parent / "clips.pt", size=32, length=8, progress=False, **long)
    if target == "mtn":
        recipe = MotionRecipe(
            SMALL | dict(blocks=[0, 1]),
            references=2,
            size=32,
            batch=2,
            steps=30,
            warmup=5,
            lr=0.01,
            schedule_steps=2,
            precision="fp32",
            ema=0.9,
            **long,
        )
        return train_mtn(recipe, folder, base, cache, **more)[0].state_dict()
    recipe = AdapterRecipe(
        adapter=dict(num_heads=2, head_dim=8, ff_dim=16, gate_init=0.5),
        batch=2,
        steps=30,
        warmup=5,
        lr=0.01,
        size=32,
        precision="fp16",
        ema=0.9,
        **long,
    )
    return train_adapter(recipe, folder, base, cache, sample_every=1000, **more)[0].state_dict()


@pytest.mark.parametrize("target, steps", [("adapter", 30), ("mtn", 30), ("dss", 400)])
def test_each_training_killed_and_resumed(target, steps, tmp_path):
    whole = trained(target, tmp_path / "whole")
    broken = tmp_path / "broken"
    state = kill_in_the_middle(start(trained, target, broken, 0.0), broken / "checkpoint.pt", 0.2)
    assert 0 < state["step"] < steps, "not killed in the middle of the run"
    if target == "adapter":
        assert state["scaler"]["scale"] > 0
    resumed = trained(target, broken)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
