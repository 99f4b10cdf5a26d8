"""The commands of denoising reuse as their users meet them: generate --reuse, edit, analyse."""

import json
import shlex
import subprocess
import sys

import pytest
from conftest import one_line_and_a_hint

from motionrepro.cli import NOISES, main, make_parser

COMMANDS = ("edit", "analyse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clip that moves, one that is too short, its first frame in other colours, that frame at another size, and a file that is nothing."""
    from motionrepro.data.video import write_video
    from motionrepro.data.world import render, sample_scene

    folder = tmp_path_factory.mktemp("reuse")
    video = render(sample_scene(3, num_frames=8, motion="moves", speed="quickly"), with_flow=False)["video"]
    write_video(folder / "fast.gif", video)
    write_video(folder / "short.gif", video[:2])
    write_video(folder / "style.png", video[:1].flip(1))
    write_video(folder / "small.png", video[:1, :, :32, :48])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def run(folder, *args):
    return main(
        [
            str(folder / a)
            if str(a).endswith((".gif", ".png", ".mp4")) and (folder / str(a)).exists()
            else str(a)
            for a in args
        ]
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_light_and_has_an_example_that_parses(command, capsys):
    assert main([command, "--help"]) == 0
    example = shlex.split(capsys.readouterr().out.split("example:")[1])
    assert (
        example[:2] == ["motionrepro", command] and make_parser().parse_args(example[1:]).command == command
    )
    code = f"""
import sys
from motionrepro.cli import main
main([{command!r}, "--help"])
assert not {{"torch", "numpy", "diffusers", "PIL"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_noises_are_those_of_the_library():
    from motionrepro.temporal.noise import SAMPLER_TIES

    assert (*SAMPLER_TIES, "inversion") == NOISES


def test_generate_with_reuse(folder, tmp_path, capsys):
    from motionrepro.data.video import read_clip

    arguments = [
        "generate",
        "a red circle on a plain gray background",
        "--reuse",
        "--num-frames",
        "5",
        "--references",
        "2",
        "--steps",
        "5",
    ]
    assert main([*arguments, "--out", str(tmp_path / "plain.gif")]) == 0  # at paper B's step
    assert "nearest to 200: " in capsys.readouterr().out
    arguments += ["--switch-step", "auto"]
    for name in ("a.gif", "b.gif"):
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
    first, second, third = capsys.readouterr().out.splitlines()[:3]
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert read_clip(tmp_path / "a.gif", 5, 1, size=None).video.shape == (5, 3, 64, 64)
    assert (
        "5 frames of 64 x 64 pixels" in first
        and "of 25 frame evaluations, ideal speed-up " in second
        and ", measured " in second
        and "equation 12 on observed errors" in third
    )
    from motionrepro.reuse.pipeline import DenoisingReusePipeline

    steps = DenoisingReusePipeline.from_pretrained("tiny").timesteps(5)
    arguments = arguments[:-2]
    assert main([*arguments, "--switch-step", str(steps[3]), "--out", str(tmp_path / "c.gif")]) == 0
    assert (
        f"switch step {steps[3]}: 16 of 25 frame evaluations, ideal speed-up 1.56" in capsys.readouterr().out
    )
    assert (
        main([*arguments, "--switch-step", str(steps[3] + 1), "--out", str(tmp_path / "d.gif")]) == 0
    )  # what analyse suggests is of another schedule
    assert (
        f"switch step {steps[3]}, the step of this schedule that is nearest to {steps[3] + 1}: 16 of 25"
        in capsys.readouterr().out
    )
    assert (tmp_path / "d.gif").read_bytes() == (tmp_path / "c.gif").read_bytes()


def test_edit(folder, tmp_path, capsys):
    from motionrepro.data.video import read_clip

    assert (
        run(
            folder,
            "edit",
            "fast.gif",
            "--style",
            "style.png",
            "--num-frames",
            4,
            "--steps",
            4,
            "--out",
            tmp_path / "edited.gif",
        )
        == 0
    )
    out = capsys.readouterr().out
    assert (
        "edited.gif: 4 frames of 64 x 64 pixels" in out
        and "frame evaluations" in out
        and "raw features of blocks 6, 8" in out
    )
    edited, source = (
        read_clip(path, 4, 1, size=None).video[0] for path in (tmp_path / "edited.gif", folder / "fast.gif")
    )
    assert (edited - source.flip(0)).abs().mean() < (edited - source).abs().mean()
    assert (
        run(
            folder,
            "edit",
            "fast.gif",
            "--style",
            "style.png",
            "--num-frames",
            4,
            "--steps",
            4,
            "--switch-step",
            "auto",
            "--out",
            tmp_path / "auto.gif",
        )
        == 0
    )
    out = (
        capsys.readouterr().out
    )  # raw features' errors pick the last one nearly always, and looking costs; that shall be seen
    assert "the last one that it may choose" in out
    for name, more in {"window.gif": ["--window", 1], "late.gif": ["--late", 0.5]}.items():
        assert (
            run(
                folder,
                "edit",
                "fast.gif",
                "--style",
                "style.png",
                "--num-frames",
                4,
                "--steps",
                4,
                *more,
                "--out",
                tmp_path / name,
            )
            == 0
        )
        assert (tmp_path / name).read_bytes() != (tmp_path / "edited.gif").read_bytes()


def test_analyse(folder, tmp_path, capsys):
    from PIL import Image

    assert (
        run(folder, "analyse", "fast.gif", "--num-frames", 3, "--steps", 6, "--out", tmp_path / "clip.png")
        == 0
    )
    out = capsys.readouterr().out
    stored = json.loads((tmp_path / "clip.json").read_text())
    assert (
        sorted(p.name for p in tmp_path.iterdir()) == ["clip.json", "clip.png"]
        and Image.open(tmp_path / "clip.png").size[0] > 1000
    )
    assert (
        f"suggested switch step {stored['switch_step']}" in out
        and "no motion network, MTN" in out
        and "no selector" in out
    )
    assert (
        stored["switch_step"] in stored["timesteps"]
        and len(stored["nmi"]) == len(stored["errors"]["surrogate"]) == 6
        and stored["settings"]["steps"] == 6
    )
    assert (
        run(
            folder,
            "analyse",
            "fast.gif",
            "--num-frames",
            3,
            "--steps",
            6,
            "--out",
            tmp_path / "again.png",
            "--json",
            "-",
        )
        == 0
    )
    again = json.loads(capsys.readouterr().out)
    assert again == stored and not (tmp_path / "again.json").exists()


def test_what_ships_for_128_pixels(folder, tmp_path, capsys):
    """With a motion network and a selector, which `tiny` does not have."""
    more = ["--backbone", "tiny-128", "--num-frames", 3, "--steps", 4, "--out"]
    assert run(folder, "analyse", "fast.gif", *more, tmp_path / "clip.png") == 0
    assert (
        "motion by the motion network (MTN), switch step by the selector" in capsys.readouterr().out
        and (tmp_path / "clip.json").exists()
    )
    assert run(folder, "edit", "fast.gif", "--style", "style.png", *more, tmp_path / "edited.gif") == 0
    assert "3 frames of 128 x 128 pixels" in capsys.readouterr().out
    for command in (["edit", "fast.gif", "--style", "style.png"], ["analyse", "fast.gif"]):
        assert run(folder, *command, "--window", 2, *more, tmp_path / "never.png") == 2
        assert (
            "window=2 is for raw features, and the motion network of tiny-128 has its own"
            in capsys.readouterr().err
        )
    assert not (tmp_path / "never.png").exists()


@pytest.mark.parametrize(
    "args, reason",
    [
        (["edit", "fast.gif"], "--style"),
        (["edit", "fast.gif", "--style", "none.png"], "none.png: No such file"),
        (["edit", "fast.gif", "--style", "broken.mp4"], "not a picture"),
        (["edit", "none.gif", "--style", "style.png"], "none.gif: no such file"),
        (
            ["edit", "fast.gif", "--style", "small.png", "--num-frames", 3],
            "is 48 x 32 pixels, the clip's frames are 64 x 64",
        ),
        (["edit", "short.gif", "--style", "style.png"], "too short, 8 frames"),
        (["edit", "broken.mp4", "--style", "style.png"], "not a video"),
        (["edit", "fast.gif", "--style", "style.png", "--num-frames", 1], "num_frames=1"),
        (
            [
                "edit",
                "fast.gif",
                "--style",
                "style.png",
                "--num-frames",
                3,
                "--steps",
                5,
                "--switch-step",
                5000,
            ],
            "switch_step=5000 is outside",
        ),
        (["edit", "fast.gif", "--style", "style.png", "--noise", "pink"], "invalid choice: 'pink'"),
        (
            ["edit", "fast.gif", "--style", "style.png", "--num-frames", 3, "--guidance", 3],
            "guidance=3 has no prompt to lead to",
        ),
        (["edit", "fast.gif", "--style", "style.png", "--late", 2], "late=2.0 is outside [0, 1]"),
        (["edit", "fast.gif", "--style", "style.png", "--window", -1], "window=-1"),
        (["analyse", "fast.gif", "--window", "wide"], "invalid int value"),
        (["edit", "fast.gif", "--style", "style.png", "--out", "x.txt"], "cannot write .txt"),
        (["analyse"], "CLIP"),
        (["analyse", "none.gif"], "no such file"),
        (["analyse", "broken.mp4"], "not a video"),
        (["analyse", "short.gif"], "too short, 8 frames"),
        (["analyse", "fast.gif", "--num-frames", 3, "--steps", 0], "steps=0"),
        (["analyse", "fast.gif", "--num-frames", 3, "--steps", 1], "'auto' needs steps"),
        (["analyse", "fast.gif", "--out", "x.jpg"], "cannot write .jpg"),
        (
            ["analyse", "fast.gif", "--num-frames", 3, "--size", 60],
            "60 x 60 pixels; both must be multiples of 8",
        ),
        (["analyse", "fast.gif", "--size", 0], "size=0"),
        (["analyse", "fast.gif", "--size", 2048], "size=2048 is outside [8, 1024]"),
        (["generate", "x", "--switch-step", "auto"], "for --reuse"),
        (
            ["generate", "x", "--reuse", "--num-frames", 5, "--references", 1],
            "references=1 is outside [2, 4]",
        ),
        (
            ["generate", "a red circle", "--reuse", "--num-frames", 5, "--switch-step", 1500, "--steps", 4],
            "switch_step=1500 is outside",
        ),
    ],
)
def test_mistakes(args, reason, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(folder, *args) == 2
    out, messages = capsys.readouterr()
    assert not out and one_line_and_a_hint(messages) and reason in messages and not list(tmp_path.iterdir())


def test_a_real_clip(real_clips, tmp_path, capsys):
    options = [
        "--num-frames",
        "3",
        "--steps",
        "4",
        "--noise",
        "independent",
        "--out",
        str(tmp_path / "car.png"),
    ]
    assert main(["analyse", str(real_clips / "car-turn.mp4"), *options]) == 0
    assert "suggested switch step" in capsys.readouterr().out and (tmp_path / "car.json").exists()
    assert main(["analyse", str(real_clips / "corrupted.mp4"), "--out", str(tmp_path / "corrupted.png")]) == 2
    assert one_line_and_a_hint(capsys.readouterr().err) and not (tmp_path / "corrupted.png").exists()
