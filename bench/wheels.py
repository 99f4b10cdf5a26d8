"""The wheels that bench/gpu.py needs: collected on a machine with an index, used on one without.

Only the standard library is imported here.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import MagicMock

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 64 * 10**6
# what is imported beyond torch and what torch itself needs
NEEDED = (
    "accelerate",
    "certifi",
    "charset-normalizer",
    "diffusers",
    "h11",
    "httpcore2",
    "httpx2",
    "huggingface_hub",
    "idna",
    "importlib_metadata",
    "numpy",
    "packaging",
    "pillow",
    "psutil",
    "PyYAML",
    "regex",
    "requests",
    "safetensors",
    "tokenizers",
    "tqdm",
    "transformers",
    "truststore",
    "urllib3",
    "zipp",
)
PLATFORMS = (
    "manylinux_2_28",
    "manylinux_2_27",
    "manylinux_2_17",
    "manylinux2014",
    "manylinux_2_12",
    "manylinux2010",
)
LIST = "wheels.json"


def checksum(path):
    """The SHA-256 of a file, as hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(folder, names, python, machine="x86_64"):
    """Download wheels of the versions that are installed here, for Python `python`, such as "3.12"."""
    pinned = [f"{name}=={metadata.version(name)}" for name in names]
    platforms = [option for p in PLATFORMS for option in ("--platform", f"{p}_{machine}")]
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, *target, "--dest", str(folder), *pinned], check=True)


def build_package(folder, weights):
    """Build the wheel of this checkout, with or without the weights that it ships."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "copy"
        skipped = shutil.ignore_patterns("__pycache__", *([] if weights else ["*.safetensors"]))
        shutil.copytree(ROOT / "motionrepro", copy / "motionrepro", ignore=skipped)
        for name in ("setup.py", "settings.ini", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy / name)
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(folder.resolve()),
        ]
        subprocess.run(command, cwd=copy, check=True, stdout=subprocess.DEVNULL)


def describe(path):
    """Name, version, size and checksum of a wheel."""
    name, version = path.name.split("-")[:2]
    return dict(name=name, version=version, file=path.name, bytes=path.stat().st_size, sha256=checksum(path))


def collect(folder, python=None, without=(), weights=False):
    """Put all wheels into a new folder, with a list of them; return the list."""
    folder = Path(folder)
    if any(folder.glob("*.whl")):
        sys.exit(f"{folder} holds wheels already: delete them, or give another folder")
    lower = {name.lower() for name in without}
    if unknown := lower - {name.lower() for name in (*NEEDED, "motionrepro")}:
        sys.exit(f"--without names what is not collected: {', '.join(sorted(unknown))}")
    folder.mkdir(parents=True, exist_ok=True)
    python = python or ".".join(map(str, sys.version_info[:2]))
    download(folder, [name for name in NEEDED if name.lower() not in lower], python)
    if "motionrepro" not in lower:
        build_package(folder, weights)
    wheels = [describe(path) for path in sorted(folder.glob("*.whl"))]
    size = sum(wheel["bytes"] for wheel in wheels)
    if size > MOST_BYTES:
        sys.exit(f"{size / 1e6:.1f} MB of wheels, and {MOST_BYTES / 1e6:.0f} may travel: use --without")
    (folder / LIST).write_text(json.dumps(dict(python=python, bytes=size, wheels=wheels), indent=1))
    return wheels


def fits(name, version=sys.version_info):
    """Whether a wheel of this file name is for this Python."""
    python, abi = name.removesuffix(".whl").split("-")[-3:-1]
    here = f"cp{version[0]}{version[1]}"
    if abi == "none":
        return any(tag in ("py3", here) for tag in python.split("."))
    if abi == "abi3":
        return python.startswith("cp3") and int(python[3:]) <= version[1]
    return python == here


def unpack(folder, target):
    """Unpack the wheels of a folder, checked against its list; return those for another Python."""
    foreign = []
    for wheel in json.loads((folder / LIST).read_text())["wheels"]:
        path = folder / wheel["file"]
        if checksum(path) != wheel["sha256"]:
            sys.exit(f"{path} is damaged: its checksum is not that of {LIST}")
        if not fits(path.name):
            foreign.append(path.name)
            continue
        with zipfile.ZipFile(path) as z:
            z.extractall(target)
    return foreign


def stand_in_for_av():
    """Let modules that read and write videos be imported without PyAV; nothing here does either."""
    if importlib.util.find_spec("av") is None:
        av = MagicMock(name="av", __version__="0")
        av.__spec__ = ModuleSpec("av", None)
        sys.modules |= {"av": av, "av.stream": av.stream}


def use(folder, target):
    """Make importable what lies in the wheels of a folder, if there are any, and in this checkout."""
    if (Path(folder) / LIST).exists():
        if foreign := unpack(Path(folder), Path(target)):
            print(f"made for another Python, and not used: {', '.join(foreign)}")
        sys.path.insert(0, str(target))
    if (ROOT / "motionrepro" / "__init__.py").exists():
        sys.path.insert(0, str(ROOT))
    stand_in_for_av()
