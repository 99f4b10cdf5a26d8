"""The tutorial's commands do what its cells do, and run; so do those of the how-to."""

import os
import re
import shlex
import shutil
from pathlib import Path

import nbformat
import pytest
from conftest import cli, parsed

# What makes a command quick here; all else is as it stands. Of two options of a name the last one counts.
QUICK = dict(train="--steps 1 --validation 0.05", sample="--steps 2", edit="--steps 2 --num-frames 3")


def commands(text):
    """The commands in the shell blocks of a text: what starts the package's, and their arguments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if line and line[0] != "pip"]
    places = [line.index("motionrepro") for line in lines]
    return [(line[:place], line[place + 1 :]) for line, place in zip(lines, places)]


def is_for_here(launcher, command):
    """Whether a command ends by itself, in one process, with the weights that are in the package."""
    return not (launcher or {"demo", "sd15", "sd21"} & set(command) or "i3d=" in " ".join(command))


def run(command, *more):
    """The exit status of a command with less to compute."""
    return cli(*map(shlex.quote, command), QUICK.get(command[0], ""), *more)


@pytest.fixture(scope="module")
def cells(root):
    """The tutorial's cells."""
    return nbformat.read(root / "nbs" / "tutorial.ipynb", as_version=4).cells


@pytest.fixture(scope="module")
def text(cells):
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.fixture(scope="module")
def code(cells):
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.fixture(scope="module")
def begun(cells):
    """The names of the tutorial's cells up to the clips in the folder `work`, which they have made."""
    end = next(k for k, cell in enumerate(cells) if cell.source.startswith("## Prepare"))
    first = [c.source for c in cells[:end] if c.cell_type == "code" and "google.colab" not in c.source]
    here = os.getcwd()
    names = {}
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MPLBACKEND", "agg")
            exec(compile("\n\n".join(first), "tutorial", "exec"), names)
    finally:
        os.chdir(here)
    yield names
    names["work"].cleanup()


def test_every_command_is_one(text, root):
    there = commands(text) + commands((root / "nbs" / "howto.md").read_text(encoding="utf-8"))
    assert len(there) > 15
    for launcher, command in there:
        parsed(command)
        if launcher:
            assert launcher[0] in ("accelerate", "torchrun") and launcher[-1] == "-m"
            assert all((root / word).is_file() for word in launcher if word.startswith("configs/"))


def test_the_commands_of_the_tutorial_say_what_its_cells_do(text, code, begun):
    ours = [command for how, command in commands(text) if is_for_here(how, command)]
    here = [parsed(command) | dict(name=command[0]) for command in ours]
    prepare, train, *samples, evaluate, reuse = here
    assert [options["name"] for options in here] == ["data", "train", *["sample"] * 3, "evaluate", "sample"]
    recipe = begun["recipe"]
    assert {options.get("backbone") or begun["BACKBONE"] for options in here} == {begun["BACKBONE"]}
    assert (prepare["num_frames"], prepare["interval"]) == (recipe.num_frames, recipe.interval)
    assert prepare["size"] is None and begun["RECIPES"][begun["BACKBONE"]].size == recipe.size
    assert {f"steps={train['steps']}", *train["set"]} == set(begun["SETTINGS"])
    assert f"validation={train['validation']})" in code and f"{train['out']!r}".replace("'", '"') in code
    steps = int(re.search(r"^STEPS = (\d+)$", code, re.M)[1])
    assert {options["steps"] for options in (*samples, reuse)} == {steps}
    adapters = {options["out"]: options["adapter"] for options in samples}
    cells = dict(re.findall(r'^made\["(\w+)"\] = sample\("?(\w+)"?, ', code, re.M))
    assert adapters == dict(bare="none", yours="adapter", shipped=None)
    assert cells == dict(bare="None", yours="adapter", shipped="shipped")
    assert reuse["reuse"] and reuse["num_frames"] == recipe.num_frames
    assert evaluate["metrics"].split(",") == eval(re.search(r"^METRICS = (.*)$", code, re.M)[1])
    assert (evaluate["num_frames"], evaluate["reference_interval"]) == (recipe.num_frames, recipe.interval)


def test_the_commands_of_the_tutorial_run_in_their_order(text, begun, monkeypatch, capsys):
    monkeypatch.chdir(begun["work"].name)
    Path("prompts.txt").write_text("\n".join(list(begun["captions"].values())[:4]), encoding="utf-8")
    ran = [command for how, command in commands(text) if is_for_here(how, command)]
    for command in ran:
        assert run(command) == 0, (command, capsys.readouterr().err)
    out = capsys.readouterr().out
    assert "48 of 50 videos" in out and "FVD[world]" in out and Path("yours.json").is_file()


def test_the_numbers_for_stable_diffusion_are_those_of_the_code(text):
    from motionrepro.studies.scale import gpu_rate, shard_bytes, step_operations
    from motionrepro.training.adapter import RECIPES

    rows = re.findall(r"^\| (.*?) \|.*\| ([\d,]+) \| (.*) \|$", text.partition("## The same on")[2], re.M)
    said = {what: (int(number.replace(",", "")), mark) for what, number, mark in rows}
    paper = RECIPES["paper"]
    rate = gpu_rate(0.4)
    positions = paper.size // 8

    def hours(steps, clips, frames):
        return steps * clips * step_operations(frames, positions) / rate.value / 3600

    assert said == {
        "pixels of a frame": (paper.size, "*assumed*"),
        "frames of a clip": (paper.num_frames, "*stated*"),
        "interval: every n-th frame of a video": (paper.interval, "*stated*"),
        "clips of a batch, on one A100": (paper.batch, "*stated*"),
        "steps: 30 epochs of 100,000 clips": (paper.steps, "*derived*"),
        "hours for them, on one A100 with `sd21`": (
            round(hours(paper.steps, paper.batch, paper.num_frames)),
            f"*{rate.mark}*",
        ),
        "minutes for 2,000 steps of 8 clips of 16 frames, the same": (
            round(60 * hours(2000, 8, 16)),
            f"*{rate.mark}*",
        ),
        "bytes of such a clip in a shard": (shard_bytes(16, positions, 1024), "*measured*"),
        "sampling steps": (parsed(["sample", "prompts.txt", "--out", "made"])["steps"], "*stated*"),
    }


@pytest.fixture
def howto_folder(begun, tmp_path, monkeypatch):
    """A folder with what the how-to takes for granted: a model, an adapter, a clip, clips and prompts."""
    from motionrepro.backbones import load_backbone
    from motionrepro.core import assets_path
    from motionrepro.data.video import write_video

    monkeypatch.chdir(tmp_path)
    load_backbone("tiny", device="cpu").save_pretrained("my-model")
    shutil.copytree(assets_path() / "tiny" / "adapter", "my-adapter")
    world = begun["World"]("test", begun["recipe"].size, 16, 24, with_flow=False)
    for k in range(len(world)):
        file = Path(("clips", "samples")[k % 2], f"{k}.mp4")
        write_video(file, world[k]["video"])
        file.with_suffix(".txt").write_text(world.scene(k).caption, encoding="utf-8")
    shutil.copy("clips/0.mp4", "clip.mp4")


def test_the_how_to_runs_as_it_stands(howto_folder, begun, root, capsys):
    howto = (root / "nbs" / "howto.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", howto, re.M | re.S)
    ran = 0
    for kind, block in blocks:
        if kind == "python":
            quick = block.replace("num_inference_steps=20", "num_inference_steps=2")
            exec(compile(quick, "howto", "exec"), {})
            ran += 1
            continue
        for how, command in commands(f"```sh\n{block}```\n"):
            if is_for_here(how, command):
                size = f"--size {begun['recipe'].size}" if command[0] == "data" else ""  # 256 for a folder
                if command[:2] == ["train", "adapter"] and not Path("checkpoints").exists():
                    shutil.rmtree("my-adapter")  # which this command makes, on the reader's machine
                assert run(command, size) == 0, (command, capsys.readouterr().err)
                ran += 1
    assert ran > 6 and Path("edited.gif").stat().st_size > 1000 and Path("scores.json").is_file()
