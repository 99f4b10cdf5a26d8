"""The commands of denoising reuse as their users meet them: generate --reuse, edit, analyse."""

import json
from typing import get_args

import pytest
from conftest import cli, one_line_and_a_hint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A moving clip, a short one, the first frame in other colours and at another size, and a broken file."""
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


def run(folder, *parts):
    """The status of a command whose files are looked for in the folder first."""
    words = " ".join(map(str, parts)).split(" ")
    return cli(
        *(folder / w if w.endswith((".gif", ".png", ".mp4")) and (folder / w).exists() else w for w in words)
    )


def test_noises_are_those_of_the_library():
    from motionrepro.cli.options import Noise
    from motionrepro.temporal.noise import SAMPLER_TIES

    noises = get_args(get_args(Noise)[0])
    assert (*SAMPLER_TIES, "inversion") == noises


def test_analyse_and_edit_take_the_base_that_has_a_motion_network():
    from conftest import parsed

    from motionrepro.core import assets_path

    for line in ("analyse x.mp4", "edit x.mp4 --style x.png"):
        backbone = parsed(line.split())["backbone"]
        assert (assets_path() / backbone / "mtn").is_dir()


def test_generate_with_reuse(folder, tmp_path, capsys):
    from motionrepro.data.video import read_clip
    from motionrepro.reuse.pipeline import DenoisingReusePipeline

    line = (
        "generate 'a red circle on a plain gray background' --reuse --num-frames 5 --references 2 --steps 5"
    )
    assert cli(line, "--out", tmp_path / "plain.gif") == 0  # at paper B's step
    assert "nearest to 200: " in capsys.readouterr().out
    for name in ("a.gif", "b.gif"):
        assert cli(line, "--switch-step auto --out", tmp_path / name) == 0
    first, second, third = capsys.readouterr().out.splitlines()[:3]
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert read_clip(tmp_path / "a.gif", 5, 1, size=None).video.shape == (5, 3, 64, 64)
    assert "5 frames of 64 x 64 pixels" in first
    assert "of 25 frame evaluations, ideal speed-up " in second and ", measured " in second
    assert "equation 12 on observed errors" in third

    step = DenoisingReusePipeline.from_pretrained("tiny").timesteps(5)[3]
    assert cli(line, "--switch-step", step, "--out", tmp_path / "c.gif") == 0
    assert f"switch step {step}: 16 of 25 frame evaluations, ideal speed-up 1.56" in capsys.readouterr().out
    # what analyse suggests is of another schedule
    assert cli(line, "--switch-step", step + 1, "--out", tmp_path / "d.gif") == 0
    nearest = f"switch step {step}, the step of this schedule that is nearest to {step + 1}: 16 of 25"
    assert nearest in capsys.readouterr().out
    assert (tmp_path / "d.gif").read_bytes() == (tmp_path / "c.gif").read_bytes()


def test_edit(folder, tmp_path, capsys):
    from motionrepro.data.video import read_clip

    line = "edit fast.gif --style style.png --backbone tiny --num-frames 4 --steps 4"
    assert run(folder, line, "--out", tmp_path / "edited.gif") == 0
    out = capsys.readouterr().out
    assert "edited.gif: 4 frames of 64 x 64 pixels" in out
    assert "frame evaluations" in out and "raw features of blocks 6, 8" in out
    edited = read_clip(tmp_path / "edited.gif", 4, 1, size=None).video[0]
    source = read_clip(folder / "fast.gif", 4, 1, size=None).video[0]
    assert (edited - source.flip(0)).abs().mean() < (edited - source).abs().mean()

    assert run(folder, line, "--switch-step auto --out", tmp_path / "auto.gif") == 0
    # raw features' errors pick the last one nearly always, and looking costs; that should be seen
    assert "the last one that it may choose" in capsys.readouterr().out
    for name, more in {"window.gif": "--window 1", "late.gif": "--late 0.5"}.items():
        assert run(folder, line, more, "--out", tmp_path / name) == 0
        assert (tmp_path / name).read_bytes() != (tmp_path / "edited.gif").read_bytes()


def test_a_style_picture_is_what_a_viewer_shows(folder, tmp_path):
    from PIL import Image

    sideways = Image.open(folder / "style.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it back
    sideways.save(tmp_path / "sideways.png", exif=exif)
    line = "edit fast.gif --backbone tiny --num-frames 3 --steps 2"
    for style, out in ((folder / "style.png", "a.gif"), (tmp_path / "sideways.png", "b.gif")):
        assert run(folder, line, "--style", style, "--out", tmp_path / out) == 0
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_analyse(folder, tmp_path, capsys):
    from PIL import Image

    line = "analyse fast.gif --backbone tiny --num-frames 3 --steps 6"
    assert run(folder, line, "--out", tmp_path / "clip.png") == 0
    out = capsys.readouterr().out
    stored = json.loads((tmp_path / "clip.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.json", "clip.png"]
    assert Image.open(tmp_path / "clip.png").size[0] > 1000
    assert f"suggested switch step {stored['switch_step']}" in out
    assert "no motion network, MTN" in out and "no selector" in out
    assert stored["switch_step"] in stored["timesteps"] and stored["settings"]["steps"] == 6
    assert len(stored["nmi"]) == len(stored["errors"]["surrogate"]) == 6
    assert run(folder, line, "--json - --out", tmp_path / "again.png") == 0
    again = json.loads(capsys.readouterr().out)
    assert again == stored and not (tmp_path / "again.json").exists()


def test_what_ships_for_128_pixels(folder, tmp_path, capsys):
    """With a motion network and a selector, which `tiny` does not have."""
    more = "--num-frames 3 --steps 4 --out"
    assert run(folder, "analyse fast.gif", more, tmp_path / "clip.png") == 0
    assert "motion by the motion network (MTN), switch step by the selector" in capsys.readouterr().out
    assert (tmp_path / "clip.json").exists()
    assert run(folder, "edit fast.gif --style style.png", more, tmp_path / "edited.gif") == 0
    assert "3 frames of 128 x 128 pixels" in capsys.readouterr().out
    for command in ("edit fast.gif --style style.png", "analyse fast.gif"):
        assert run(folder, command, "--window 2", more, tmp_path / "never.png") == 2
        reason = "window=2 is for raw features, and the motion network of tiny-128 has its own"
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "never.png").exists()


@pytest.mark.parametrize(
    "line, reason",
    [
        ("edit fast.gif", "--style"),
        ("edit fast.gif --style none.png", "none.png: No such file"),
        ("edit fast.gif --style broken.mp4", "not a picture"),
        ("edit none.gif --style style.png", "none.gif: no such file"),
        (
            "edit fast.gif --style small.png --num-frames 3",
            "is 48 x 32 pixels, the clip's frames are 64 x 64",
        ),
        ("edit short.gif --style style.png", "too short, 8 frames"),
        ("edit broken.mp4 --style style.png", "not a video"),
        ("edit fast.gif --style style.png --num-frames 1", "num_frames=1"),
        (
            "edit fast.gif --style style.png --num-frames 3 --steps 5 --switch-step 5000",
            "switch_step=5000 is outside",
        ),
        ("edit fast.gif --style style.png --noise pink", "'pink' is not one of 'independent', 'ar'"),
        (
            "edit fast.gif --style style.png --num-frames 3 --guidance 3",
            "guidance=3 has no prompt to lead to",
        ),
        ("edit fast.gif --style style.png --late 2", "late=2.0 is outside [0, 1]"),
        ("edit fast.gif --style style.png --window -1 --backbone tiny", "window=-1"),
        ("analyse fast.gif --window wide", "'--window': 'wide' should be a valid integer"),
        ("edit fast.gif --style style.png --out x.txt", "cannot write .txt"),
        ("analyse", "CLIP"),
        ("analyse none.gif", "no such file"),
        ("analyse broken.mp4", "not a video"),
        ("analyse short.gif", "too short, 8 frames"),
        ("analyse fast.gif --num-frames 3 --steps 0", "steps=0"),
        ("analyse fast.gif --num-frames 3 --steps 1", "'auto' needs steps"),
        ("analyse fast.gif --out x.jpg", "cannot write .jpg"),
        ("analyse fast.gif --out x.pdf", "cannot write .pdf"),
        ("analyse fast.gif --out x.png --json x.png", "both name x.png"),
        ("analyse fast.gif --num-frames 3 --size 60", "60 x 60 pixels; both must be multiples of 8"),
        ("analyse fast.gif --size 0", "size=0"),
        ("analyse fast.gif --size 2048", "size=2048 is outside [8, 1024]"),
        ("generate x --switch-step auto", "for --reuse"),
        ("generate x --reuse --num-frames 5 --references 1", "references=1 is outside [2, 4]"),
        (
            "generate red --reuse --num-frames 5 --switch-step 1500 --steps 4",
            "switch_step=1500 is outside",
        ),
    ],
)
def test_mistakes(line, reason, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(folder, line) == 2
    out, messages = capsys.readouterr()
    assert not out and one_line_and_a_hint(messages) and reason in messages and not list(tmp_path.iterdir())


def test_a_real_clip(real_clips, tmp_path, capsys):
    options = "--backbone tiny --num-frames 3 --steps 4 --noise independent --out"
    assert cli("analyse", real_clips / "car-turn.mp4", options, tmp_path / "car.png") == 0
    assert "suggested switch step" in capsys.readouterr().out and (tmp_path / "car.json").exists()
    assert cli("analyse", real_clips / "corrupted.mp4", "--out", tmp_path / "corrupted.png") == 2
    assert one_line_and_a_hint(capsys.readouterr().err) and not (tmp_path / "corrupted.png").exists()
