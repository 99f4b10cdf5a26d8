"""The demo: what its buttons do, and the page itself in a browser."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import cli, needed, one_line_and_a_hint

LOCAL = """
import socket, sys
connect = socket.socket.connect
def only_here(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
        print("REACHED OUT", address, flush=True)
        raise OSError("this code must not touch the network")
    return connect(self, address)
socket.socket.connect = only_here
from motionrepro.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The models of the page, the smallest ones."""
    return loaded(tmp_path_factory.mktemp("made"), "tiny")


def loaded(folder, backbone, adapter=None):
    from motionrepro.app.models import load_models

    return load_models(folder, backbone, adapter, None, None, "cpu", "float32", offline=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory, models):
    """A clip that moves."""
    from motionrepro.app.work import world_clip

    return world_clip(models, 0)


def ignore(done, what):
    """Take no notice of progress."""


# without the page


def test_captions_are_those_of_the_world():
    from motionrepro.app import words
    from motionrepro.data import world

    usual = words.usual_words()
    scene = world.sample_scene(0, "train", **usual)
    assert words.caption(**usual) == scene.caption and scene.direction
    for name, options in words.choices().items():
        written = {words.caption(**(usual | {name: option})) for option in options}
        assert len(written) == len(options)
        assert not [text for text in written if world.unknown_words(text)]
    for motion in world.MOTIONS:
        ways = words.directions(motion)
        turned = {words.caption(**(usual | dict(motion=motion, direction=way))) for way in ways}
        assert len(turned) == len(ways)
        assert bool(ways) == bool(world.sample_scene(0, motion=motion).direction)
    assert words.caption(**(usual | dict(direction="nowhere"))) != words.caption(
        **(usual | dict(direction=words.directions(usual["motion"])[-1]))
    )


@pytest.mark.parametrize("backbone, way", [("tiny", "FULL"), ("tiny", "AT_STEP"), ("tiny-128", "CHOSEN")])
def test_a_clip_and_the_same_call_as_python(backbone, way, tmp_path, monkeypatch):
    from motionrepro.app import work
    from motionrepro.app.words import caption, usual_words

    models = loaded(tmp_path, backbone)
    assert getattr(work, way) in work.ways(models)
    typed = (0.5, 0.4, 4, getattr(work, way), 300, 4, 7, models.guidance, 5, "a still picture")
    options = work.SamplingOptions(*typed)
    seen = []
    made = work.make_clip(models, caption(**usual_words()), options, lambda done, what: seen.append(done))
    assert seen[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (len(seen) > 4) == (way != "FULL")
    assert made.frames.shape == (4, 3, models.size, models.size) and "motion 0.5" in made.about

    assert ("references=3" in made.python) == (way != "FULL")
    monkeypatch.chdir(tmp_path)
    exec(made.python, {})
    assert Path("clip.gif").read_bytes() == Path(made.gif).read_bytes()
    exec(made.python.replace("generator(7", "generator(8"), {})
    assert Path("clip.gif").read_bytes() != Path(made.gif).read_bytes()


@pytest.mark.parametrize("way", ["FULL", "AT_STEP"])
def test_python_loads_what_the_page_has_loaded(way, tmp_path):
    from motionrepro.app import work

    models = loaded(tmp_path, "tiny", adapter="none")
    options = work.SamplingOptions(way=getattr(work, way))
    text = work.python_text(models, work.pipeline_arguments(models, "a circle", options), options)
    assert "from_pretrained('tiny', adapter=None, device='cpu', local_files_only=True)" in text
    assert work.CHOSEN not in work.ways(models)  # there is no selector

    scope = {}
    exec(text.split("made = ")[0], scope)
    ours = models.full if way == "FULL" else models.reusing
    assert type(scope["pipe"]) is type(ours)
    assert parts(scope["pipe"]) == parts(ours) and scope["pipe"].adapter is None


def parts(pipe):
    """The class of each component of a pipeline."""
    return {name: type(part) for name, part in pipe.components.items()}


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(motion=2), "motion=2.0 is outside [0, 1]"),
        (dict(motion="much"), "motion='much' is neither"),
        (dict(rho=1), "rho=1 is outside [0, 1)"),
        (dict(num_frames=1), "num_frames=1 is outside [2, inf)"),
        (dict(steps=0), "steps=0 is outside [1, 1000]"),
        (dict(steps=None), "steps=None is not a number"),
        (dict(guidance=-1), "guidance=-1 is outside [0, inf)"),
        (dict(seed=-1), "seed=-1 is outside [0, inf)"),
        (dict(fps=60), "fps=60 is outside [0.01, 50]"),
        (dict(way="AT_STEP", switch_step=1500), "switch_step=1500 is outside"),
        (dict(way="AT_STEP", num_frames=2), "num_frames=2 leaves nothing to reuse"),
    ],
)
def test_mistakes_name_argument_value_and_range(wrong, message, models):
    from motionrepro.app import work
    from motionrepro.core import UserError

    wrong = wrong | ({"way": work.AT_STEP} if "way" in wrong else {})
    with pytest.raises(UserError, match=re.escape(message)):
        work.make_clip(models, "a circle", work.SamplingOptions(**(dict(steps=2) | wrong)), ignore)


@pytest.mark.parametrize(
    "prompt, wrong, message",
    [
        ("", dict(num_frames=1), "num_frames=1 is outside [2, inf)"),
        ("", dict(steps=0), "steps=0 is outside [1, 1000]"),
        ("", dict(steps=2.5), "steps=2.5 is not a whole number"),
        ("", dict(seed=-1), "seed=-1 is outside [0, inf)"),
        ("", dict(seed=0.5), "seed=0.5 is not a whole number"),
        ("", dict(fps=60), "fps=60 is outside [0.01, 50]"),
        ("", dict(fps=None), "fps=None is not a number"),
        ("", dict(switch_step=1500), "switch_step=1500 is outside"),
        ("", dict(switch_step=None), "switch_step='None' is neither"),
        ("", dict(way="CHOSEN", steps=1), "switch_step='auto' needs steps between"),
        ("a circle", dict(guidance=-1), "guidance=-1 is outside [0, inf)"),
        ("", dict(guidance=3), "guidance=3 has no prompt to lead to"),
        ("", dict(negative="a square"), "negative_prompt='a square' is for guidance"),
        (None, {}, "prompt=None must be a string"),
    ],
)
def test_mistakes_in_an_edit_are_found_before_the_clip_is_read(prompt, wrong, message, models):
    from motionrepro.app import work
    from motionrepro.core import UserError

    wrong = wrong | ({"way": work.CHOSEN} if "way" in wrong else {})
    options = work.SamplingOptions(**(dict(steps=4) | wrong))
    with pytest.raises(UserError, match=re.escape(message)):
        work.edit_arguments(models, prompt, options)
    with pytest.raises(UserError, match=re.escape(message)):
        work.edit_clip(models, None, None, prompt, options, ignore)


def test_guidance_that_is_left_empty_is_the_bases(models):
    from motionrepro.app import work

    empty = work.SamplingOptions()
    assert models.guidance != 7.5  # which other bases have
    assert work.pipeline_arguments(models, "a circle", empty)["guidance_scale"] == models.guidance
    assert work.edit_arguments(models, "a circle", empty)["guidance_scale"] == models.guidance
    assert work.edit_arguments(models, "", empty)["guidance_scale"] == 1
    given = work.SamplingOptions(guidance=2, negative="a square")
    arguments = work.edit_arguments(models, "a circle", given)
    assert arguments["guidance_scale"] == 2 and arguments["negative_prompt"] == "a square"


def test_other_colours():
    import torch

    from motionrepro.app.work import recoloured

    frame = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert (recoloured(frame, 0, 1) - frame).abs().max() < 1e-5
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 2, 2)
    assert torch.allclose(recoloured(red, 120, 1), red.roll(1, 0), atol=1e-5)
    assert recoloured(frame, 0, 0).std(0).max() < 1e-6


def test_an_edit_is_the_command_lines(models, clip, tmp_path):
    from motionrepro.app import work
    from motionrepro.cli.models import read_given_clip
    from motionrepro.data.video import write_video

    frame = work.first_frame(clip, 0)
    write_video(tmp_path / "styled.png", work.recoloured(frame, 120, 1)[None])
    style_frame = work.style_picture(frame, str(tmp_path / "styled.png"), 0, 1)
    options = work.SamplingOptions(way=work.AT_STEP, switch_step=300, steps=4, seed=3)
    video = read_given_clip(clip, 4, 1, 0, 4, 3)
    made = work.edit_clip(models, video, style_frame, "", options, ignore)
    line = f"edit {clip} --style {tmp_path}/styled.png --backbone tiny --num-frames 4 --steps 4 --seed 3"
    assert cli(line, "--switch-step 300 --out", tmp_path / "edited.gif") == 0
    assert (tmp_path / "edited.gif").read_bytes() == Path(made.gif).read_bytes()


def test_an_analysis_is_the_command_lines(models, clip, tmp_path):
    from PIL import Image

    from motionrepro.app import work
    from motionrepro.cli.models import read_given_clip

    seen = []
    video = read_given_clip(clip, 3, 1, 0, 4, 5)
    found = work.analysed(models, video, 4, 5, lambda done, what: seen.append(done))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    shown = work.written_analysis(models, found, "a clip")
    line = f"analyse {clip} --backbone tiny --num-frames 3 --steps 4 --seed 5"
    assert cli(line, "--out", tmp_path / "clip.png") == 0
    stored, ours = (json.loads(Path(p).read_text()) for p in (tmp_path / "clip.json", shown.numbers))
    assert ours == {name: stored[name] for name in ours} and len(ours) > 5
    assert Image.open(shown.motion).n_frames == 3 and Image.open(shown.curves).size[1] > 500
    assert f"suggested switch step {stored['switch_step']}" in shown.about


def test_a_style_picture_of_another_size(models, clip, tmp_path):
    from motionrepro.app import work
    from motionrepro.core import UserError
    from motionrepro.data.video import write_video

    frame = work.first_frame(clip, 0)
    write_video(tmp_path / "small.png", frame[None, :, :32, :48])
    with pytest.raises(UserError, match="small.png: is 48 x 32 pixels, the clip's frames are 64 x 64"):
        work.style_picture(frame, str(tmp_path / "small.png"), 0, 1)


def test_without_gradio(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli("demo") == 2
    message = capsys.readouterr().err
    assert one_line_and_a_hint(message) and "pip install 'motionrepro[demo]'" in message


def test_where_the_page_cannot_be(capsys):
    needed("gradio")
    assert cli("demo --port 70000") == 2
    assert "port=70000 is outside [1, 65535]" in capsys.readouterr().err
    assert cli("demo --backbone tiny --offline --host nowhere.invalid") == 2
    message = capsys.readouterr().err
    assert one_line_and_a_hint(message) and "host='nowhere.invalid': no page" in message
    assert cli("demo --backbone nothing") == 2
    assert "backbone='nothing'" in capsys.readouterr().err


def listening(host):
    """A socket that listens at an address of this computer, at any port."""
    try:
        return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        pytest.skip(f"NOT TESTED: this computer has no address {host}")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_is_taken(host, capsys):
    needed("gradio")
    from motionrepro.app.page import check_address

    with listening(host) as taken:
        port = taken.getsockname()[1]
        assert cli(f"demo --backbone tiny --offline --host {host} --port {port}") == 2
        message = capsys.readouterr().err
    assert one_line_and_a_hint(message) and f"host='{host}', port={port}: no page" in message
    assert "Address already in use" in message
    check_address(host, None)


@pytest.mark.parametrize("host, shown", [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_uploads_are_bounded_and_do_not_stay(host, shown, monkeypatch):
    needed("gradio")
    import httpx

    from motionrepro.app import page

    monkeypatch.setattr(page, "MAX_FILE_SIZE", "1kb")
    monkeypatch.setattr(page, "DELETE_CACHE", (1, 1))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "as it was")
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    listening(host).close()
    networks = dict(adapter=None, mtn=None, dss=None, device="cpu", dtype="float32", offline=True)
    with page.serve("tiny", networks, host) as addresses:
        (address,) = addresses
        assert re.fullmatch(rf"http://{re.escape(shown)}:\d+/", address)

        def upload(size):
            files = dict(files=("clip.mp4", bytes(size)))
            return httpx.post(f"{address}gradio_api/upload", files=files, trust_env=False)

        assert upload(5000).status_code == 413
        (file,) = upload(500).json()
        assert Path(file).is_relative_to(os.environ["GRADIO_TEMP_DIR"]) and Path(file).exists()
        deadline = time.monotonic() + 30
        while Path(file).exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not Path(file).exists()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "as it was" and "GRADIO_TEMP_DIR" not in os.environ


def test_messages_of_the_page(tmp_path):
    needed("gradio")
    import gradio as gr

    from motionrepro.app.page import mistakes_shown
    from motionrepro.cli.models import read_given_clip
    from motionrepro.core import UserError

    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(gr.Error) as shown, mistakes_shown(str(tmp_path / "broken.mp4")):
        read_given_clip(str(tmp_path / "broken.mp4"), 8, 1, 0, 4, 0)
    assert shown.value.message.startswith("broken.mp4: ") and not shown.value.print_exception
    with pytest.raises(gr.Error) as shown, mistakes_shown():
        raise UserError("n=1 is small", "give --n 2")
    assert shown.value.message == "n=1 is small"
    with pytest.raises(gr.Error) as shown, mistakes_shown():
        raise UserError("n=1 is small", "take more")
    assert shown.value.message == "n=1 is small. take more"
    with pytest.raises(gr.Error) as shown, mistakes_shown():
        len(None)
    assert shown.value.message.startswith("TypeError: ") and "--" not in shown.value.message
    assert shown.value.print_exception and isinstance(shown.value.__cause__, TypeError)
    with pytest.raises(gr.Error) as shown, mistakes_shown():
        raise MemoryError
    assert shown.value.message.endswith("ask for fewer frames, smaller ones or fewer at a time")


@pytest.mark.parametrize("fps, message", [(60, "fps=60 is outside"), (8, "there is no clip yet")])
def test_the_edit_button_looks_at_what_was_typed_first(fps, message, models):
    needed("gradio")
    import gradio as gr

    from motionrepro.app.page import COLOURS, build_page
    from motionrepro.app.work import AT_STEP

    (edit,) = (f.fn for f in build_page(models).fns.values() if f.api_name == "edit")
    style = (COLOURS, 120, 1, None)
    with pytest.raises(gr.Error, match=message):
        next(edit(None, 8, 1, 0, *style, "", AT_STEP, 200, 4, 0, None, fps, ""))


# the page in a browser


def heed_interrupts():
    """Undo what a shell does to programs in its background: they ignore Ctrl-C, and so do their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the demo runs as its users start it, but unable to reach anything outside this computer."""
    needed("gradio")
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-c", LOCAL, "demo", "--backbone", "tiny"]
    env = os.environ | dict(TMPDIR=str(home), PYTHONUNBUFFERED="1")
    with open(home / "log", "w+") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=env, start_new_session=True, preexec_fn=heed_interrupts
        )
        try:
            yield started(server, home / "log")
        finally:
            server.send_signal(signal.SIGINT)
            try:
                status = server.wait(60)
            finally:
                server.kill()  # whatever went wrong, nothing runs on
    output = (home / "log").read_text()
    assert status == 130 and "REACHED OUT" not in output and "Traceback" not in output, output
    assert [p.name for p in home.rglob("*") if p.is_file()] == ["log"]  # nothing that was made is left


def started(server, log):
    """The address that a server tells, once it runs."""
    for _ in range(300):
        found = re.search(r"the demo is at (http://127\.0\.0\.1:\d+)", log.read_text())
        if found:
            return found[1]
        with pytest.raises(subprocess.TimeoutExpired):  # it must not end
            server.wait(1)
    raise AssertionError(log.read_text())


@pytest.fixture
def page(browser, address):
    """The demo in a browser that asks nobody else for anything."""
    page = browser.new_page(viewport=dict(width=1280, height=900))
    page.set_default_timeout(120_000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_role("button", name="Make the clip").wait_for()
    yield page
    here = (address, "data:", "blob:")
    outside = [url for url in asked if not url.startswith(here)]
    page.close()
    assert len(asked) > 10 and not outside, outside


def seen(page, role, name):
    """A control of the tab that is shown."""
    return page.get_by_role(role, name=name).locator("visible=true")


def fill(page, **values):
    """Fill fields of the tab that is shown, by their labels."""
    for label, value in values.items():
        page.get_by_label(label.replace("_", " "), exact=True).locator("visible=true").first.fill(str(value))


def picture(page, label):
    """The picture in a place of the page, once it is there."""
    shown = page.get_by_role("img", name=label).locator("visible=true")
    shown.wait_for()
    return shown


def download(page, name):
    """The bytes behind a button."""
    with page.expect_download() as offered:
        seen(page, "button", name).click()
    return Path(offered.value.path()).read_bytes()


def choose(page, menu, word):
    """Choose a word of a menu."""
    page.get_by_label(menu, exact=True).locator("visible=true").click()
    page.get_by_role("option", name=word, exact=True).click()


@pytest.mark.slow
def test_make_a_clip_in_the_browser(page, tmp_path, monkeypatch):
    from motionrepro.app.words import caption, choices, directions, usual_words

    usual = usual_words()
    colour = next(c for c in choices()["colour"] if c != usual["colour"])
    choose(page, "Colour", colour)
    text = caption(**(usual | dict(colour=colour)))
    page.wait_for_function("text => document.querySelector('textarea').value == text", arg=text)
    still = next(m for m in choices()["motion"] if not directions(m))
    menus = [page.get_by_label(name, exact=True) for name in ("Direction", "Speed")]
    assert all(menu.is_visible() for menu in menus)
    choose(page, "Motion", still)
    text = caption(**(usual | dict(colour=colour, motion=still)))
    page.wait_for_function("text => document.querySelector('textarea').value == text", arg=text)
    for menu in menus:  # which the motion has no use for
        menu.wait_for(state="hidden")

    page.get_by_label("The caption says how much moves").uncheck()
    page.get_by_label("reuse down to t*").locator("visible=true").check()
    fill(page, Denoising_steps=3, Seed=4)
    seen(page, "button", "Make the clip").click()
    picture(page, "The clip, as an animation")
    python = page.locator(".cm-content").inner_text()
    assert "switch_step=" in python and "motion=0.5" in python and "generator(4, " in python
    monkeypatch.chdir(tmp_path)
    exec(python, {})
    assert Path("clip.gif").read_bytes() == download(page, "Download GIF")
    assert download(page, "Download MP4")[4:8] == b"ftyp"
    assert page.get_by_text("frame evaluations").is_visible()


@pytest.mark.slow
def test_edit_a_clip_in_the_browser(page, clip):
    page.get_by_role("tab", name="Edit").click()
    page.locator("input[type=file]").first.set_input_files(clip)
    picture(page, "Its first frame")
    picture(page, "Its new look")
    fill(page, Denoising_steps=3, Frames=4)
    seen(page, "button", "Edit the clip").click()
    picture(page, "Motion of the given clip")
    picture(page, "The edited clip, as an animation")
    assert download(page, "Download GIF")[:3] == b"GIF"


@pytest.mark.slow
def test_analyse_a_clip_in_the_browser(page):
    page.get_by_role("tab", name="Analyse").click()
    seen(page, "button", "Take a clip of the world").click()
    page.get_by_text("world-1").locator("visible=true").wait_for()
    fill(page, Noise_levels=4, Frames=3)
    seen(page, "button", "Analyse the clip").click()
    picture(page, "Motion from the first frame")
    picture(page, "NMI and errors over the noise levels")
    assert len(json.loads(download(page, "Download numbers"))["nmi"]) == 4
    assert download(page, "Download picture")[1:4] == b"PNG"


@pytest.mark.slow
def test_mistakes_in_the_browser(page, tmp_path):
    fill(page, Seed=-1)
    seen(page, "button", "Make the clip").click()
    page.get_by_text("seed=-1 is outside [0, inf)").wait_for()
    page.get_by_role("tab", name="Edit").click()
    seen(page, "button", "Edit the clip").click()
    page.get_by_text("there is no clip yet").wait_for()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "broken.mp4")
    page.get_by_text(re.compile(r"^broken\.mp4: ")).first.wait_for()
    assert not page.get_by_text("Traceback").count()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_as_wide_as_its_window(page, width):
    page.set_viewport_size(dict(width=width, height=844))
    for name in ("Make", "Edit", "Analyse"):
        page.get_by_role("tab", name=name).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
