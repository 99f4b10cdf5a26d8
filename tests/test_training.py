"""A training run killed with SIGKILL and started again ends with the weights of an undisturbed one."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

SCRIPT = """
import sys, time, torch
from motionrepro.training.loop import TrainConfig, train

def loss(model, step, random):
    time.sleep(.01)                                            # long enough to be hit in the middle
    x = torch.nn.functional.dropout(torch.randn(16, 4, generator=random), .1)
    return dict(loss=(model(x) - x.sum(1, keepdim=True)).square().mean())

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
train(model, loss, TrainConfig(steps=200, lr=.01, precision="fp32", checkpoint_seconds=0.), sys.argv[1], device="cpu", progress=False)
torch.save(model.state_dict(), sys.argv[1] + "/final.pt")
"""


def run(folder):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)])


def test_killed_and_resumed(tmp_path):
    whole, broken = tmp_path/"whole", tmp_path/"broken"
    assert run(whole).wait(120) == 0
    steps = []
    for _ in range(2):
        process, checkpoint = run(broken), broken/"checkpoint.pt"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        deadline = time.monotonic() + 60
        while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before) and time.monotonic() < deadline:
            time.sleep(.005)
        time.sleep(.15)                                        # some steps on, at no particular point
        process.send_signal(signal.SIGKILL)
        process.wait()
        steps.append(torch.load(checkpoint, weights_only=True)["step"])
    assert 0 < steps[0] < steps[1] < 200, f"killed at {steps}: not in the middle of the run"
    assert run(broken).wait(120) == 0
    a, b = (torch.load(f/"final.pt", weights_only=True) for f in (whole, broken))
    assert all(torch.equal(a[k], b[k]) for k in a)
    leftovers = [f for f in os.listdir(broken) if f.startswith(".")]
    assert len(leftovers) <= 2, leftovers                      # at most one unfinished temporary file for each kill


def train_an_adapter(folder, seconds_between=120.):
    """A run of the real training function on a small base; its weights."""
    from dataclasses import replace
    from diffusers import UNet2DConditionModel
    from motionrepro.backbones import load_backbone
    from motionrepro.training.adapter import AdapterRecipe, clip_cache, train_adapter
    torch.manual_seed(5)
    unet = UNet2DConditionModel(sample_size=4, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=16, attention_head_dim=2,
                                cross_attention_dim=96, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D")).eval()
    small = replace(load_backbone("tiny", device="cpu"), unet=unet)
    cache = clip_cache(small, Path(folder).parent/"clips.pt", size=32, num_frames=4, interval=1, length=8, progress=False)
    recipe = AdapterRecipe(adapter=dict(num_heads=2, head_dim=8, ff_dim=16, gate_init=.5), batch=2, steps=80, warmup=5, lr=.01, size=32, num_frames=4,
                           interval=1, precision="fp16", ema=.9)
    adapter, _ = train_adapter(recipe, folder, small, cache, sample_every=1000, checkpoint_seconds=seconds_between, progress=False)
    return adapter.state_dict()


def test_an_adapter_killed_and_resumed(tmp_path):
    whole, broken = train_an_adapter(tmp_path/"whole"), tmp_path/"broken"
    process = subprocess.Popen([sys.executable, "-c", f"from test_training import train_an_adapter; train_an_adapter({str(broken)!r}, 0.)"],
                               cwd=Path(__file__).parent)
    checkpoint, deadline = broken/"checkpoint.pt", time.monotonic() + 300
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(.005)
    time.sleep(.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(checkpoint, weights_only=True)
    assert 0 < state["step"] < 80 and state["scaler"]["scale"] > 0, "not killed in the middle of the run"
    resumed = train_an_adapter(broken)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
