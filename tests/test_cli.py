"""The command line as its users meet it: in a shell, and in this process where a model is stood in for."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import cli, example_of, one_line_and_a_hint, parsed

COMMANDS = (
    "draw",
    "generate",
    "sample",
    "edit",
    "analyse",
    "demo",
    "score",
    "evaluate",
    "data",
    "train",
    "card",
    "measure",
    "figures",
    "claims",
)
PROGRAM = (sys.executable, "-m", "motionrepro")


def shell(*args, **env):
    """The finished program; its output is shown when the test fails."""
    done = subprocess.run([*PROGRAM, *map(str, args)], capture_output=True, text=True, env=os.environ | env)
    print(done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with a still clip, a fast one, a short one, and a file that is no video."""
    from motionrepro.data.video import write_video
    from motionrepro.data.world import render, sample_scene

    folder = tmp_path_factory.mktemp("clips")
    for name, fixed, n in (
        ("still.gif", dict(motion="still"), 16),
        ("fast.mp4", dict(motion="moves", speed="quickly"), 16),
        ("short.gif", {}, 5),
    ):
        write_video(folder / name, render(sample_scene(3, num_frames=n, **fixed), with_flow=False)["video"])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


# what every command shares


def test_a_launcher_is_refused_where_one_process_does_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for command in sorted(set(COMMANDS) - {"train", "evaluate", "sample"}):
        assert cli(command, "x --out", tmp_path / "x.gif") == 2
        said = capsys.readouterr().err
        assert f"{command} is for one process, and a launcher started 2" in said and one_line_and_a_hint(said)
    assert cli("draw --help") == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["nan", "inf", "soon"])
def test_a_switch_step_is_a_number(wrong, tmp_path, capsys):
    assert cli("generate 'a red ball' --reuse --switch-step", wrong, "--out", tmp_path / "x.gif") == 2
    said = capsys.readouterr().err
    assert "is neither 'auto' nor a timestep" in said and one_line_and_a_hint(said)


def test_help_imports_nothing_heavy():
    code = """
import sys
import motionrepro
from motionrepro.cli import main
for command in COMMANDS: assert main([*command, "--help"]) == 0
heavy = {"torch", "numpy", "av", "diffusers", "transformers", "sklearn", "matplotlib", "PIL"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    commands = [[], *([c] for c in COMMANDS)]
    code = code.replace("COMMANDS", repr(commands))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_help_lists_every_command(capsys):
    assert cli("--help") == 0
    text = capsys.readouterr().out
    assert "usage" in text.lower() and all(command in text for command in COMMANDS)


def test_main_is_short(root):
    text = (root / "motionrepro" / "cli" / "__init__.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 110 and len(text[text.index("def main(") :].splitlines()) < 100


def test_the_installed_command_is_this_one():
    program = Path(sys.executable).with_name("motionrepro")
    if not program.exists():
        pytest.skip("the package is not installed here")
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("motionrepro ")


@pytest.mark.parametrize("module", ["motionrepro", "motionrepro.cli"])
def test_the_package_runs_as_a_module(module):
    from motionrepro import __version__

    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"motionrepro {__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", module, "paint"], capture_output=True, text=True)
    assert done.returncode == 2 and one_line_and_a_hint(done.stderr)


@pytest.mark.parametrize(
    "typed, offered", [("ge", "generate"), ("train ab", "ablations"), ("score --fi", "--fit")]
)
def test_the_shell_completes(typed, offered):
    words = dict(COMP_WORDS=f"motionrepro {typed}", COMP_CWORD=str(len(typed.split())))
    done = shell(_MOTIONREPRO_COMPLETE="complete_bash", **words)
    assert done.returncode == 0 and offered in done.stdout.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses(command, capsys):
    assert cli(command, "--help") == 0
    example = example_of(capsys.readouterr().out)
    assert example[:2] == ["motionrepro", command]
    assert parsed(example[1:])


def test_options_that_take_several_values(capsys):
    assert parsed(["measure", "--only", "full", "200", "--steps", "20", "--only", "auto"])["only"] == [
        "full",
        "200",
        "auto",
    ]
    assert parsed(["train", "adapter", "--set", "lr=1", "batch=2", "--seed", "3"])["set"] == [
        "lr=1",
        "batch=2",
    ]
    assert parsed(["generate", "--", "--only"])["prompt"] == "--only"
    assert cli("measure --only") == 2
    assert one_line_and_a_hint(capsys.readouterr().err)


@pytest.mark.parametrize(
    "line, reason",
    [
        ("", "Missing command"),
        ("paint", "No such command 'paint'"),
        ("score", "Missing argument 'CLIP'"),
        ("score x.mp4 --size big", "'--size': 'big' should be a valid integer"),
        ("score x.mp4 --fps fast", "'--fps': 'fast' should be a valid number"),
        ("score x.mp4 --json", "'--json' requires an argument"),
        ("score a.mp4 --fit a --normalizer b", "exclude each other"),
        ("generate", "Missing argument 'PROMPT'"),
        ("generate x y", "unexpected extra argument"),
        ("generate x --adapter a --no-adapter", "exclude each other"),
        ("train everything", "'everything' is not one of all, vae"),
        ("card gan", "'gan' is not one of 'tiny'"),
        ("figures --profile huge", "'huge' is not one of 'smoke', 'tiny', 'paper'"),
        ("claims --jsn", "No such option: --jsn"),
        ("score ''", "'CLIP': it is empty"),
        ("score a.mp4 --normalizer ''", "'--normalizer': it is empty"),
        ("generate ' '", "'PROMPT': it is empty"),
        ("generate x --out ''", "'--out': it is empty"),
        ("generate x --reuse --switch-step ''", "'--switch-step': it is empty"),
        ("train vae --out ''", "'--out': it is empty"),
        ("card tiny --assets ''", "'--assets': it is empty"),
        ("figures --only ''", "'--only': it is empty"),
        ("claims A01 ''", "'ID': it is empty"),
        ("train vae --samples 19", "samples=19 is outside [20"),
        ("train adapter --data clips --out mine --samples 0", "samples=0 is outside [1"),
        ("card tiny --json /dev/null/x", "cannot be written"),
        ("figures --jobs 0", "jobs=0 is outside [1"),
        ("figures --out /dev/null/x", "/dev/null is a file"),
        ("--verison", "No such option: --verison"),
    ],
)
def test_wrong_arguments(line, reason, capsys):
    assert cli(line) == 2
    out, messages = capsys.readouterr()
    assert not out and one_line_and_a_hint(messages) and reason in messages


def test_what_is_read_is_not_replaced(clips, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("still.gif", "fast.mp4"):
        Path(name).write_bytes((clips / name).read_bytes())
    Path("first.png").touch()
    for name in (
        "mine.json",
        "fast.txt",
        "net.pt",
        "network/config.json",
        "evaluators/classifier/card.json",
        "tars/a.tar",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for line, name in (
        ("score fast.mp4 --json fast.mp4", "fast.mp4"),
        ("score fast.mp4 --fit ./fast.mp4", "fast.mp4"),
        ("score . --json still.gif", "still.gif"),
        ("score fast.mp4 --normalizer mine.json --json mine.json", "mine.json"),
        ("analyse fast.mp4 --json fast.mp4", "fast.mp4"),
        ("analyse fast.mp4 --adapter network --json network/config.json", "config.json"),
        ("evaluate . . --json fast.mp4", "fast.mp4"),
        ("evaluate nowhere . --json ./still.gif", "still.gif"),
        ("evaluate tars nowhere --json tars/a.tar", "a.tar"),
        ("evaluate . nowhere --metrics clipsim --json fast.txt", "fast.txt"),
        ("evaluate . . --prompts mine.json --json mine.json", "mine.json"),
        ("evaluate . . --extractor i3d=net.pt --json net.pt", "net.pt"),
        (f"evaluate . . --extractor c3d=net.pt@{'0' * 64} --json net.pt", "net.pt"),
        ("card classifier --assets . --json evaluators/classifier/card.json", "card.json"),
        ("edit still.gif --style first.png --out still.gif", "still.gif"),
        ("edit still.gif --style first.png --out first.png", "first.png"),
    ):
        assert cli(line) == 2
        messages = capsys.readouterr().err
        assert one_line_and_a_hint(messages) and f"{name}: is read, and the result" in messages
    for line in ("score fast.mp4 --json a --fit ./a", "analyse fast.mp4 --out a.png --json a.png"):
        assert cli(line) == 2
        messages = capsys.readouterr().err
        assert one_line_and_a_hint(messages) and "and --json both name" in messages
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_prompts_of_any_bytes(clips, tmp_path, monkeypatch, capsys):
    from motionrepro.cli import main
    from motionrepro.data.video import read_clip, write_video

    monkeypatch.chdir(tmp_path)
    write_video("first.png", read_clip(clips / "still.gif", 2, 1, size=None).video[:1])
    odd = os.fsdecode(b"caf\xe9")
    edit = ["edit", str(clips / "still.gif"), "--style", "first.png", "--prompt"]
    for line in (["draw"], ["generate"], ["generate", "--reuse"], edit):
        assert main([*line, odd]) == 2
        messages = capsys.readouterr().err.splitlines()
        assert messages[-2].startswith("motionrepro: error: prompt") and "is no text" in messages[-2]
        assert messages[-1].startswith("hint: ")
    assert [p.name for p in tmp_path.iterdir()] == ["first.png"]


def test_a_mistake_leaves_no_folder(clips, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in (
        "generate x --backbone nowhere --out new/deeper/x.gif",
        f"analyse {clips / 'fast.mp4'} --backbone nowhere --out new/x.png",
        f"score {clips / 'broken.mp4'} --json new/x.json",
        f"train adapter --data {clips / 'broken.mp4'} --out new --checkpoints kept",
    ):
        assert cli(line) == 2
    assert "Traceback" not in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_was_meant(capsys):
    assert cli("claims --jsn") == 2
    assert "hint: did you mean --json?" in capsys.readouterr().err
    assert cli("generat x") == 2
    assert "Did you mean 'generate'?" in capsys.readouterr().err


def test_no_traceback_without_debug(clips, capfd):
    plain = shell("score", clips / "broken.mp4")
    capfd.readouterr()
    for line in (f"score {clips / 'broken.mp4'} --debug", f"--debug score {clips / 'broken.mp4'}"):
        assert plain.returncode == cli(line) == 2
        debug = capfd.readouterr().err
        assert "Traceback" in debug and plain.stderr in debug
    assert one_line_and_a_hint(plain.stderr)
    for line in ("score x --size 0 --debug", "score x --jsn --debug"):  # where that was found tells nothing
        assert cli(line) == 2
        assert one_line_and_a_hint(capfd.readouterr().err)


@pytest.mark.parametrize(
    "error, status, message",
    [
        (KeyboardInterrupt(), 130, "motionrepro: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (KeyError("a bug"), 1, "motionrepro: error: KeyError: 'a bug'\nhint: this should not happen; run "),
        (
            PermissionError(13, "Permission denied", "/x"),
            2,
            "motionrepro: error: /x: Permission denied\nhint: motionrepro claims --help",
        ),
        (
            FileNotFoundError(2, "No such file", "x.json"),
            2,
            "motionrepro: error: x.json: No such file\nhint: ",
        ),
        (ValueError("rho=2"), 2, "motionrepro: error: rho=2\nhint: "),
    ],
)
def test_what_else_can_end_a_command(error, status, message, monkeypatch, capfd):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr("motionrepro.claims.ledger", fail)
    assert cli("claims") == status
    messages = capfd.readouterr().err
    assert messages.startswith(message) and (message or not messages)


def test_a_closed_pipe_is_quiet(clips):
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, "score", clips / "still.gif", "--size", "32"]
    with open(writer, "w") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 141 and not done.stderr


def test_old_spellings_work_with_a_notice(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "motionrepro.training.base.evaluate", lambda *args: asked.append(args) or {"score": 0.5}
    )
    monkeypatch.setattr(
        "motionrepro.studies.ablations.adapter_command", lambda target, **options: asked.append(options)
    )
    assert cli("card tiny --seed 3") == 0
    new = capsys.readouterr()
    assert cli("evaluate tiny --seed 3") == 0
    old = capsys.readouterr()
    assert asked[0] == asked[1] and old.out == new.out and not new.err
    assert cli("evaluate tiny nowhere") == 2  # folders, of which one is called tiny
    assert "tiny: no such file or folder" in capsys.readouterr().err and len(asked) == 2
    assert old.err.startswith("motionrepro: notice: ") and "hint: motionrepro card tiny" in old.err
    assert cli("train ablations --samples 20") == 0
    assert not capsys.readouterr().err
    assert cli("train matrix --samples 20") == 0
    assert "hint: motionrepro train ablations" in capsys.readouterr().err
    assert asked[2] == asked[3] == dict(n=20)


# score


def test_score_prints_a_table_and_its_reference(clips):
    done = shell("score", clips / "still.gif", clips / "fast.mp4", "--size", 64)
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["file", "frames", "fps", "difference", "motion"]
    (still, fast) = (line.split() for line in lines[1:3])
    assert still[0].endswith("still.gif") and still[1] == "16" and float(still[3]) == float(still[4]) == 0
    assert fast[0].endswith("fast.mp4") and fast[2] == "8" and 0 < float(fast[4]) <= 1
    assert "percentiles 5 and 95 of 1000 clips (world, train" in lines[-1]


def test_score_as_json(clips, tmp_path, capsys):
    assert cli("score", clips, "--size 64 --json -") == 0
    printed = json.loads(capsys.readouterr().out)
    assert cli("score", clips, "--size 64 --json", tmp_path / "new" / "scores.json") == 0
    assert json.loads((tmp_path / "new" / "scores.json").read_text()) == printed
    assert "motion" in capsys.readouterr().out
    assert [Path(c["file"]).name for c in printed["clips"]] == ["fast.mp4", "still.gif"]
    assert printed["clips"][0]["indices"] == list(range(0, 16, 2))
    assert len(printed["skipped"]) == 2
    assert printed["settings"]["interval"] == 2 and printed["normalizer"]["n"] == 1000


def test_score_agrees_with_the_library(clips, capsys):
    from motionrepro.data.video import read_clip
    from motionrepro.temporal.motion import frame_difference, world_normalizer

    options = "--num-frames 5 --interval 3 --start 1 --size 32 --json -"
    assert cli("score", clips / "fast.mp4", options) == 0
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    raw = frame_difference(read_clip(clips / "fast.mp4", 5, 3, size=32, start=1).video[None])
    assert clip["frame_difference"] == pytest.approx(raw.item())
    assert clip["motion"] == pytest.approx(world_normalizer()(raw).item())


def test_a_still_clip_scores_0_on_the_worlds_scale(clips, capsys):
    from motionrepro.temporal.motion import world_normalizer

    assert cli("score", clips / "still.gif", clips / "fast.mp4", "--size 64 --json -") == 0
    scores = json.loads(capsys.readouterr().out)
    still, fast = scores["clips"]
    assert still["motion"] == still["frame_difference"] == 0 < fast["motion"] <= 1
    assert still["frames"] == 16 and still["indices"] == list(range(0, 16, 2))
    assert scores["normalizer"]["high"] == world_normalizer().high
    assert fast["motion"] == pytest.approx(world_normalizer()(fast["frame_difference"]).item())


def test_a_reference_of_ones_own(clips, tmp_path, capsys):
    from motionrepro.temporal.motion import MotionNormalizer

    mine = tmp_path / "mine.json"
    report = tmp_path / "scores.json"
    assert (
        cli("score", clips / "still.gif", clips / "fast.mp4", "--size 64 --fit", mine, "--json", report) == 0
    )
    assert MotionNormalizer.load(mine).n == 2 and "of 2 clips" in capsys.readouterr().out
    assert [c["motion"] for c in json.loads(report.read_text())["clips"]] == [0, 1]
    assert cli("score", clips / "fast.mp4", "--size 64 --normalizer", mine) == 0


def test_broken_files_of_a_folder_are_reported_and_skipped(clips, capsys):
    assert cli("score", clips, "--size 32") == 0
    out, messages = capsys.readouterr()
    assert "fast.mp4" in out and "broken.mp4" not in out
    assert "skipped: " in messages and "broken.mp4: not a video" in messages
    assert "short.gif: too short, 8 frames at interval 2 need 15 frames, it has 5" in messages


def test_broken_files_that_were_named(clips, capsys):
    assert cli("score", clips / "broken.mp4", clips / "fast.mp4", "--size 32") == 1
    out, messages = capsys.readouterr()
    assert "fast.mp4" in out and "broken.mp4: not a video" in messages
    assert cli("score", clips / "broken.mp4", clips / "missing.mp4") == 2
    assert "none of 2 files could be scored" in capsys.readouterr().err


def test_file_names_of_any_bytes(clips, tmp_path):
    odd = os.fsencode(tmp_path) + b"/caf\xe9 [bold].gif"
    try:
        with open(odd, "wb") as file:
            file.write((clips / "still.gif").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such names")
    for encoding in ("utf-8", "ascii"):
        done = shell("score", tmp_path, "--size", 32, PYTHONIOENCODING=encoding)
        assert done.returncode == 0 and "[bold].gif" in done.stdout and not done.stderr


@pytest.mark.parametrize(
    "name, options, reason",
    [
        ("missing.mp4", "", "missing.mp4: no such file"),
        ("broken.mp4", "", "broken.mp4: not a video"),
        ("short.gif", "", "too short, 8 frames at interval 2 need 15 frames, it has 5"),
        ("still.gif", "--num-frames 9", "too short, 9 frames"),
        ("still.gif", "--fps 60", "fewer than fps=60"),
        ("still.gif", "--num-frames 1", "num_frames=1 is outside [2"),
        ("still.gif", "--interval 0", "interval=0 is outside [1"),
        ("still.gif", "--size 0", "size=0"),
        ("still.gif", "--size 1000000", "size=1000000 is outside [8, 4096]"),
        ("still.gif", "--start -1", "start=-1"),
        ("still.gif", "--normalizer none.json", "none.json: No such file"),
        ("still.gif", "--fit x.json", "degenerate"),
        ("still.gif", "--json /dev/null/x.json", "cannot be written"),
    ],
)
def test_score_mistakes(name, options, reason, clips, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("score", clips / name, options) == 2
    out, messages = capsys.readouterr()
    assert not out and one_line_and_a_hint(messages) and reason in messages
    assert not list(tmp_path.iterdir())


def test_a_folder_without_videos(tmp_path, capsys):
    assert cli("score", tmp_path) == 2
    assert "holds no video files" in capsys.readouterr().err


def test_real_clips(real_clips, capsys):
    assert cli("score", real_clips, "--json -") == 0
    out, messages = capsys.readouterr()
    scores = {Path(c["file"]).name: c["motion"] for c in json.loads(out)["clips"]}
    assert set(scores) == {"car-turn.mp4", "rabbit-watermelon.mp4", "flipping_a_pancake.mkv"}
    assert all(0 < m < 1 for m in scores.values()) and max(scores, key=scores.get) == "flipping_a_pancake.mkv"
    assert "corrupted.mp4: damaged after 28 frames" in messages
    assert cli("score", real_clips / "corrupted.mp4") == 2


# draw, generate


@pytest.fixture
def stand_in(monkeypatch):
    """An image model and pipelines for clips that draw their noise; what they were asked is kept."""
    import torch

    from motionrepro.temporal.noise import correlated_noise

    asked = {}

    def load_backbone(name, **options):
        asked.update(name=name, **options)
        config = SimpleNamespace(in_channels=4, sample_size=8)
        return SimpleNamespace(
            unet=SimpleNamespace(config=config), device=torch.device("cpu"), dtype=torch.float32
        )

    def sample_images(backbone, prompt, generator=None, **options):
        asked.update(prompt=prompt, **options)
        return torch.rand(1, 3, 8, 8, generator=generator)

    class Pipeline:
        def __init__(self, base, adapter, **options):
            asked.update(base=base, asked_adapter=adapter, **options)
            self.adapter = adapter

        def set_progress_bar_config(self, disable):
            pass

        def __call__(self, prompt, num_frames, motion, rho, generator=None, **options):
            latents = correlated_noise((1, num_frames, 4, 8, 8), rho, generator=generator)
            asked.update(prompt=prompt, motion=motion, latents=latents, **options)
            return SimpleNamespace(frames=latents[:, :, :3].sigmoid(), motion=torch.tensor([0.25]))

    # the pipeline's module first: once loaded, it holds the real functions that the others replace
    monkeypatch.setattr("motionrepro.temporal.pipeline.MotionAdaptivePipeline.from_pretrained", Pipeline)
    monkeypatch.setattr("motionrepro.reuse.pipeline.DenoisingReusePipeline.from_pretrained", Pipeline)
    monkeypatch.setattr("motionrepro.backbones.load_backbone", load_backbone)
    monkeypatch.setattr("motionrepro.backbones.sample_images", sample_images)
    return asked


def test_generate_starts_from_correlated_noise(stand_in, tmp_path, capsys):
    from motionrepro.core import generator
    from motionrepro.data.video import read_clip
    from motionrepro.temporal.noise import correlated_noise
    from motionrepro.testing import assert_equal

    out = tmp_path / "x.gif"
    options = "--num-frames 3 --rho 0.85 --seed 5 --steps 7 --guidance 2"
    assert cli("generate 'a red circle'", options, "--out", out) == 0
    asked = [stand_in[name] for name in ("prompt", "base", "asked_adapter", "motion")]
    assert asked == ["a red circle", "tiny", "saved", "auto"]
    assert (stand_in["num_inference_steps"], stand_in["guidance_scale"]) == (7, 2)
    expected = correlated_noise((1, 3, 4, 8, 8), 0.85, generator=generator(5, "generate"))
    assert_equal(stand_in["latents"], expected)
    assert read_clip(out, 3, 1, size=None).video.shape == (3, 3, 8, 8)
    said = f"{out}: 3 frames of 8 x 8 pixels, backbone tiny, its own adapter, rho 0.85, motion 0.25, seed 5"
    assert said in capsys.readouterr().out


def test_generate_makes_a_clip_of_8_frames(stand_in, tmp_path, capsys):
    assert cli("generate x --out", tmp_path / "x.gif") == 0
    assert stand_in["latents"].shape[1] == 8 and "x.gif: 8 frames" in capsys.readouterr().out


def test_generate_with_reuse_makes_16_frames(monkeypatch, stand_in, tmp_path):
    module = import_module("motionrepro.cli.generate")  # the package's `generate` is the command
    monkeypatch.setattr(module, "on_schedule", lambda pipe, switch_step, steps: switch_step)
    monkeypatch.setattr(module, "describe_reuse", lambda pipe, made, asked: "")
    assert cli("generate x --reuse --out", tmp_path / "x.gif") == 0
    assert stand_in["latents"].shape[1] == 16
    assert (stand_in["references"], stand_in["switch_step"]) == (4, 200)


@pytest.mark.parametrize(
    "options, asked",
    [
        ("--context-length 8", (8, None)),
        ("--context-length 8 --context-overlap 3", (8, 5)),
        ("--context-overlap 6", (16, 10)),
    ],
)
def test_generate_passes_windows_on(options, asked, stand_in, monkeypatch, tmp_path):
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    seen = []
    stand_in_class = MotionAdaptivePipeline.from_pretrained

    def load(base, adapter, **given):
        pipe = stand_in_class(base, adapter, **given)
        pipe.max_frames = 16
        pipe.enable_free_noise = lambda *windows: seen.append(windows)
        return pipe

    monkeypatch.setattr(MotionAdaptivePipeline, "from_pretrained", load)
    assert cli("generate x --num-frames 40", options, "--out", tmp_path / "x.gif") == 0
    assert seen == [asked] and stand_in["latents"].shape[1] == 40


@pytest.mark.parametrize("command", ["draw x", "generate x", "generate x --num-frames 1", "sample x.txt"])
def test_how_a_base_is_loaded(command, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("a red circle\n")
    out = "new" if "sample" in command else "x.png"
    cli(command, "--config sd21 --allow-pickles --out", out)
    assert stand_in["config"] == "sd21" and stand_in["use_safetensors"] is False
    stand_in.clear()
    cli(command, "--out", out)
    assert stand_in and not {"config", "use_safetensors"} & set(stand_in)


@pytest.mark.parametrize("command", ["analyse clip.gif", "edit clip.gif --style first.png"])
def test_how_a_base_is_loaded_for_a_clip(command, clips, stand_in, tmp_path, monkeypatch):
    from motionrepro.data.video import read_clip, write_video

    monkeypatch.chdir(tmp_path)
    Path("clip.gif").write_bytes((clips / "still.gif").read_bytes())
    write_video("first.png", read_clip("clip.gif", 2, 1, size=None).video[:1])
    cli(command, "--num-frames 2 --config sd15 --allow-pickles")
    assert stand_in["config"] == "sd15" and stand_in["use_safetensors"] is False


@pytest.mark.parametrize(
    "name, reason", [("base.ckpt", "is a pickle"), ("base.safetensors", "config is given")]
)
def test_hints_name_options_that_there_are(name, reason, tmp_path, capsys, monkeypatch):
    import torch
    from safetensors.torch import save_file

    from motionrepro.data.video import write_video

    monkeypatch.chdir(tmp_path)
    save_file(dict(weight=torch.zeros(1)), name)
    Path("videos").mkdir()
    Path("videos/x.txt").write_text("a red circle")
    assert cli("draw x --backbone", name) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages
    option = "--allow-pickles" if "ckpt" in name else "--config sd15"
    assert option in messages
    write_video("videos/x.mp4", torch.zeros(8, 3, 64, 64), 8)
    for command in ("data prepare videos --out new", "train adapter --data videos --out new"):
        assert cli(command, "--backbone", name) == 2
        messages = capsys.readouterr().err
        assert one_line_and_a_hint(messages) and reason in messages and option in messages


def test_draw_makes_a_picture(stand_in, tmp_path, capsys):
    assert cli("draw 'a red circle' --steps 7 --out", tmp_path / "x.png") == 0
    assert stand_in["prompt"] == "a red circle" and stand_in["num_inference_steps"] == 7
    assert "base" not in stand_in
    said = capsys.readouterr()
    assert "x.png: 1 frame of 8 x 8 pixels, backbone tiny, seed 0" in said.out and not said.err


def test_a_single_frame_is_a_picture(stand_in, tmp_path, capsys):
    assert cli("draw x --seed 3 --out", tmp_path / "drawn.png") == 0
    drawn = capsys.readouterr()
    assert cli("generate x --num-frames 1 --seed 3 --out", tmp_path / "x.png") == 0
    said = capsys.readouterr()
    assert (
        "base" not in stand_in and (tmp_path / "x.png").read_bytes() == (tmp_path / "drawn.png").read_bytes()
    )
    assert said.out == drawn.out.replace("drawn.png", "x.png")
    assert said.err.startswith("motionrepro: notice: ") and "motionrepro draw" in said.err


@pytest.mark.parametrize(
    "options, adapter, motion",
    [
        ("--no-adapter", None, "auto"),
        ("--adapter none --motion 0", None, 0.0),
        ("--adapter there --motion 0.75", "there", 0.75),
    ],
)
def test_generate_with_and_without_adapters(options, adapter, motion, stand_in, tmp_path, capsys):
    assert cli("generate x --num-frames 2", options, "--out", tmp_path / "x.gif") == 0
    assert (stand_in["asked_adapter"], stand_in["motion"]) == (adapter, motion)
    assert ("no adapter" if adapter is None else "adapter there") in capsys.readouterr().out


def test_an_adapter_that_is_not_there(tmp_path, capsys):
    options = f"--num-frames 2 --adapter {tmp_path / 'none'} --out {tmp_path / 'x.gif'}"
    assert cli("generate x", options) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "adapter=" in messages and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line, name",
    [
        ("draw x", "drawn.png"),
        ("generate x", "generated.gif"),
        ("generate x --num-frames 1", "generated.png"),
        ("generate x --num-frames 2", "generated.gif"),
        ("generate x --num-frames 2 --out a/b.mp4", "a/b.mp4"),
        ("generate x --num-frames 2 --out strip.PNG", "strip.PNG"),
    ],
)
def test_where_pictures_and_clips_go(line, name, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli(line) == 0
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [name]


@pytest.mark.parametrize(
    "options, reason",
    [
        ("--rho 1", "rho=1.0 is outside [0, 1)"),
        ("--rho nan", "rho=nan"),
        ("--num-frames 0", "num_frames=0"),
        ("--steps 0", "steps=0"),
        ("--motion 2 --num-frames 2", "motion=2.0 is outside [0, 1]"),
        ("--motion much", "motion='much'"),
        ("--motion 0.5 --num-frames 1", "a single frame has no motion"),
        ("--adapter there --num-frames 1", "no use for an adapter"),
        ("--seed -1", "seed=-1"),
        ("--out x.webp", "cannot write .webp"),
        ("--fps 90 --num-frames 2", "fps=90"),
        ("--out /dev/null/x.png", "/dev/null/x.png: cannot be written"),
        (f"--out {'a' * 300}.gif", "cannot be written there"),
        ("--out .", "cannot write"),
        ("--references 2", "are for --reuse"),
        ("--reuse --num-frames 2", "leaves nothing to reuse"),
        ("--reuse --num-frames 8 --references 8", "references=8 is outside [2, 7]"),
        ("--reuse --num-frames 8 --switch-step late", "switch_step='late'"),
        ("--references-every 8", "are for --reuse"),
        ("--reuse --num-frames 40 --references-every 3", "references_every=3 is outside [4"),
        ("--reuse --num-frames 64 --context-length 16", "--context-overlap are for denoising by windows"),
        ("--reuse --context-overlap 4", "--context-length and --context-overlap are for denoising by"),
        ("--num-frames 64 --context-length 1", "context_length=1 is outside [2"),
        ("--num-frames 64 --context-overlap 0", "context_overlap=0 is outside [1"),
        ("--num-frames 64 --context-length 8 --context-overlap 8", "not smaller than context_length=8"),
    ],
)
def test_generate_mistakes_cost_no_sampling(options, reason, stand_in, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("generate x", options) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages
    assert not stand_in and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, reason",
    [
        ("--steps 0", "steps=0"),
        ("--seed -1", "seed=-1"),
        ("--guidance -1", "guidance=-1"),
        ("--guidance 0.5", "guidance=0.5 is outside [1"),
        ("--out x.webp", "cannot write .webp"),
        ("--out /dev/null/x.png", "/dev/null/x.png: cannot be written"),
    ],
)
def test_draw_mistakes_cost_no_sampling(options, reason, stand_in, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("draw x", options) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages
    assert not stand_in and not list(tmp_path.iterdir())


def test_several_prompts_of_a_file(stand_in, tmp_path, monkeypatch, capsys):
    from motionrepro.core import generator
    from motionrepro.temporal.noise import correlated_noise
    from motionrepro.testing import assert_equal

    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a red circle\n\n  a blue ring \n")
    line = "generate --prompts prompts.txt --num-frames 2 --seed 5 --out a/clip.gif"
    assert cli(line, "--negative-prompt dark --dtype bfloat16") == 0
    assert sorted(p.name for p in Path("a").iterdir()) == ["clip-1.gif", "clip-2.gif"]
    said = capsys.readouterr().out.splitlines()
    assert [text.split(":")[0] for text in said] == ["a/clip-1.gif", "a/clip-2.gif"]
    assert [text.split()[-1] for text in said] == ["5", "6"]
    asked = [stand_in[name] for name in ("prompt", "negative_prompt", "dtype")]
    assert asked == ["a blue ring", "dark", "bfloat16"]
    expected = correlated_noise((1, 2, 4, 8, 8), 0.6, generator=generator(6, "generate"))
    assert_equal(stand_in["latents"], expected)  # that of the prompt alone with this seed
    before = Path("a/clip-2.gif").read_bytes()
    stand_in.clear()
    assert cli(line) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "a/clip-1.gif and 1 more would be replaced" in messages
    assert not stand_in and Path("a/clip-2.gif").read_bytes() == before
    assert cli(line, "--overwrite --rho 0") == 0 and Path("a/clip-2.gif").read_bytes() != before


def test_each_picture_of_a_file_has_the_next_seed(stand_in, tmp_path):
    (tmp_path / "prompts.txt").write_text("a red circle\na red circle\n")
    line = f"generate --num-frames 1 --prompts {tmp_path / 'prompts.txt'} --seed 5 --out {tmp_path / 'x.png'}"
    assert cli(line) == 0
    assert cli("draw 'a red circle' --seed 6 --out", tmp_path / "y.png") == 0
    first, second, alone = ((tmp_path / f"{name}.png").read_bytes() for name in ("x-1", "x-2", "y"))
    assert second == alone != first


def test_files_of_prompts_are_numbered_in_order():
    from motionrepro.cli.models import numbered

    assert numbered("a/x.mp4", 10)[::9] == ["a/x-01.mp4", "a/x-10.mp4"]


def test_prompts_come_from_the_standard_input(stand_in, tmp_path, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a red circle\n")))
    assert cli("generate --prompts - --num-frames 1 --out", tmp_path / "x.png", "--dtype float16") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["x-1.png"]
    assert stand_in["prompt"] == "a red circle" and str(stand_in["dtype"]) == "torch.float16"


@pytest.mark.parametrize(
    "line, reason",
    [
        ("generate x --prompts prompts.txt", "PROMPT and --prompts exclude each other"),
        ("generate --prompts empty.txt", "empty.txt: is empty"),
        ("generate --prompts binary.txt", "binary.txt, line 1: is not UTF-8 text"),
        ("generate --prompts nowhere.txt", "nowhere.txt"),
        ("generate x --dtype int8", "'int8' is not one of 'float32', 'float16', 'bfloat16'"),
    ],
)
def test_mistakes_in_prompts_cost_no_sampling(line, reason, stand_in, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("a red circle\n")
    Path("empty.txt").write_text(" \n\n")
    Path("binary.txt").write_bytes(b"\xff\xfe\xe9")
    before = sorted(tmp_path.iterdir())
    assert cli(line) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages
    assert not stand_in and sorted(tmp_path.iterdir()) == before


def test_a_name_as_long_as_the_file_system_takes(stand_in, tmp_path):
    out = tmp_path / ("a" * 251 + ".gif")
    assert cli("generate x --num-frames 2 --out", out) == 0 and out.exists()


def test_unknown_backbone(tmp_path, capfd):
    assert cli("generate x --backbone huge --out", tmp_path / "x.gif") == 2
    messages = capfd.readouterr().err
    assert one_line_and_a_hint(messages) and "backbone='huge'" in messages and "sd15" in messages


def test_a_hub_backbone_without_a_network(tmp_path):
    options = ("--backbone", "sd15", "--offline", "--out", tmp_path / "x.png")
    done = shell("draw", "x", *options, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "cache"))
    assert done.returncode == 2 and "backbone='sd15'" in done.stderr
    assert "hint: " in done.stderr and "Traceback" not in done.stderr


def test_generate_with_the_tiny_backbone(tmp_path, capsys):
    from motionrepro.core import assets_path

    if not (assets_path() / "tiny" / "unet").is_dir():
        pytest.skip("the tiny backbone is not trained yet")
    from motionrepro.data.video import read_clip

    for name in ("a.gif", "b.gif"):
        prompt = "'a red circle on a plain gray background'"
        assert cli("generate", prompt, "--num-frames 2 --steps 3 --out", tmp_path / name) == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    frames = read_clip(tmp_path / "a.gif", 2, 1, size=None).video
    assert frames.shape == (2, 3, 64, 64) and frames.std() > 0.01
    assert "note" not in capsys.readouterr().err
    assert cli("draw 'a cat on a plain sofa' --steps 1 --out", tmp_path / "cat.png") == 0
    note = capsys.readouterr().err
    assert note.startswith("motionrepro: note: tiny draws") and "cannot draw: cat, sofa\nhint: " in note
    assert (tmp_path / "cat.png").exists()


# train, card, measure


def test_the_command_line_names_what_there_is(capsys):
    from motionrepro.cli.train import REUSE_NETWORKS, SHIPPED_ADAPTERS, TRAIN_TARGETS
    from motionrepro.profiles import PROFILES
    from motionrepro.studies.ablations import ADAPTER_TARGETS
    from motionrepro.training.base import CARDS, TARGETS
    from motionrepro.training.dss import REUSE_TARGETS

    targets = ("all", *TARGETS, *ADAPTER_TARGETS, *REUSE_TARGETS)
    assert targets == TRAIN_TARGETS  # the help promises the order, too
    assert (*SHIPPED_ADAPTERS, "ablations") == ADAPTER_TARGETS and REUSE_NETWORKS == REUSE_TARGETS
    for line, listed in (("train", targets), ("figures", PROFILES), ("card", CARDS)):
        assert cli(line, "--help") == 0
        text = capsys.readouterr().out
        assert all(name in text for name in listed)
    for name in CARDS:
        assert parsed(["card", name])["model"] == name
    for name in PROFILES:
        assert parsed(["claims", "--profile", name])["profile"] == name


def test_train_passes_on_what_was_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.training.base.train_command", lambda target, **options: asked.append((target, options))
    )
    assert cli("train vae") == 0
    options = "--steps 3 --out there --checkpoints here --seed 0 --device cpu --samples 20"
    assert cli("train unet-128", options) == 0
    assert asked == [
        ("vae", {}),
        ("unet-128", dict(steps=3, out="there", checkpoints="here", seed=0, device="cpu", n=20)),
    ]


def test_train_hands_adapters_to_their_own_command(monkeypatch):
    asked = []

    def stand_in(kind):
        return lambda target, **options: asked.append((kind, target, options))

    monkeypatch.setattr("motionrepro.training.base.train_command", stand_in("models"))
    monkeypatch.setattr("motionrepro.studies.ablations.adapter_command", stand_in("adapters"))
    monkeypatch.setattr("motionrepro.training.dss.reuse_command", stand_in("reuse"))
    assert cli("train adapter --seed 1") == cli("train ablations --only base-0 ours-0 --samples 20") == 0
    assert asked == [
        ("adapters", "adapter", dict(seed=1)),
        ("adapters", "ablations", dict(only=["base-0", "ours-0"], n=20)),
    ]
    asked.clear()
    assert cli("train all") == 0
    assert asked == [
        ("models", "all", {}),
        ("adapters", "adapter", {}),
        ("adapters", "adapter-128", {}),
        ("reuse", "mtn", {}),
        ("reuse", "dss", {}),
    ]
    asked.clear()
    assert cli("train dss --samples 40 --steps 3") == 0
    assert asked == [("reuse", "dss", dict(n=40, steps=3))]


@pytest.mark.parametrize(
    "line, reason",
    [
        ("adapter --only ours-0", "--only names ablations"),
        ("ablations --seed 1", "seed=1"),
        ("ablations --only theirs-0", "only=theirs-0 is not one of the ablations"),
        ("ablations --steps 0", "steps=0"),
        ("vae --out /dev/null/x", "/dev/null/x: cannot be made, /dev/null is a file"),
        ("dss --checkpoints /dev/null", "/dev/null is a file"),
        ("adapter --set lr=1", "add --data"),
        ("adapter --gradient-accumulation 2", "add --data"),
        ("adapter --captions x.csv", "add --data"),
        ("adapter --caption-from-name", "add --data"),
        ("adapter --validation 0", "add --data"),
        ("vae --processes 0", "--processes is for clips of your own"),
        ("vae --clips 0", "--clips is for clips of your own"),
        ("unet --backbone sd15", "add --data DIR"),
        ("all --tracker wandb", "--tracker is for clips of your own"),
        ("unet --config sd21", "--config is for clips of your own"),
        ("unet --allow-pickles", "--allow-pickles is for clips of your own"),
        ("adapter --data . --out a --validation 1", "validation=1.0 is outside [0, 1)"),
        ("vae --data .", "not for train vae"),
        ("adapter --data .", "--out is missing"),
        ("adapter --data . --out a --set x=1", "set='x=1'"),
        ("adapter --data none --out a", "none"),
    ],
)
def test_train_mistakes(line, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("train", line) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages and not list(tmp_path.iterdir())


def test_train_understands_all_options():
    from inspect import signature

    from motionrepro.studies.ablations import adapter_command
    from motionrepro.training.base import train_command
    from motionrepro.training.dss import reuse_command

    for command, more in ((train_command, set()), (adapter_command, {"only"}), (reuse_command, set())):
        options = {"steps", "out", "checkpoints", "seed", "device", "n"} | more
        assert options <= set(signature(command).parameters)


def test_training_on_own_clips_passes_on_what_was_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.training.adapter.own_adapter_command",
        lambda *given, **options: asked.append((given, options)),
    )
    assert cli("train adapter --data clips --out mine") == 0
    options = "--backbone sd15 --steps 7 --set lr=1 batch=2 --seed 3 --samples 9 --device cpu --checkpoints x"
    options += " --captions results.csv --caption-from-name --validation 0.1 --gradient-accumulation 5"
    assert cli("train adapter --data clips --out mine", options) == 0
    options = dict(
        changes=["accumulation=5", "steps=7", "lr=1", "batch=2"],
        base="sd15",
        seed=3,
        samples=9,
        device="cpu",
        checkpoints="x",
        captions="results.csv",
        caption_from_name=True,
        validation=0.1,
    )
    assert asked == [(("clips", "mine"), dict(changes=[])), (("clips", "mine"), options)]


@pytest.mark.parametrize("target", ["mtn", "dss"])
def test_accumulation_and_tracker_are_for_networks_of_reuse_too(target, monkeypatch):
    asked = []
    monkeypatch.setattr(
        f"motionrepro.training.{target}.own_{target}_command",
        lambda *given, **options: asked.append(options),
    )
    line = f"train {target} --data clips --out mine --steps 7"
    assert cli(line, "--gradient-accumulation 5 --tracker tensorboard --set lr=1") == 0
    assert asked == [dict(changes=["steps=7", "lr=1"], accumulation=5, tracker="tensorboard")]


def test_a_card_stands_beside_what_comes_out_here(monkeypatch, tmp_path, capsys):
    from motionrepro.core import assets_path, read_json
    from motionrepro.training.base import CARDS

    stored = read_json(assets_path() / CARDS["classifier"] / "card.json")["scores"]
    name = next(iter(stored))
    measured = {name: 0.12345, "new": None, "worst": "a circle"}
    monkeypatch.setattr("motionrepro.training.base.evaluate", lambda *args: measured)
    assert cli("card classifier") == 0
    head, first, second, third = capsys.readouterr().out.splitlines()
    assert head.split() == ["score", "here", "card"] and third.split() == ["worst", "a", "circle"]
    assert first.split() == [name, "0.1235", f"{stored[name]:.4g}"] and second.split() == ["new"]
    assert cli("card classifier --json -") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["card"] == stored and told["scores"][name] == 0.12345 and told["n"] == 500
    assert cli("card tiny --samples 3") == 2
    assert "samples=3" in capsys.readouterr().err


def test_measure_passes_on_what_was_given(monkeypatch, capsys):
    from motionrepro.studies.switching import SwitchingStudy

    asked = []
    monkeypatch.setattr("motionrepro.studies.switching.switching_command", lambda *given: asked.append(given))
    assert cli("measure --out /dev/null/x") == 2 and not asked
    assert "/dev/null is a file" in capsys.readouterr().err
    assert cli("measure") == 0
    options = "--backbone tiny --samples 8 --steps 20 --seed 3 --out there --checkpoints kept --device cpu"
    assert cli("measure --only full 200", options) == 0
    given = SwitchingStudy("tiny", 3, 8, 20, results=Path("there"), checkpoints=Path("kept"), device="cpu")
    assert asked == [(None, SwitchingStudy()), (["full", "200"], given)]


@pytest.mark.parametrize(
    "options, reason",
    [("--only 300", "only=300"), ("--samples 2", "samples=2"), ("--base nowhere", "backbone='nowhere'")],
)
def test_measure_mistakes(options, reason, capsys):
    assert cli("measure", options) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages


# figures, claims


def test_full_figures_bring_everything_stored_up_to_date_first(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(
        "motionrepro.studies.ablations.adapter_command",
        lambda target, **options: done.append((target, Path(options["checkpoints"]).name)),
    )
    monkeypatch.setattr(
        "motionrepro.studies.switching.switching_command",
        lambda only=None, job=None: done.append((only, job.base, job.seed, job.n)),
    )
    monkeypatch.setattr("motionrepro.claims.decide", lambda *args, **options: done.append("claims"))
    monkeypatch.setattr(
        "motionrepro.figures.pages.run_figures",
        lambda profile, **options: done.append((profile, options["only"])),
    )
    assert cli("figures --full") == 0
    assert done == [
        ("ablations", "checkpoints"),
        *[(None, "tiny-128", seed, 24) for seed in range(3)],
        "claims",
        ("tiny", None),
    ]
    done.clear()
    for wrong in ("--only A-table1", "--profile smoke"):
        assert cli("figures --full", wrong) == 2
        assert "--full is for all figures of the tiny profile" in capsys.readouterr().err
    assert not done


def test_figures_passes_on_what_was_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.figures.pages.run_figures", lambda profile, **options: asked.append((profile, options))
    )
    assert cli("figures") == 0
    assert cli("figures --profile smoke --only a b --out there --again --jobs 3") == 0
    assert asked == [
        ("tiny", dict(only=None, out=None, again=False, jobs=None)),
        ("smoke", dict(only=["a", "b"], out="there", again=True, jobs=3)),
    ]


def test_an_unknown_figure(tmp_path, capsys):
    assert cli("figures --only fig-none --out", tmp_path) == 2
    assert "fig-none" in capsys.readouterr().err


def test_claims(capsys):
    assert cli("claims") == 0
    table = capsys.readouterr().out
    assert cli("claims --json") == 0
    rows = json.loads(capsys.readouterr().out)
    ids = {row["id"] for row in rows}
    assert {"A01", "A20", "B24", "X09"} <= ids and all(i in table for i in ids)
    assert cli("claims A09 X09 --json") == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["A09", "X09"]


def test_claims_are_a_line_each(capsys):
    from motionrepro.claims import ledger

    assert cli("claims") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "verdict", "claim"]
    for line, row in zip(lines, ledger()):
        id, rest = line.split(maxsplit=1)
        assert id == row["id"] and rest.startswith(row["verdict"]) and rest.endswith(row["claim"])
    counts = lines[len(ledger()) + 1]
    assert f"{len(ledger())} claims: " in counts
    stale = sum(row["stale"] for row in ledger())
    named = [part.split()[0] for part in counts.partition(": ")[2].split(", ")]
    assert sum(int(n) for n in named if n.isdigit()) == len(ledger()) - stale
    assert not stale or f"{stale} more, stale" in lines[-1]


def test_all_of_a_claim(capsys):
    from motionrepro.claims import ledger

    (row,) = ledger("A11")
    assert cli("claims A11") == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (row["id"], row["verdict"], row["claim"], row["place"], row["paper"], row["ours"]):
        assert " ".join(part.split()) in text
    if row["evidence"]:
        assert " ".join(row["evidence"]["criterion"].split()) in text


def test_claims_are_computed_on_request_only(monkeypatch, capsys):
    from motionrepro.claims import ledger

    asked = []
    monkeypatch.setattr(
        "motionrepro.claims.decide",
        lambda ids, profile, again: asked.append((ids, profile, again)) or ledger(ids),
    )
    for options in ("", "--decide", "--again --profile smoke"):
        assert cli("claims A20", options) == 0
        assert "A20" in capsys.readouterr().out
    assert asked == [(["A20"], "tiny", False), (["A20"], "smoke", True)]


def test_an_unknown_claim(capsys):
    assert cli("claims C01") == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "C01" in messages
