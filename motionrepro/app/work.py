"""What the page's buttons do, without the page."""

import contextlib
import copy
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
from motionrepro.core import UserError, check_range, check_texts, check_whole, generator, write_json
from motionrepro.data import world
from motionrepro.data.video import check_target, fit, read_clip, read_picture, write_video
from motionrepro.figures.draw import draw_analysis, draw_curves, draw_motion
from motionrepro.reuse.analysis import ClipAnalysis, analyse_clip
from motionrepro.reuse.handover import switch_candidates

from .models import Models

FULL, AT_STEP, CHOSEN = "all frames in full", "reuse down to t*", "reuse, the selector chooses t*"
PREVIEW_STEPS = 10  # noise levels at which a clip is analysed before it is edited


@dataclass
class GeneratedClip:
    """A clip that was made, and what to say about it."""

    frames: torch.Tensor  # `f 3 h w` in [0, 1]
    gif: str  # the file
    mp4: str
    about: str
    python: str = ""  # the same call as Python


@dataclass
class SamplingOptions:
    """What a clip is made with besides its prompt, as it is typed."""

    motion: float | str = "auto"  # or in [0, 1]
    rho: float = 0.6
    num_frames: int = 8
    way: str = FULL  # one of `FULL`, `AT_STEP`, `CHOSEN`
    switch_step: float = 200
    steps: int = 20
    seed: int = 0
    guidance: float | None = None  # None for what suits the base
    fps: float = 8
    negative: str = ""  # what guidance leads away from


def ways(models: Models) -> list:
    """List the ways in which the frames of a clip can be denoised."""
    return [FULL, AT_STEP] + ([CHOSEN] if models.reusing.dss is not None else [])


def check_options(options: SamplingOptions):
    """Refuse numbers that no clip can be made or written with."""
    check_target("clip.gif", options.fps)
    check_sampling(options.num_frames, 2, options.rho, options.steps, options.guidance, options.seed)
    for name in ("num_frames", "steps", "seed"):
        check_whole(name, getattr(options, name), 0)


def asked_switch_step(options: SamplingOptions):  # "auto" or a number
    """Return the switch step as it was asked for."""
    return "auto" if options.way == CHOSEN else parse_switch_step(str(options.switch_step))


def scheduled_switch_step(pipe, asked, steps: int):  # "auto" or a timestep of the schedule
    """Return the step of a schedule that is nearest to the one asked for; refuse what cannot be reached."""
    found = on_schedule(pipe, asked, steps)
    scheduler = copy.deepcopy(pipe.scheduler)
    scheduler.set_timesteps(steps)
    switch_candidates(pipe.configured(switch_step=found), scheduler, pipe.dss)
    return found


def pipeline_arguments(models: Models, prompt: str, options: SamplingOptions) -> dict:
    """Check what was typed, and return it as the pipeline takes it."""
    check_texts("prompt", prompt)
    check_options(options)
    reused = {}
    if options.way != FULL:
        reused = reuse_options(True, None, str(asked_switch_step(options)), options.num_frames)
        reused["switch_step"] = scheduled_switch_step(models.reusing, reused["switch_step"], options.steps)
    return dict(
        prompt=prompt,
        num_frames=options.num_frames,
        motion=parse_motion(str(options.motion)),
        rho=options.rho,
        num_inference_steps=options.steps,
        guidance_scale=models.guidance if options.guidance is None else options.guidance,
        **({"negative_prompt": options.negative} if options.negative else {}),
        **reused,
    )


def edit_arguments(models: Models, prompt: str, options: SamplingOptions) -> dict:
    """Check what was typed for an edit, and return it as the pipeline takes it."""
    check_texts("prompt", prompt)
    check_options(options)
    if options.guidance not in (None, 1) and not prompt:
        raise UserError(
            f"guidance={options.guidance:g} has no prompt to lead to",
            "say what the new clip shows, or leave the guidance empty",
        )
    if options.negative and not prompt:
        raise UserError(
            f"negative_prompt={options.negative!r} is for guidance, which needs a prompt",
            "say what the new clip shows",
        )
    guidance = options.guidance
    if guidance is None:
        guidance = models.guidance if prompt else 1.0
    return dict(
        prompt=prompt,
        negative_prompt=options.negative or None,
        switch_step=scheduled_switch_step(models.reusing, asked_switch_step(options), options.steps),
        num_inference_steps=options.steps,
        guidance_scale=guidance,
    )


def python_text(models: Models, arguments: dict, options: SamplingOptions) -> str:
    """Write the Python that makes the same clip."""
    cls = type(models.full if options.way == FULL else models.reusing)
    taken = inspect.signature(cls.from_pretrained).parameters
    switches = {"mtn", "dss"} - set(taken)
    named = [f"{name}={value!r}" for name, value in models.options.items() if name not in switches]
    loading = ", ".join([repr(models.backbone), *named])
    lines = [
        "from motionrepro.core import generator",
        f"from {cls.__module__} import {cls.__name__}",
        "",
        f"pipe = {cls.__name__}.from_pretrained({loading})",
        "made = pipe(",
        *(f"    {name}={value!r}," for name, value in arguments.items()),
        f"    generator=generator({options.seed}, 'generate'),",
        "    output_type='pt',",
        ")",
        f"made.save('clip.gif', fps={options.fps:g})",
    ]
    return "\n".join(lines)


def step_reporter(report, steps: int):
    """Make a callback for pipelines that reports each denoising step."""

    def after_step(pipe, k, timestep, tensors):
        report((k + 1, steps), "denoising")
        return {}

    return after_step


def written(models: Models, frames: torch.Tensor, fps: float, about: str, python: str = "") -> GeneratedClip:
    """Write a clip as GIF and MP4."""
    folder = Path(tempfile.mkdtemp(dir=models.folder))
    gif = str(folder / "clip.gif")
    mp4 = str(folder / "clip.mp4")
    write_video(gif, frames, fps)
    write_video(mp4, frames, fps)
    f, _, h, w = frames.shape
    return GeneratedClip(frames, gif, mp4, f"{f} frames of {w} x {h} pixels, {about}", python)


def as_paragraphs(lines: str) -> str:
    """Put each line into a paragraph of its own, below what comes before."""
    return "".join(f"\n\n{line}" for line in lines.splitlines())


def make_clip(
    models: Models,
    prompt: str,
    options: SamplingOptions,
    report,  # called with (steps done, all steps) and words
) -> GeneratedClip:
    """Make a clip from a prompt."""
    arguments = pipeline_arguments(models, prompt, options)
    pipe = models.full if options.way == FULL else models.reusing
    timed: dict[str, Any] = {} if options.way == FULL else dict(timed=True)
    made = pipe(
        **arguments,
        **timed,
        generator=generator(options.seed, "generate"),
        output_type="pt",
        callback_on_step_end=step_reporter(report, options.steps),
    )
    about = f"{models.which}, motion {made.motion[0]:.3g}, rho {options.rho:g}, seed {options.seed}"
    if options.way != FULL:
        about += as_paragraphs(describe_reuse(pipe, made, asked_switch_step(options)))
    return written(
        models, made.frames[0].float(), options.fps, about, python_text(models, arguments, options)
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
        lambda *_: report((min(next(done), total), total), "analysing the clip")
    )
    try:
        yield
    finally:
        hook.remove()


def analysed(models: Models, video: torch.Tensor, steps: int, seed: int, report, prompt="") -> ClipAnalysis:
    """Analyse the motion of a clip `f 3 h w`."""
    with evaluations_reported(models.analysis_pipeline.unet, report, steps):
        return analyse_clip(
            models.analysis_pipeline,
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
    style_frame: torch.Tensor,  # its first frame in another style, `3 h w`
    prompt: str,
    options: SamplingOptions,  # all but `motion` and `rho`
    report,
) -> GeneratedClip:
    """Make a clip that moves like the given one and looks like its new first frame."""
    arguments = edit_arguments(models, prompt, options)
    pipe = models.reusing
    size = [models.size] * 2
    made = pipe.edit(
        fit(video, size),
        fit(style_frame[None], size)[0],
        **arguments,
        generator=generator(options.seed, "edit"),
        output_type="pt",
        timed=True,
        callback_on_step_end=step_reporter(report, options.steps),
    )
    reuse = describe_reuse(pipe, made, asked_switch_step(options))
    about = f"{models.which}, seed {options.seed}" + as_paragraphs(reuse)
    return written(models, made.frames[0].float(), options.fps, about)


@dataclass
class AnalysisFiles:
    """An analysis as files, and what to say about it."""

    motion: str  # a GIF of the frames under arrows
    curves: str  # a PNG
    picture: str  # a PNG of both
    numbers: str  # a JSON file
    about: str


def written_analysis(models: Models, analysis: ClipAnalysis, title: str) -> AnalysisFiles:
    """Write an analysis in pictures and numbers."""
    folder = Path(tempfile.mkdtemp(dir=models.folder))
    curves, picture, numbers = (str(folder / f"{name}") for name in ("curves.png", "clip.png", "clip.json"))
    draw_curves(analysis, curves)
    draw_analysis(analysis, picture, title)
    write_json(numbers, analysis.as_dict())
    about = f"{describe_step(analysis, models.which, 'shared')}\n\n{describe_displacement(analysis)}"
    return AnalysisFiles(motion_clip(models, analysis), curves, picture, numbers, about)
