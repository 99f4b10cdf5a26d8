"""What the page's buttons do, without the page."""

import contextlib
import inspect
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from motionrepro.cli.analyse import describe_displacement, describe_step
from motionrepro.cli.edit import check_style_size
from motionrepro.cli.models import (
    check_sampling,
    describe_reuse,
    on_schedule,
    parse_motion,
    parse_switch_step,
    reuse_options,
)
from motionrepro.core import check_range, check_texts, generator, write_json
from motionrepro.data import world
from motionrepro.data.video import check_target, fit, read_clip, read_picture, write_video
from motionrepro.figures.draw import draw_analysis, draw_curves, draw_motion
from motionrepro.reuse.analysis import ClipAnalysis, analyse_clip

from .models import Models

FULL, AT_STEP, CHOSEN = "all frames in full", "reuse down to t*", "reuse, the selector chooses t*"
GLANCE = 10  # noise levels at which a clip is looked at before it is edited


@dataclass
class Made:
    """A clip that was made, and what to say about it."""

    frames: torch.Tensor  # `f 3 h w` in [0, 1]
    gif: str  # the file
    mp4: str
    about: str
    python: str = ""  # the same call as Python


@dataclass
class Numbers:
    """The numbers that a clip is made with, as they are typed."""

    motion: float | str = "auto"  # or in [0, 1]
    rho: float = 0.6
    num_frames: int = 8
    way: str = FULL  # one of `FULL`, `AT_STEP`, `CHOSEN`
    switch_step: float = 200
    steps: int = 20
    seed: int = 0
    guidance: float = 7.5
    fps: float = 8
    negative: str = ""  # what guidance leads away from


def ways(models: Models) -> list:
    """List the ways in which the frames of a clip can be denoised."""
    return [FULL, AT_STEP] + ([CHOSEN] if models.reusing.dss is not None else [])


def pipeline_arguments(models: Models, prompt: str, numbers: Numbers) -> dict:
    """Check what was typed, and return it as the pipeline takes it."""
    check_texts("prompt", prompt)
    check_target("clip.gif", numbers.fps)
    check_sampling(numbers.num_frames, 2, numbers.rho, numbers.steps, numbers.guidance, numbers.seed)
    asked = "auto" if numbers.way == CHOSEN else str(numbers.switch_step)
    reused = reuse_options(True, None, asked, numbers.num_frames) if numbers.way != FULL else {}
    if reused:
        reused["switch_step"] = on_schedule(models.reusing, reused["switch_step"], numbers.steps)
    return dict(
        prompt=prompt,
        num_frames=numbers.num_frames,
        motion=parse_motion(str(numbers.motion)),
        rho=numbers.rho,
        num_inference_steps=numbers.steps,
        guidance_scale=numbers.guidance,
        **({"negative_prompt": numbers.negative} if numbers.negative else {}),
        **reused,
    )


def python_text(models: Models, arguments: dict, numbers: Numbers) -> str:
    """Write the Python that makes the same clip."""
    cls = type(models.full if numbers.way == FULL else models.reusing)
    taken = inspect.signature(cls.from_pretrained).parameters
    switches = {"mtn", "dss"} - set(taken)
    options = {name: value for name, value in models.options.items() if name not in switches}
    loading = ", ".join([repr(models.backbone), *(f"{name}={value!r}" for name, value in options.items())])
    lines = [
        "from motionrepro.core import generator",
        f"from {cls.__module__} import {cls.__name__}",
        "",
        f"pipe = {cls.__name__}.from_pretrained({loading})",
        "made = pipe(",
        *(f"    {name}={value!r}," for name, value in arguments.items()),
        f"    generator=generator({numbers.seed}, 'generate'),",
        "    output_type='pt',",
        ")",
        f"made.save('clip.gif', fps={numbers.fps:g})",
    ]
    return "\n".join(lines)


def step_reporter(report, steps: int):
    """Make a callback for pipelines that reports each denoising step."""

    def after_step(pipe, k, timestep, tensors):
        report((k + 1, steps), "denoising")
        return {}

    return after_step


def written(models: Models, frames: torch.Tensor, fps: float, about: str, python: str = "") -> Made:
    """Write a clip as GIF and MP4."""
    folder = Path(tempfile.mkdtemp(dir=models.folder))
    gif = str(folder / "clip.gif")
    mp4 = str(folder / "clip.mp4")
    write_video(gif, frames, fps)
    write_video(mp4, frames, fps)
    f, _, h, w = frames.shape
    return Made(frames, gif, mp4, f"{f} frames of {w} x {h} pixels, {about}", python)


def told(lines: str) -> str:
    """Return lines as paragraphs below others."""
    return "".join(f"\n\n{line}" for line in lines.splitlines())


def make_clip(
    models: Models,
    prompt: str,
    numbers: Numbers,
    report,  # called with (steps done, all steps) and words
) -> Made:
    """Make a clip from a prompt."""
    arguments = pipeline_arguments(models, prompt, numbers)
    pipe = models.full if numbers.way == FULL else models.reusing
    timed: dict[str, Any] = {} if numbers.way == FULL else dict(timed=True)
    made = pipe(
        **arguments,
        **timed,
        generator=generator(numbers.seed, "generate"),
        output_type="pt",
        callback_on_step_end=step_reporter(report, numbers.steps),
    )
    about = f"{models.which}, motion {made.motion[0]:.3g}, rho {numbers.rho:g}, seed {numbers.seed}"
    if numbers.way != FULL:
        asked = "auto" if numbers.way == CHOSEN else numbers.switch_step
        about += told(describe_reuse(pipe, made, asked))
    return written(
        models, made.frames[0].float(), numbers.fps, about, python_text(models, arguments, numbers)
    )


def world_clip(
    models: Models,
    number: int,  # which of the clips that move
    num_frames: int = 8,
) -> str:  # an MP4
    """Write a clip of the embedded world's test split, for those who have none at hand."""
    moving = (i for i in itertools.count() if world.sample_scene(i, "test", num_frames).direction)
    index = next(itertools.islice(moving, number, None))
    scene = world.sample_scene(index, "test", num_frames, speed=tuple(world.SPEEDS)[-1])  # easy to see
    file = Path(tempfile.mkdtemp(dir=models.folder)) / f"world-{number + 1}.mp4"
    write_video(file, world.render(scene, models.size, with_flow=False)["video"])
    return str(file)


def first_frame(
    clip: str,  # a video file
    start: int,  # which of its frames is taken for the first one
) -> torch.Tensor:  # `3 h w` in [0, 1]
    """Read the frame that a style picture has to lie on."""
    return read_clip(clip, 1, 1, None, start=start).video[0]


def recoloured(
    frame: torch.Tensor,  # `3 h w` in [0, 1]
    hue: float,  # turn of all hues, -180 to 180 degrees
    saturation: float,  # factor, 0 (gray) to 2
) -> torch.Tensor:  # `3 h w` in [0, 1]
    """Give a frame other colours."""
    from torchvision.transforms.functional import adjust_hue, adjust_saturation

    check_range("hue", hue, -180, 180)
    check_range("saturation", saturation, 0, 2)
    return adjust_saturation(adjust_hue(frame, hue / 360), saturation)


def style_picture(
    frame: torch.Tensor,  # of the clip, `3 h w`
    file: str | None,  # a picture of the same size; None for other colours
    hue: float,
    saturation: float,
) -> torch.Tensor:  # `3 h w` in [0, 1]
    """Return a clip's first frame with another look."""
    if file is None:
        return recoloured(frame, hue, saturation)
    picture = read_picture(file)
    check_style_size(Path(file).name, picture, frame)
    return picture


@contextlib.contextmanager
def evaluations_reported(unet, report, total: int):
    """Report each evaluation of a UNet."""
    done = itertools.count(1)
    hook = unet.register_forward_hook(
        lambda *_: report((min(next(done), total), total), "looking at the clip")
    )
    try:
        yield
    finally:
        hook.remove()


def analysed(models: Models, video: torch.Tensor, steps: int, seed: int, report, prompt="") -> ClipAnalysis:
    """Look at the motion of a clip `f 3 h w`."""
    with evaluations_reported(models.watching.unet, report, steps):
        return analyse_clip(
            models.watching,
            fit(video, [models.size] * 2),
            prompt,
            num_inference_steps=steps,
            generator=generator(seed, "analyse"),
        )


def motion_clip(models: Models, analysis: ClipAnalysis) -> str:  # a GIF
    """Write a clip's frames with what the motion matrices say drawn over them."""
    file = Path(tempfile.mkdtemp(dir=models.folder)) / "motion.gif"
    draw_motion(analysis, file, fps=4)
    return str(file)


def edit_clip(
    models: Models,
    video: torch.Tensor,  # `f 3 h w`
    look: torch.Tensor,  # its first frame with another look, `3 h w`
    prompt: str,
    numbers: Numbers,  # `switch_step`, `steps`, `guidance`, `seed`, `fps`
    report,
) -> Made:
    """Make a clip that moves like the given one and looks like its new first frame."""
    guidance = numbers.guidance if prompt else 1.0
    pipe = models.reusing
    asked = parse_switch_step("auto" if numbers.way == CHOSEN else str(numbers.switch_step))
    size = [models.size] * 2
    made = pipe.edit(
        fit(video, size),
        fit(look[None], size)[0],
        prompt,
        negative_prompt=numbers.negative if numbers.negative and prompt else None,
        switch_step=on_schedule(pipe, asked, numbers.steps),
        num_inference_steps=numbers.steps,
        guidance_scale=guidance,
        generator=generator(numbers.seed, "edit"),
        output_type="pt",
        timed=True,
        callback_on_step_end=step_reporter(report, numbers.steps),
    )
    about = f"{models.which}, seed {numbers.seed}" + told(describe_reuse(pipe, made, asked))
    return written(models, made.frames[0].float(), numbers.fps, about)


@dataclass
class Findings:
    """An analysis as files, and what to say about it."""

    motion: str  # a GIF of the frames under arrows
    curves: str  # a PNG
    picture: str  # a PNG of both
    numbers: str  # a JSON file
    about: str


def written_analysis(models: Models, analysis: ClipAnalysis, title: str) -> Findings:
    """Write an analysis in pictures and numbers."""
    folder = Path(tempfile.mkdtemp(dir=models.folder))
    curves, picture, numbers = (str(folder / f"{name}") for name in ("curves.png", "clip.png", "clip.json"))
    draw_curves(analysis, curves)
    draw_analysis(analysis, picture, title)
    write_json(numbers, analysis.as_dict())
    about = f"{describe_step(analysis, models.which, 'shared')}\n\n{describe_displacement(analysis)}"
    return Findings(motion_clip(models, analysis), curves, picture, numbers, about)
