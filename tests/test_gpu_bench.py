"""The script for a GPU: what is done stays done, its wheels suffice, and claims read its results."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from importlib import metadata
from pathlib import Path

import pytest

from motionrepro import claims
from motionrepro.claims import check
from motionrepro.core import write_json

# claims


def result(values, **config):
    """A result as the script writes it, with invented numbers."""
    config = dict(smoke=False, device="an invented GPU", device_bytes=140e9) | config
    return dict(values=values, config=config, provenance=dict(time="2026-01-01T00:00:00Z"))


@pytest.fixture
def gpu_results(tmp_path, monkeypatch):
    """The folder in which claims look for the script's results; empty."""
    monkeypatch.setattr(check, "results_of", lambda kind: tmp_path / kind)
    return tmp_path / "gpu"


@pytest.mark.parametrize(
    "peak, verdict", [(30e9, "trend"), (60e9, "unspecified"), (90e9, "contradicted"), (None, "contradicted")]
)
def test_memory_of_a_training_step_is_taken_from_a_result(gpu_results, peak, verdict):
    write_json(gpu_results / "training-step-256.json", result(dict(peak_bytes=peak)))
    (row,) = claims.decide("A22", "smoke", folder=gpu_results.parent / "claims")
    numbers = row["evidence"]["numbers"]
    assert claims.CHECKS["A22"].judge(numbers) == verdict and numbers["measured"] == {"256": peak}
    assert "measured on an invented GPU" in row["ours"]


def test_a_small_gpu_that_runs_out_of_memory_decides_nothing(gpu_results):
    write_json(gpu_results / "training-step-256.json", result(dict(peak_bytes=None), device_bytes=24e9))
    (row,) = claims.decide("A22", "smoke", folder=gpu_results.parent / "claims")
    assert claims.CHECKS["A22"].judge(row["evidence"]["numbers"]) == "open"


@pytest.mark.parametrize("ratio, verdict", [(2.4, "needs weights"), (0.9, "contradicted")])
def test_times_of_reuse_are_taken_from_a_result(gpu_results, ratio, verdict):
    before = claims.CHECKS["B13"].measure({})
    assert "gpu" not in before
    quartiles = {way: dict(median=seconds) for way, seconds in (("framewise", 4.8), ("reuse", 2.0))}
    values = dict(seconds=quartiles, speedup=dict(framewise=dict(median=ratio)), ideal=2.5, steps=50)
    write_json(gpu_results / "reuse-512.json", result(values))
    numbers = claims.CHECKS["B13"].measure({})
    runs = dict.fromkeys(("200", "auto"), [dict(measured=1.5, clock=1.5, ideal=2.0)])
    numbers |= dict(n=9, base="tiny", speed=runs, rate={})  # whatever is stored
    assert claims.CHECKS["B13"].judge(numbers) == verdict
    said = claims.CHECKS["B13"].summary(numbers)
    assert "an invented GPU, SD 1.5's size, 50 steps, 512 pixels: 4.80 s in full, 2.00 s with reuse" in said


# the script


def stored(folder):
    """Results by name of the step, and when their files were written."""
    files = {p.stem: p for p in folder.glob("*.json") if p.name != "summary.json"}
    return {name: (json.loads(p.read_text()), p.stat().st_mtime_ns) for name, p in files.items()}


def test_a_step_ends_when_the_time_is_over(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(root / "bench")
    import gpu_steps

    def slow(setting):
        while True:
            with contextlib.suppress(Exception):  # a step may catch what it likes
                time.sleep(60)

    steps = [
        gpu_steps.Step("fast", 0.1, lambda setting: dict(value=1)),
        gpu_steps.Step("slow", 0.1, slow),
        gpu_steps.Step("late", 0.1, lambda setting: dict(value=2)),
    ]
    setting = gpu_steps.Setting("cpu", False, tmp_path / "checkpoints", time.monotonic() + 1)
    became = gpu_steps.run_steps(steps, setting, tmp_path)
    assert (became["done"], became["left_out"]) == (["fast"], ["slow", "late"])
    assert set(stored(tmp_path)) == {"fast"}
    assert time.monotonic() < setting.deadline + 5


@pytest.mark.slow
def test_a_killed_run_goes_on_with_what_is_missing(root, tmp_path):
    command = [sys.executable, root / "bench" / "gpu.py", "--smoke", "--device", "cpu", "--out", tmp_path]
    begun = subprocess.Popen([str(c) for c in command])
    while not stored(tmp_path):
        assert begun.poll() is None
        time.sleep(0.05)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    first = stored(tmp_path)
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    after = stored(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert first and {name: after[name] for name in first} == first
    assert set(summary["there"]) == set(first) and summary["failed"] == summary["left_out"] == []
    assert set(summary["done"]) == after.keys() - first.keys() and len(after) == 7
    for name, (step, _) in after.items():
        assert "error" not in step["values"] and step["values"]["dtype"], name
        assert step["config"]["smoke"] and step["config"]["device"] == "cpu" and step["config"]["torch"]


def torch_alone(folder):
    """A folder from which torch, and nothing else that the package needs, can be imported."""
    names = ("torch", "filelock", "fsspec", "jinja2", "MarkupSafe", "mpmath", "networkx", "sympy")
    site = Path(sysconfig.get_path("purelib"))
    folder.mkdir()
    for name in (*names, "typing_extensions", "setuptools"):
        tops = {
            path.parts[0] for path in metadata.files(name) or [] if path.parts[0] not in ("..", "__pycache__")
        }
        for top in tops:
            (folder / top).symlink_to(site / top)
    for top in ("nvidia", "triton", "cuda"):  # where torch is built for a GPU
        if (site / top).exists() and not (folder / top).exists():
            (folder / top).symlink_to(site / top)
    return folder


@pytest.mark.slow
def test_the_wheels_and_torch_suffice(root, tmp_path):
    """Collects with an index, then runs a copy of the folder without the environment."""
    bench = shutil.copytree(root / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("wheels"))
    collect = [sys.executable, root / "bench" / "gpu.py", "--collect-wheels", bench / "wheels"]
    subprocess.run([str(c) for c in collect], check=True)
    listed = json.loads((bench / "wheels" / "wheels.json").read_text())
    assert listed["bytes"] == sum(p.stat().st_size for p in (bench / "wheels").glob("*.whl")) <= 64e6
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env["PYTHONPATH"] = str(torch_alone(tmp_path / "torch"))
    command = [sys.executable, "-S", bench / "gpu.py", "--smoke", "--out", tmp_path / "out"]
    command += ["--device", "cpu", "--only", "forward-eager-bf16-32", "training-step-256"]
    done = subprocess.run([str(c) for c in command], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stored(tmp_path / "out").keys() == {"forward-eager-bf16-32", "training-step-256"}
    next((bench / "wheels").glob("tqdm-*.whl")).write_bytes(b"")
    damaged = subprocess.run([str(c) for c in command], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert damaged.returncode and "damaged" in damaged.stderr


def test_wheels_for_another_python_are_recognised(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "bench")
    import wheels

    fitting = (
        "a-1-py3-none-any.whl",
        "a-1-cp39-abi3-x.whl",
        "a-1-cp312-cp312-x.whl",
        "a-1-py2.py3-none-any.whl",
    )
    assert all(wheels.fits(name, (3, 12)) for name in fitting)
    assert not any(wheels.fits(name, (3, 12)) for name in ("a-1-cp311-cp311-x.whl", "a-1-cp313-abi3-x.whl"))
