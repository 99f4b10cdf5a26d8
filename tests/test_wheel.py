"""The built wheel: what is in it, and that it works where nothing else of the project is."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from conftest import copy_checkout

SAMPLE = """
import motionrepro
from motionrepro.backbones import load_backbone, sample_images
tiny = load_backbone("tiny")
images = sample_images(tiny, ["a red circle on a plain gray background"], num_inference_steps=4)
assert tuple(images.shape) == (1, 3, 64, 64), images.shape
assert 0 <= images.min() < images.max() <= 1
print(motionrepro.__file__)
"""


def run(*command, cwd, **env):
    """Output of a command that succeeds, without this process's Python path."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=inherited | env
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tracked, tmp_path_factory):
    """The wheel of a fresh copy, built once for all tests."""
    copy = copy_checkout(tracked, tmp_path_factory.mktemp("wheel") / "copy")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=copy)
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture
def outside():
    """A folder outside the checkout that is gone afterwards: an environment is large."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_the_wheel_holds_the_package_and_nothing_else(wheel, tracked):
    with zipfile.ZipFile(wheel) as z:
        names = {n for n in z.namelist() if ".dist-info/" not in n}
        info = {Path(n).name: z.read(n).decode() for n in z.namelist() if ".dist-info/" in n}
    assert names == {p.as_posix() for p in tracked if p.parts[0] == "motionrepro"}
    assert any(n.startswith("motionrepro/assets/") and n.endswith(".safetensors") for n in names)
    assert "motionrepro=motionrepro.cli:main" in info["entry_points.txt"].replace(" ", "")
    needed = [line for line in info["METADATA"].splitlines() if line.startswith("Requires-Dist")]
    assert any("torch>=" in line and "extra" not in line for line in needed)
    assert all("extra" in line for line in needed if "nbdev" in line or "pytest" in line)


def test_the_wheel_works_outside_the_checkout(wheel, outside, root):
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        outside,
        wheel,
        cwd=outside,
    )
    code = run(
        sys.executable,
        root / "tools" / "offline.py",
        SAMPLE,
        cwd=outside,
        PYTHONPATH=str(outside),
        HF_HUB_OFFLINE="1",
    )
    assert Path(code.split()[-1]).is_relative_to(outside)


PROJECT = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"
[project]
name = "somebodys-video"
version = "1"
dependencies = ["motionrepro"]
""",
    "somebodys_video.py": """
from diffusers import UNet2DConditionModel
from motionrepro.temporal.adapter import MotionAdaptiveUNet, TemporalAdapter
from motionrepro.temporal.noise import correlated_noise


def clip(unet: UNet2DConditionModel, text, frames: int):
    noise = correlated_noise((1, frames, unet.config.in_channels, 8, 8), rho=0.6)
    with MotionAdaptiveUNet(unet, TemporalAdapter.for_unet(unet)) as model:
        return model(noise, 500, text, 0.4).sample
""",
}
PROJECT_RUN = """
import torch
from motionrepro.backbones import load_backbone
from somebodys_video import clip
tiny = load_backbone("tiny")
print(*clip(tiny.unet, tiny.encode_text(["a red circle"]), 4).shape)
"""


def test_somebody_elses_project_builds_on_the_wheel(wheel, outside, root):
    source = outside / "source"
    source.mkdir()
    for name, text in PROJECT.items():
        (source / name).write_text(text)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=source)
    built = next((source / "dist").glob("*.whl"))
    together = outside / "together"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", together)
    run(*pip, wheel, built, cwd=outside)
    env = dict(PYTHONPATH=str(together), HF_HUB_OFFLINE="1")
    said = run(sys.executable, root / "tools" / "offline.py", PROJECT_RUN, cwd=outside, **env)
    assert said.split() == ["1", "4", "4", "8", "8"]


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel, outside, root):
    run(sys.executable, "-m", "venv", outside / "env", cwd=outside)
    python = outside / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=outside)
    installed = run(
        python,
        root / "tools" / "offline.py",
        SAMPLE,
        cwd=outside,
        HF_HUB_OFFLINE="1",
        HF_HOME=str(outside / "hub"),
    )
    assert Path(installed.split()[-1]).is_relative_to(outside)
    assert "nbdev" not in run(python, "-m", "pip", "list", cwd=outside)
    assert "usage" in run(outside / "env" / "bin" / "motionrepro", "--help", cwd=outside).lower()
