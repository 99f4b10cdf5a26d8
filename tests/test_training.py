"""A training run killed with SIGKILL and started again ends with the weights of an undisturbed one."""
import os
import signal
import subprocess
import sys
import time

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
