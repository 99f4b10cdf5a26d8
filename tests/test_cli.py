"""The command line as its users meet it: in a shell, and inside this process where a model is stood in for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import one_line_and_a_hint

from motionrepro.cli import MODELS, PROFILE_NAMES, REUSE_NETWORKS, SHIPPED_ADAPTERS, TRAIN_TARGETS, main

COMMANDS = ("score", "generate", "train", "evaluate", "measure", "figures", "claims")
PROGRAM = (sys.executable, "-c", "import sys; from motionrepro.cli import main; sys.exit(main())")


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


def test_help_imports_nothing_heavy():
    code = """
import sys
import motionrepro
from motionrepro.cli import main
for command in COMMANDS: assert main([*command, "--help"]) == 0
heavy = {m for m in ("torch", "numpy", "av", "diffusers", "transformers", "sklearn", "matplotlib", "PIL") if m in sys.modules}
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code.replace("COMMANDS", repr([[], *([c] for c in COMMANDS)]))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_installed_command_is_this_one():
    program = Path(sys.executable).with_name("motionrepro")
    if not program.exists():
        pytest.skip("the package is not installed here")
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("motionrepro ")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses(command, capsys):
    import shlex

    from motionrepro.cli import make_parser

    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    example = shlex.split(text.split("example:")[1].split(">")[0])
    assert example[:2] == ["motionrepro", command]
    assert make_parser().parse_args(example[1:]).command == command


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["paint"],
        ["score"],
        ["score", "x.mp4", "--size", "big"],
        ["generate"],
        ["train", "everything"],
        ["figures", "--profile", "huge"],
        ["score", "a.mp4", "--fit", "a", "--normalizer", "b"],
        ["claims", "--jsn"],
    ],
)
def test_wrong_arguments(args, capsys):
    assert main(args) == 2
    out, messages = capsys.readouterr()
    assert not out and one_line_and_a_hint(messages)


def test_no_traceback_without_debug(clips):
    plain = shell("score", clips / "broken.mp4")
    debug = shell("score", clips / "broken.mp4", "--debug")
    assert plain.returncode == debug.returncode == 2
    assert one_line_and_a_hint(plain.stderr) and "Traceback" in debug.stderr and plain.stderr in debug.stderr


@pytest.mark.parametrize(
    "error, status, message",
    [
        (KeyboardInterrupt(), 130, "motionrepro: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (KeyError("a bug"), 1, "motionrepro: error: KeyError: 'a bug'\nhint: this should not happen; run "),
        (
            PermissionError(13, "Permission denied", "/x"),
            2,
            "motionrepro: error: /x: Permission denied\nhint: ",
        ),
    ],
)
def test_what_else_can_end_a_command(error, status, message, monkeypatch, capfd):
    def fail(args):
        raise error

    monkeypatch.setattr("motionrepro.cli._claims", fail)
    assert main(["claims"]) == status
    messages = capfd.readouterr().err
    assert messages.startswith(message) and (message or not messages)


def test_a_closed_pipe_is_quiet(clips):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:
        done = subprocess.run(
            [*PROGRAM, "score", clips / "still.gif", "--size", "32"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 141 and not done.stderr


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
    assert main(["score", str(clips), "--size", "64", "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main(["score", str(clips), "--size", "64", "--json", str(tmp_path / "new" / "scores.json")]) == 0
    assert (
        json.loads((tmp_path / "new" / "scores.json").read_text()) == printed
        and "motion" in capsys.readouterr().out
    )
    assert [Path(c["file"]).name for c in printed["clips"]] == ["fast.mp4", "still.gif"]
    assert printed["clips"][0]["indices"] == list(range(0, 16, 2))
    assert (
        len(printed["skipped"]) == 2
        and printed["settings"]["interval"] == 2
        and printed["normalizer"]["n"] == 1000
    )


def test_score_agrees_with_the_library(clips, capsys):
    from motionrepro.data.video import read_clip
    from motionrepro.temporal.motion import frame_difference, world_normalizer

    assert (
        main(
            [
                "score",
                str(clips / "fast.mp4"),
                "--num-frames",
                "5",
                "--interval",
                "3",
                "--start",
                "1",
                "--size",
                "32",
                "--json",
                "-",
            ]
        )
        == 0
    )
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    raw = frame_difference(read_clip(clips / "fast.mp4", 5, 3, size=32, start=1).video[None])
    assert clip["frame_difference"] == pytest.approx(raw.item()) and clip["motion"] == pytest.approx(
        world_normalizer()(raw).item()
    )


def test_broken_files_of_a_folder_are_reported_and_skipped(clips, capsys):
    assert main(["score", str(clips), "--size", "32"]) == 0
    out, messages = capsys.readouterr()
    assert "fast.mp4" in out and "broken.mp4" not in out
    assert (
        "skipped: " in messages
        and "broken.mp4: not a video" in messages
        and "short.gif: too short, 8 frames at interval 2 need 15 frames, it has 5" in messages
    )


def test_broken_files_that_were_named(clips, capsys):
    assert main(["score", str(clips / "broken.mp4"), str(clips / "fast.mp4"), "--size", "32"]) == 1
    out, messages = capsys.readouterr()
    assert "fast.mp4" in out and "broken.mp4: not a video" in messages
    assert main(["score", str(clips / "broken.mp4"), str(clips / "missing.mp4")]) == 2
    assert "none of 2 files could be scored" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, options, reason",
    [
        ("missing.mp4", [], "missing.mp4: no such file"),
        ("broken.mp4", [], "broken.mp4: not a video"),
        ("short.gif", [], "too short, 8 frames at interval 2 need 15 frames, it has 5"),
        ("still.gif", ["--fps", "60"], "fewer than fps=60"),
        ("still.gif", ["--num-frames", "1"], "num_frames=1 is outside [2"),
        ("still.gif", ["--interval", "0"], "interval=0 is outside [1"),
        ("still.gif", ["--size", "0"], "size=0"),
        ("still.gif", ["--size", "1000000"], "size=1000000 is outside [8, 4096]"),
        ("still.gif", ["--start", "-1"], "start=-1"),
        ("still.gif", ["--normalizer", "none.json"], "none.json: No such file"),
        ("still.gif", ["--fit", "x.json"], "degenerate"),
        ("still.gif", ["--json", "/dev/null/x.json"], "cannot be written"),
    ],
)
def test_score_mistakes(name, options, reason, clips, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["score", str(clips / name), *options]) == 2
    out, messages = capsys.readouterr()
    assert not out and one_line_and_a_hint(messages) and reason in messages
    assert not list(tmp_path.iterdir())


def test_a_folder_without_videos(tmp_path, capsys):
    assert main(["score", str(tmp_path)]) == 2
    assert "holds no video files" in capsys.readouterr().err


def test_real_clips(real_clips, capsys):
    assert main(["score", str(real_clips), "--json", "-"]) == 0
    out, messages = capsys.readouterr()
    scores = {Path(c["file"]).name: c["motion"] for c in json.loads(out)["clips"]}
    assert set(scores) == {"car-turn.mp4", "rabbit-watermelon.mp4", "flipping_a_pancake.mkv"}
    assert all(0 < m < 1 for m in scores.values()) and max(scores, key=scores.get) == "flipping_a_pancake.mkv"
    assert "corrupted.mp4: damaged after 28 frames" in messages
    assert main(["score", str(real_clips / "corrupted.mp4")]) == 2


# generate


@pytest.fixture
def stand_in(monkeypatch):
    """An image model and a pipeline for clips that draw their noise; what they were asked is kept."""
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
    monkeypatch.setattr("motionrepro.backbones.load_backbone", load_backbone)
    monkeypatch.setattr("motionrepro.backbones.sample_images", sample_images)
    return asked


def test_generate_starts_from_correlated_noise(stand_in, tmp_path, capsys):
    from motionrepro.core import generator
    from motionrepro.data.video import read_clip
    from motionrepro.temporal.noise import correlated_noise
    from motionrepro.testing import assert_equal

    out = tmp_path / "x.gif"
    assert (
        main(
            [
                "generate",
                "a red circle",
                "--num-frames",
                "3",
                "--rho",
                "0.85",
                "--seed",
                "5",
                "--steps",
                "7",
                "--guidance",
                "2",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert (stand_in["prompt"], stand_in["base"], stand_in["asked_adapter"], stand_in["motion"]) == (
        "a red circle",
        "tiny",
        "saved",
        "auto",
    )
    assert (stand_in["num_inference_steps"], stand_in["guidance_scale"]) == (7, 2)
    assert_equal(
        stand_in["latents"], correlated_noise((1, 3, 4, 8, 8), 0.85, generator=generator(5, "generate"))
    )
    assert read_clip(out, 3, 1, size=None).video.shape == (3, 3, 8, 8)
    assert (
        f"{out}: 3 frames of 8 x 8 pixels, backbone tiny, its own adapter, rho 0.85, motion 0.25, seed 5"
        in capsys.readouterr().out
    )


def test_a_single_frame_is_a_picture(stand_in, tmp_path, capsys):
    assert main(["generate", "a red circle", "--steps", "7", "--out", str(tmp_path / "x.png")]) == 0
    assert (
        stand_in["prompt"] == "a red circle"
        and stand_in["num_inference_steps"] == 7
        and "base" not in stand_in
    )
    assert "x.png: 1 frame of 8 x 8 pixels, backbone tiny, seed 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, adapter, motion",
    [
        (["--no-adapter"], None, "auto"),
        (["--adapter", "none", "--motion", "0"], None, 0.0),
        (["--adapter", "there", "--motion", "0.75"], "there", 0.75),
    ],
)
def test_generate_with_and_without_adapters(options, adapter, motion, stand_in, tmp_path, capsys):
    assert main(["generate", "x", "--num-frames", "2", *options, "--out", str(tmp_path / "x.gif")]) == 0
    assert (stand_in["asked_adapter"], stand_in["motion"]) == (adapter, motion)
    assert ("no adapter" if adapter is None else "adapter there") in capsys.readouterr().out


def test_an_adapter_that_is_not_there(tmp_path, capsys):
    assert (
        main(
            [
                "generate",
                "x",
                "--num-frames",
                "2",
                "--adapter",
                str(tmp_path / "none"),
                "--out",
                str(tmp_path / "x.gif"),
            ]
        )
        == 2
    )
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "adapter=" in messages and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, name",
    [
        ([], "generated.png"),
        (["--num-frames", "2"], "generated.gif"),
        (["--num-frames", "2", "--out", "a/b.mp4"], "a/b.mp4"),
        (["--num-frames", "2", "--out", "strip.PNG"], "strip.PNG"),
    ],
)
def test_where_generate_writes(options, name, stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "x", *options]) == 0
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [name]


@pytest.mark.parametrize(
    "options, reason",
    [
        (["--rho", "1"], "rho=1.0 is outside [0, 1)"),
        (["--rho", "nan"], "rho=nan"),
        (["--num-frames", "0"], "num_frames=0"),
        (["--steps", "0"], "steps=0"),
        (["--motion", "2", "--num-frames", "2"], "motion=2.0 is outside [0, 1]"),
        (["--motion", "much"], "motion='much'"),
        (["--motion", "0.5"], "a single frame has no motion"),
        (["--adapter", "there"], "no use for an adapter"),
        (["--seed", "-1"], "seed=-1"),
        (["--out", "x.webp"], "cannot write .webp"),
        (["--fps", "90", "--num-frames", "2"], "fps=90"),
        (["--out", "/dev/null/x.png"], "/dev/null/x.png: cannot be written"),
        (["--out", "."], "cannot write"),
    ],
)
def test_generate_mistakes_cost_no_sampling(options, reason, stand_in, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "x", *options]) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages
    assert not stand_in and not list(tmp_path.iterdir())


def test_unknown_backbone(tmp_path):
    done = shell("generate", "x", "--backbone", "huge", "--out", tmp_path / "x.png")
    assert (
        done.returncode == 2
        and one_line_and_a_hint(done.stderr)
        and "backbone='huge'" in done.stderr
        and "sd15" in done.stderr
    )


def test_a_hub_backbone_without_a_network(tmp_path):
    done = shell(
        "generate",
        "x",
        "--backbone",
        "sd15",
        "--offline",
        "--out",
        tmp_path / "x.png",
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path / "cache"),
    )
    assert (
        done.returncode == 2
        and "backbone='sd15'" in done.stderr
        and "hint: " in done.stderr
        and "Traceback" not in done.stderr
    )


def test_generate_with_the_tiny_backbone(tmp_path, capsys):
    from motionrepro.core import assets_path

    if not (assets_path() / "tiny" / "unet").is_dir():
        pytest.skip("the tiny backbone is not trained yet")
    from motionrepro.data.video import read_clip

    arguments = ["generate", "a red circle on a plain gray background", "--num-frames", "2", "--steps", "3"]
    for name in ("a.gif", "b.gif"):
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    frames = read_clip(tmp_path / "a.gif", 2, 1, size=None).video
    assert frames.shape == (2, 3, 64, 64) and frames.std() > 0.01
    assert "note" not in capsys.readouterr().err
    assert (
        main(["generate", "a cat on a plain sofa", "--steps", "1", "--out", str(tmp_path / "cat.png")]) == 0
    )
    note = capsys.readouterr().err
    assert (
        note.startswith("motionrepro: note: tiny draws")
        and "cannot draw: cat, sofa\nhint: " in note
        and (tmp_path / "cat.png").exists()
    )


# train, figures, claims


def test_the_help_lists_what_there_is():
    from motionrepro.profiles import PROFILES
    from motionrepro.studies.ablations import ADAPTER_TARGETS
    from motionrepro.training.base import CARDS, TARGETS
    from motionrepro.training.mtn import REUSE_TARGETS

    assert set(PROFILE_NAMES) == set(PROFILES)
    assert tuple(TRAIN_TARGETS) == (
        "all",
        *TARGETS,
        *ADAPTER_TARGETS,
        *REUSE_TARGETS,
    )  # the help promises the order, too
    assert (*SHIPPED_ADAPTERS, "matrix") == ADAPTER_TARGETS and REUSE_NETWORKS == REUSE_TARGETS
    assert tuple(CARDS) == MODELS


def test_train_passes_on_what_was_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.training.base.train_command", lambda target, **options: asked.append((target, options))
    )
    assert main(["train", "vae"]) == 0
    assert (
        main(
            [
                "train",
                "unet-128",
                "--steps",
                "3",
                "--out",
                "there",
                "--checkpoints",
                "here",
                "--seed",
                "0",
                "--device",
                "cpu",
                "--samples",
                "20",
            ]
        )
        == 0
    )
    assert asked == [
        ("vae", {}),
        ("unet-128", dict(steps=3, out="there", checkpoints="here", seed=0, device="cpu", n=20)),
    ]


def test_train_hands_adapters_to_their_own_command(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.training.base.train_command",
        lambda target, **options: asked.append(("models", target, options)),
    )
    monkeypatch.setattr(
        "motionrepro.studies.ablations.adapter_command",
        lambda target, **options: asked.append(("adapters", target, options)),
    )
    monkeypatch.setattr(
        "motionrepro.training.mtn.reuse_command",
        lambda target, **options: asked.append(("reuse", target, options)),
    )
    assert (
        main(["train", "adapter", "--seed", "1"])
        == main(["train", "matrix", "--only", "base-0", "ours-0", "--samples", "20"])
        == 0
    )
    assert asked == [
        ("adapters", "adapter", dict(seed=1)),
        ("adapters", "matrix", dict(only=["base-0", "ours-0"], n=20)),
    ]
    asked.clear()
    assert main(["train", "all"]) == 0
    assert asked == [
        ("models", "all", {}),
        ("adapters", "adapter", {}),
        ("adapters", "adapter-128", {}),
        ("reuse", "mtn", {}),
        ("reuse", "dss", {}),
    ]
    asked.clear()
    assert main(["train", "dss", "--samples", "40", "--steps", "3"]) == 0
    assert asked == [("reuse", "dss", dict(n=40, steps=3))]


@pytest.mark.parametrize(
    "args, reason",
    [
        (["adapter", "--only", "ours-0"], "--only names runs"),
        (["matrix", "--seed", "1"], "seed=1"),
        (["matrix", "--only", "theirs-0"], "theirs-0 is not in the matrix"),
        (["matrix", "--steps", "0"], "steps=0"),
        (["vae", "--out", "/dev/null/x"], "/dev/null/x: cannot be made, /dev/null is a file"),
        (["dss", "--checkpoints", "/dev/null"], "/dev/null is a file"),
    ],
)
def test_train_mistakes(args, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *args]) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and reason in messages and not list(tmp_path.iterdir())


def test_train_understands_all_options():
    from inspect import signature

    from motionrepro.studies.ablations import adapter_command
    from motionrepro.training.base import train_command
    from motionrepro.training.mtn import reuse_command

    for command, more in ((train_command, set()), (adapter_command, {"only"}), (reuse_command, set())):
        assert {"steps", "out", "checkpoints", "seed", "device", "n"} | more <= set(
            signature(command).parameters
        )


def test_full_figures_bring_everything_stored_up_to_date_first(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(
        "motionrepro.studies.ablations.adapter_command",
        lambda target, **options: done.append((target, Path(options["checkpoints"]).name)),
    )
    monkeypatch.setattr(
        "motionrepro.studies.switching.frontier_command",
        lambda only=None, job=None: done.append((only, job.base, job.seed, job.n)),
    )
    monkeypatch.setattr("motionrepro.claims.decide", lambda *args, **options: done.append("claims"))
    monkeypatch.setattr(
        "motionrepro.figures.run_figures", lambda profile, **options: done.append((profile, options["only"]))
    )
    assert main(["figures", "--full"]) == 0
    assert done == [
        ("matrix", "checkpoints"),
        *[(None, "tiny-128", seed, 24) for seed in range(3)],
        "claims",
        ("tiny", None),
    ]
    done.clear()
    for wrong in (["--only", "A-table1"], ["--profile", "smoke"]):
        assert main(["figures", "--full", *wrong]) == 2
        assert "--full is for all figures of the tiny profile" in capsys.readouterr().err
    assert not done


def test_figures_passes_on_what_was_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.figures.run_figures", lambda profile, **options: asked.append((profile, options))
    )
    assert main(["figures"]) == 0
    assert (
        main(
            ["figures", "--profile", "smoke", "--only", "a", "b", "--out", "there", "--again", "--jobs", "3"]
        )
        == 0
    )
    assert asked == [
        ("tiny", dict(only=None, out=None, again=False, jobs=None)),
        ("smoke", dict(only=["a", "b"], out="there", again=True, jobs=3)),
    ]


def test_training_on_own_clips_passes_on_what_was_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "motionrepro.training.adapter.own_adapter_command",
        lambda *given, **options: asked.append((given, options)),
    )
    assert main(["train", "adapter", "--data", "clips", "--out", "mine"]) == 0
    assert (
        main(
            [
                "train",
                "adapter",
                "--data",
                "clips",
                "--out",
                "mine",
                "--backbone",
                "sd15",
                "--steps",
                "7",
                "--set",
                "lr=1",
                "batch=2",
                "--seed",
                "3",
                "--samples",
                "9",
                "--device",
                "cpu",
                "--checkpoints",
                "x",
            ]
        )
        == 0
    )
    options = dict(
        changes=["steps=7", "lr=1", "batch=2"],
        backbone="sd15",
        seed=3,
        pool_length=9,
        device="cpu",
        checkpoints="x",
    )
    assert asked == [(("clips", "mine"), dict(changes=[])), (("clips", "mine"), options)]


def test_measure_passes_on_what_was_given(monkeypatch, capsys):
    from motionrepro.studies.switching import Frontier

    asked = []
    monkeypatch.setattr("motionrepro.studies.switching.frontier_command", lambda *given: asked.append(given))
    assert (
        main(["measure", "--out", "/dev/null/x"]) == 2
        and not asked
        and "/dev/null is a file" in capsys.readouterr().err
    )
    assert main(["measure"]) == 0
    assert (
        main(
            [
                *[
                    "measure",
                    "--only",
                    "full",
                    "200",
                    "--base",
                    "tiny",
                    "--samples",
                    "8",
                    "--steps",
                    "20",
                    "--seed",
                    "3",
                    "--out",
                    "there",
                    "--checkpoints",
                    "kept",
                    "--device",
                    "cpu",
                ]
            ]
        )
        == 0
    )
    given = Frontier("tiny", 3, 8, 20, results=Path("there"), checkpoints=Path("kept"), device="cpu")
    assert asked == [(None, Frontier()), (["full", "200"], given)]


def test_an_unknown_figure(tmp_path, capsys):
    assert main(["figures", "--only", "fig-none", "--out", str(tmp_path)]) == 2
    assert "fig-none" in capsys.readouterr().err


def test_claims(capsys):
    assert main(["claims"]) == 0
    table = capsys.readouterr().out
    assert main(["claims", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    ids = {row["id"] for row in rows}
    assert {"A01", "A20", "B24", "X09"} <= ids and all(i in table for i in ids)
    assert main(["claims", "A09", "X09", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["A09", "X09"]


def test_claims_are_computed_on_request_only(monkeypatch, capsys):
    from motionrepro.claims import ledger

    asked = []
    monkeypatch.setattr(
        "motionrepro.claims.decide",
        lambda ids, profile, again: asked.append((ids, profile, again)) or ledger(ids),
    )
    for options in ([], ["--decide"], ["--again", "--profile", "smoke"]):
        assert main(["claims", "A20", *options]) == 0
        assert "A20" in capsys.readouterr().out
    assert asked == [(["A20"], "tiny", False), (["A20"], "smoke", True)]


def test_an_unknown_claim(capsys):
    assert main(["claims", "C01"]) == 2
    messages = capsys.readouterr().err
    assert one_line_and_a_hint(messages) and "C01" in messages
