"""The page: three tabs, whose buttons call what `work` has."""

import contextlib
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from motionrepro.cli.messages import explain
from motionrepro.cli.models import read_given_clip, unknown_words_note
from motionrepro.core import UserError
from motionrepro.data.video import VIDEO_SUFFIXES, write_video
from motionrepro.testing import environment

from . import words
from .models import Models, load_models
from .work import (
    AT_STEP,
    PREVIEW_STEPS,
    SamplingOptions,
    analysed,
    edit_arguments,
    edit_clip,
    first_frame,
    make_clip,
    motion_clip,
    style_picture,
    ways,
    world_clip,
    written_analysis,
)

FONTS = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]  # that every computer has
CSS = """
.gradio-container { max-width: min(1100px, 100%) !important; margin: auto; }
.pixels .image-frame { width: 100%; padding-top: 2.4em; }
.pixels button:has(img), .pixels img { width: 100% !important; }
.pixels img { height: auto !important; object-fit: contain !important; image-rendering: pixelated; }
"""
COLOURS, PICTURE = "other colours", "a picture"
MAX_FILE_SIZE = "200mb"  # of an upload
DELETE_CACHE = (600, 3600)  # seconds between two looks for old files, and age at which one is deleted
PROGRESS = gr.Progress()  # as a default, it tells Gradio to give a handler one of its own


@contextlib.contextmanager
def mistakes_shown(*files):
    """Show what is wrong as a message of the page, in the command line's words; files go by their names."""
    try:
        yield
    except Exception as e:
        message, hint, status = explain(e)
        advice = "; ".join(part for part in hint.split("; ") if "--" not in part)  # the page has no options
        text = f"{message}. {advice}" if advice else message
        for file in filter(None, files):
            text = text.replace(str(file), Path(file).name)
        raise gr.Error(text, print_exception=status == 1) from e  # the user's mistakes need no traceback


def reporter(progress: gr.Progress):
    """Return a function that moves a progress bar."""

    def report(done, what):
        progress(done, desc=what)

    return report


def as_typed(payload):
    """Take a number as it is."""
    return payload


def unbounded(component):
    """Let the library refuse what is out of range: its messages name the argument."""
    component.preprocess = as_typed
    return component


def slider(low, high, value, step, label, **more):
    """Make a slider for a number that the library checks."""
    return unbounded(gr.Slider(low, high, value=value, step=step, label=label, **more))


def number(value, label, **more):
    """Make a field for a number that the library checks."""
    return unbounded(gr.Number(value=value, label=label, **more))


class Sampling(NamedTuple):
    """The controls that making and editing share."""

    way: gr.Radio
    switch_step: gr.Slider
    steps: gr.Number
    seed: gr.Number
    guidance: gr.Number
    fps: gr.Number
    negative: gr.Textbox


def sampling_controls(
    models: Models,
    choices: list,  # of `ways`
    guidance: float | None,  # to begin with; None for an empty field
    usual_guidance: str,  # what an empty field stands for
) -> Sampling:
    """Lay out the controls that making and editing share."""
    way = gr.Radio(choices, value=choices[0], label="Denoising", visible=len(choices) > 1)
    switch_step = slider(
        1,
        models.last_step,
        200,
        1,
        "Switch step t*: the lower, the more is reused",
        visible=choices[0] == AT_STEP,
    )
    way.change(lambda chosen: gr.update(visible=chosen == AT_STEP), way, switch_step, show_progress="hidden")
    with gr.Row():
        steps = number(20, "Denoising steps", min_width=120)
        seed = number(0, "Seed", min_width=120)
    with gr.Accordion("More", open=False):
        with gr.Row():
            scale = number(guidance, "Guidance", placeholder=usual_guidance, min_width=120)
            fps = number(8, "Frames per second", min_width=120)
        negative = gr.Textbox(label="What guidance leads away from")
    return Sampling(way, switch_step, steps, seed, scale, fps, negative)


def caption_helper(models: Models, prompt: gr.Textbox):
    """Lay out menus of the world's words that write a caption."""
    usual = words.usual_words()
    menus = {}
    with gr.Accordion("Words that the models know", open=True):
        names = ("subject", "colour", "background", "motion", "direction", "speed")
        options = words.choices() | dict(direction=words.directions(usual["motion"]))
        with gr.Row():
            for name in names:
                menus[name] = gr.Dropdown(
                    options[name], value=usual[name], label=name.capitalize(), min_width=130
                )

    def write(*chosen):
        with mistakes_shown():
            return words.caption(*chosen)

    def offer(motion):
        possible = words.directions(motion)
        direction = gr.update(choices=possible, value=next(iter(possible), None), visible=bool(possible))
        return direction, gr.update(visible=bool(possible))

    menus["motion"].input(offer, menus["motion"], [menus["direction"], menus["speed"]])
    for menu in menus.values():
        menu.input(write, list(menus.values()), prompt, show_progress="hidden")
    prompt.value = words.caption(**usual)


class Result(NamedTuple):
    """Where a clip that was made is shown."""

    clip: gr.Image
    about: gr.Markdown
    gif: gr.DownloadButton
    mp4: gr.DownloadButton

    def filled(self, made) -> tuple:
        """Return what is shown of a clip, in this order."""
        gif, mp4 = (gr.update(value=file, interactive=True) for file in (made.gif, made.mp4))
        return made.gif, made.about, gif, mp4


def result_area(label: str) -> Result:
    """Lay out a place for a clip that will be made."""
    clip = gr.Image(
        label=label,
        type="filepath",
        interactive=False,
        elem_classes="pixels",
        buttons=["fullscreen"],
        alt_text=f"{label}, as an animation",
    )
    about = gr.Markdown()
    with gr.Row():
        gif = gr.DownloadButton("Download GIF", interactive=False, min_width=100)
        mp4 = gr.DownloadButton("Download MP4", interactive=False, min_width=100)
    return Result(clip, about, gif, mp4)


def long_work(name: str, shown) -> dict:
    """Say that an event waits until the networks are free, what it is called and where its progress shows."""
    return dict(
        api_name=name,
        concurrency_id="networks",
        concurrency_limit=1,
        show_progress_on=shown,
        scroll_to_output=True,
    )


def make_tab(models: Models):
    """Lay out the tab that makes clips."""
    with gr.Row():
        with gr.Column():
            prompt = gr.Textbox(label="Caption", lines=2)
            if models.knows_the_world:
                caption_helper(models, prompt)
            by_caption = gr.Checkbox(True, label="The caption says how much moves")
            motion = slider(0, 1, 0.5, 0.01, "Motion score", visible=False)
            by_caption.change(lambda auto: gr.update(visible=not auto), by_caption, motion)
            rho = slider(0, 0.95, 0.6, 0.01, "Correlation of neighbouring frames' noise, rho")
            frames = slider(2, models.most_frames, 8, 1, "Frames")
            usual = models.guidance
            sampling = sampling_controls(models, ways(models), usual, f"{usual:g}")
            button = gr.Button("Make the clip", variant="primary")
        with gr.Column():
            result = result_area("The clip")
            python = gr.Code(
                label="The same call as Python", language="python", interactive=False, wrap_lines=True
            )

    def make(prompt, by_caption, motion, rho, frames, *sampling, progress=PROGRESS):
        with mistakes_shown():
            note = unknown_words_note(models.backbone, prompt)
            if note:
                gr.Info(note)
            options = SamplingOptions("auto" if by_caption else motion, rho, frames, *sampling)
            made = make_clip(models, prompt, options, reporter(progress))
        return *result.filled(made), made.python

    inputs = [prompt, by_caption, motion, rho, frames, *sampling]
    button.click(make, inputs, [*result, python], **long_work("make", result.clip))


class Source(NamedTuple):
    """The controls of a clip that is given."""

    file: gr.File
    frames: gr.Number
    interval: gr.Number
    start: gr.Number


def source_controls(models: Models) -> Source:
    """Lay out how a clip is given."""
    file = gr.File(label="A video file", file_types=sorted(VIDEO_SUFFIXES), height=120)
    example = gr.Button("Take a clip of the world", size="sm")
    pressed = gr.State(0)
    with gr.Row():
        frames = number(8, "Frames", min_width=80)
        interval = number(1, "Interval", min_width=80)
        start = number(0, "First frame", min_width=80)

    def take(count):
        with mistakes_shown():
            return world_clip(models, count), count + 1

    example.click(take, pressed, [file, pressed])
    return Source(file, frames, interval, start)


def given_clip(file, frames, interval, start, steps, seed):  # `f 3 h w` at its own size
    """Read the clip that was given."""
    if file is None:
        raise UserError("there is no clip yet", "give a video file, or take a clip of the world")
    return read_given_clip(file, frames, interval, start, steps, seed)


def as_png(models: Models, picture) -> str:  # of `3 h w`
    """Write a picture losslessly."""
    file = Path(tempfile.mkdtemp(dir=models.folder)) / "first.png"
    write_video(file, picture[None])
    return str(file)


def picture_area(label: str, **more) -> gr.Image:
    """Lay out a place for a picture that is shown."""
    return gr.Image(
        label=label,
        type="filepath",
        interactive=False,
        elem_classes="pixels",
        buttons=["download", "fullscreen"],
        alt_text=label,
        **more,
    )


def edit_tab(models: Models):
    """Lay out the tab that edits clips."""
    with gr.Row():
        with gr.Column():
            source = source_controls(models)
            with gr.Row():
                first = picture_area("Its first frame", min_width=120)
                styled_first = picture_area("Its new look", min_width=120)
            how = gr.Radio([COLOURS, PICTURE], value=COLOURS, label="New look")
            hue = slider(-180, 180, 120, 1, "Turn of the hues, degrees")
            saturation = slider(0, 2, 1, 0.05, "Saturation")
            picture = gr.Image(
                label="The first frame, changed: of its own size",
                type="filepath",
                image_mode=None,  # the file as it is: a converted one would not be deleted in time
                sources=["upload"],
                visible=False,
                height=200,
            )
            prompt = gr.Textbox(label="What the new clip shows (optional)")
            usual = f"{models.guidance:g} with a prompt"
            sampling = sampling_controls(models, ways(models)[1:], None, usual)
            button = gr.Button("Edit the clip", variant="primary")
        with gr.Column():
            result = result_area("The edited clip")
            motion = picture_area("Motion of the given clip")

    def styled(file, start, how, hue, saturation, picture):
        frame = first_frame(file, start)
        if how == COLOURS:
            return frame, style_picture(frame, None, hue, saturation)
        return frame, frame if picture is None else style_picture(frame, picture, hue, saturation)

    def show(file, start, *style):
        if file is None:
            return None, None
        with mistakes_shown(file):
            return tuple(as_png(models, shown) for shown in styled(file, start, *style))

    def edit(file, frames, interval, start, *given, progress=PROGRESS):
        how, hue, saturation, picture, prompt, *sampling = given
        options = SamplingOptions("auto", 0.0, frames, *sampling)
        report = reporter(progress)
        with mistakes_shown(file, picture):
            edit_arguments(models, prompt, options)
            video = given_clip(file, frames, interval, start, options.steps, options.seed)
            if how == PICTURE and picture is None:
                raise UserError("there is no picture yet", "give the first frame with another look")
            _, style_frame = styled(file, start, how, hue, saturation, picture)
            seen = motion_clip(models, analysed(models, video, PREVIEW_STEPS, options.seed, report))
        yield *(gr.skip() for _ in result), seen
        with mistakes_shown(file):
            made = edit_clip(models, video, style_frame, prompt, options, report)
        yield *result.filled(made), seen

    def offer(how):
        colours = gr.update(visible=how == COLOURS)
        return colours, colours, gr.update(visible=how == PICTURE)

    style = [how, hue, saturation, picture]
    how.change(offer, how, style[1:], show_progress="hidden")
    changes = [control.change for control in (source.file, source.start, how, picture)]
    for event in (*changes, hue.release, saturation.release):
        event(show, [source.file, source.start, *style], [first, styled_first], show_progress="hidden")
    inputs = [*source, *style, prompt, *sampling]
    button.click(edit, inputs, [*result, motion], **long_work("edit", result.clip))


def analyse_tab(models: Models):
    """Lay out the tab that analyses clips."""
    with gr.Row():
        with gr.Column():
            source = source_controls(models)
            prompt = gr.Textbox(label="What the clip shows (optional)")
            with gr.Row():
                steps = number(20, "Noise levels", min_width=120)
                seed = number(0, "Seed", min_width=120)
            button = gr.Button("Analyse the clip", variant="primary")
            about = gr.Markdown()
        with gr.Column():
            motion = picture_area("Motion from the first frame")
            curves = picture_area("NMI and errors over the noise levels")
            with gr.Row():
                picture = gr.DownloadButton("Download picture", interactive=False, min_width=100)
                numbers = gr.DownloadButton("Download numbers", interactive=False, min_width=100)

    def analyse(file, frames, interval, start, prompt, steps, seed, progress=PROGRESS):
        with mistakes_shown(file):
            video = given_clip(file, frames, interval, start, steps, seed)
            found = analysed(models, video, steps, seed, reporter(progress), prompt)
            shown = written_analysis(models, found, Path(file).name)
        files = [gr.update(value=file, interactive=True) for file in (shown.picture, shown.numbers)]
        return shown.motion, shown.curves, shown.about, *files

    outputs = [motion, curves, about, picture, numbers]
    inputs = [*source, prompt, steps, seed]
    button.click(analyse, inputs, outputs, **long_work("analyse", motion))


def build_page(models: Models) -> gr.Blocks:
    """Lay out the page."""
    with gr.Blocks(title="motionrepro", analytics_enabled=False, delete_cache=DELETE_CACHE) as page:
        gr.Markdown(
            "# motionrepro\n"
            f"Video from a frozen image model: `{models.backbone}`, {models.which}, "
            f"{models.size} x {models.size} pixels."
        )
        for name, lay_out in {
            "Make": make_tab,
            "Edit": edit_tab,
            "Analyse": analyse_tab,
        }.items():
            with gr.Tab(name):
                lay_out(models)
    return page


def check_address(
    host: str,  # a name, or an address of IPv4 or IPv6
    port: int | None,  # None for any
):
    """Refuse an address that nothing can be served at."""
    try:
        found = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found)  # IPv4 where a name has both
        socket.create_server(address, family=family).close()
    except OSError as e:
        where = f"host={host!r}" + ("" if port is None else f", port={port}")
        raise UserError(f"{where}: no page can be served there ({e.strerror})", "leave it out") from e


@contextlib.contextmanager
def serve(
    backbone: str,
    networks: dict,  # the other arguments of `load_models`
    host: str = "127.0.0.1",
    port: int | None = None,  # None for the first free one
    share: bool = False,  # through Gradio's servers
):  # addresses
    """
    Serve the page as long as the context lasts; what was uploaded and made is deleted then.

    Whoever can open the page can upload files, so their size is bounded, and they are deleted when they are
    old, as all that was made is.
    """
    check_address(host, port)
    with (
        tempfile.TemporaryDirectory(prefix="motionrepro-demo-") as folder,
        environment(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=folder),
    ):
        page = build_page(load_models(folder, backbone, **networks))
        _, address, public = page.launch(
            server_name=f"[{host}]" if ":" in host else host,  # as it stands in the page's address
            server_port=port,
            share=share,
            max_file_size=MAX_FILE_SIZE,
            theme=gr.themes.Default(font=FONTS[0], font_mono=FONTS[1]),
            css=CSS,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        try:
            yield [a for a in (address, public) if a]
        finally:
            page.close(verbose=False)
