"""The house: set-up, notebooks and modules in step, sizes, and a light import."""

import json
import re
import runpy
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest


def run(*command, cwd=None):
    """The finished process; its output is shown when the test fails."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done


def notebooks(root):
    return sorted(
        p
        for folder in ("nbs", "paper_figures")
        for p in (root / folder).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in p.parts
    )


def markdown_of(path):
    """The texts of a notebook's Markdown cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def headings_of(path):
    """What links call a notebook's headings, in lower case, since the README's are."""
    lines = "\n".join(markdown_of(path)).splitlines()
    return {
        re.sub(r"^#+ ", "", line).strip().replace(" ", "-").lower() for line in lines if line.startswith("#")
    }


def test_a_second_make_installs_nothing(root):
    if not (root / ".venv" / ".installed").exists():
        pytest.skip("this environment was not made by make")
    assert run("make", "--question", "setup", cwd=root).returncode == 0
    assert "pip" not in run("make", "--dry-run", "setup", cwd=root).stdout


def test_make_installs_again_when_the_requirements_change(root):
    assert "pip install" in run("make", "--dry-run", "--what-if=settings.ini", "setup", cwd=root).stdout


def test_make_leaves_out_cuda_or_takes_the_lowest_versions(root):
    def commands(option):
        lines = run(
            "make", "--dry-run", "--what-if=settings.ini", option, "setup", cwd=root
        ).stdout.splitlines()
        return [line for line in lines if "pip install" in line]

    first, rest = commands("CPU=1")
    assert "--index-url https://download.pytorch.org/whl/cpu" in first and "requirements.py torch" in first
    assert "--index-url" not in rest and ".[dev]" in rest
    (only,) = commands("LOWEST=1")
    assert "--constraint .venv/lowest.txt" in only and "--constraint" not in rest


def test_requirements_come_from_one_file(root):
    settings = (root / "settings.ini").read_text()
    script = root / "tools" / "requirements.py"
    pinned = run(sys.executable, script, "lowest").stdout.split()
    assert any(line.startswith("torch==") for line in pinned)
    assert all(line.replace("==", ">=") in settings for line in pinned)
    assert [line.split(">=")[0] for line in run(sys.executable, script, "torch").stdout.split()] == [
        "torch",
        "torchvision",
    ]
    assert run(sys.executable, script).returncode != 0
    project = (root / "pyproject.toml").read_text()
    assert f'name = "{re.search("^lib_name = (.+)$", settings, re.M).group(1)}"' in project


def test_make_names_what_python_it_needs(fresh_copy, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    failed = run("make", f"PYTHON={old}", cwd=fresh_copy)
    assert (
        failed.returncode and "Python 3.10 or newer" in failed.stderr and not (fresh_copy / ".venv").exists()
    )


def test_half_an_environment_is_made_anew(fresh_copy):
    (fresh_copy / ".venv").mkdir()
    assert "-m venv --clear" in run("make", "--dry-run", cwd=fresh_copy).stdout


@pytest.mark.parametrize("command", ["nbdev_export", "nbdev_clean", "nbdev_clean --fname paper_figures"])
def test_notebooks_and_modules_are_in_step(fresh_copy, command):
    def state():
        return {
            p: p.read_bytes()
            for p in fresh_copy.rglob("*")
            if p.is_file() and p.suffix in (".py", ".ipynb", ".md")
        }

    before, (program, *arguments) = state(), command.split()
    assert run(Path(sys.executable).parent / program, *arguments, cwd=fresh_copy).returncode == 0
    after = state()
    changed = [
        str(p.relative_to(fresh_copy)) for p in before.keys() | after.keys() if before.get(p) != after.get(p)
    ]
    assert not changed, f"{command} changes {changed}"


def test_readme_is_current(root, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["readme.py", "--check"])
    runpy.run_path(str(root / "tools" / "readme.py"), run_name="__main__")  # exits where the two differ


def test_readme_links_lead_somewhere(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    links = [
        link for link in re.findall(r"(?:\]\(|src=\")([^)\"\s]+)", text) if not re.match(r"[a-z]+:|#", link)
    ]
    assert len(links) > 5
    missing = [link for link in links if not (root / link.split("#")[0]).exists()]
    assert not missing, f"README.md links to {missing}"


def test_notebooks_link_to_what_is_there(root):
    """Files, and headings of notebooks, as `file.ipynb#A-heading`."""
    missing, found = [], 0
    for path in notebooks(root):
        for text in markdown_of(path):
            for link in re.findall(r"(?:\]\(|src=\")([^)\"\s]+)", text):
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, heading = link.partition("#")
                target = path.parent / name if name else path
                found += 1
                there = target.exists() and (not heading or heading.lower() in headings_of(target))
                if not there:
                    missing.append(f"{path.name}: {link}")
    assert found > 50 and not missing, missing


def test_every_module_comes_from_a_notebook(root):
    exported = set()
    for path in (root / "nbs").rglob("*.ipynb"):
        exported |= set(re.findall(r"#\|\s*default_exp ([\w.]+)", path.read_text(encoding="utf-8")))
    plain = ("cli", "app", "__main__.py", "_modidx.py")  # written by hand, or by nbdev itself
    package = root / "motionrepro"
    written = [p for p in package.rglob("*.py") if p.relative_to(package).parts[0] not in plain]
    bare = [
        p
        for p in written
        if p.name == "__init__.py"
        and re.fullmatch(r'(__version__ = ".*"\s*)?', p.read_text(encoding="utf-8"))
    ]
    modules = {
        ".".join(p.relative_to(root / "motionrepro").with_suffix("").parts) for p in written if p not in bare
    }
    assert modules and exported == modules


def test_no_notebook_is_exempt_from_the_tests(root):
    for path in notebooks(root):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"#\|\s*eval:\s*false|skip_exec", text), path
    assert not [p for folder in ("nbs", "paper_figures") for p in (root / folder).rglob(".notest")]


def test_notebooks_carry_no_large_output(root):
    for path in notebooks(root):
        size = sum(
            len(json.dumps(c.get("outputs", [])))
            for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
        )
        assert size < 400_000, f"{path}: {size} bytes of output"


def test_the_manifest_lists_every_figure_notebook(root):
    from motionrepro.figures.overview import load_manifest

    listed = [f.notebook for f in load_manifest(root / "paper_figures")]
    assert sorted(listed) == sorted(p.name for p in (root / "paper_figures").glob("*.ipynb"))


def test_shipped_weights_stay_small(root, tracked):
    shipped = [root / p for p in tracked if p.parts[:2] == ("motionrepro", "assets")]
    assert sum(p.stat().st_size for p in shipped) < 40 * 2**20
    assert not [p for p in shipped if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")], (
        "weights are safetensors"
    )


def test_the_package_imports_light():
    def seconds(code):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
        return time.perf_counter() - start

    code = "import motionrepro, sys; assert not {'torch', 'numpy', 'diffusers'} & set(sys.modules)"
    with_it, without = zip(*[(seconds(code), seconds("pass")) for _ in range(5)])
    assert statistics.median(with_it) - statistics.median(without) < 0.3


def test_cards_are_told_as_they_are_stored(root):
    from motionrepro.core import read_json
    from motionrepro.training.base import card_text

    cards = sorted((root / "motionrepro" / "assets").rglob("card.json"))
    assert len(cards) >= 9
    for card in cards:
        assert card.with_name("README.md").read_text(encoding="utf-8") == card_text(read_json(card)), card
