"""`motionrepro analyse`: the motion of a clip as paper B's method sees it."""

from pathlib import Path
from typing import Annotated

import typer

from .messages import print_or_write, print_table
from .models import keep_window, load_pipeline, read_given_clip
from .options import (
    Adapter,
    AllowPickles,
    Backbone,
    Clip,
    Config,
    Device,
    Dss,
    Dtype,
    GivenPrompt,
    Interval,
    Mtn,
    Noise,
    NumFrames,
    Offline,
    Seed,
    Start,
    Steps,
    Window,
    check_targets,
    files_of,
)

MOST_MATCHED = 1024  # height and width of frames whose positions are all compared with each other


def analyse(
    clip: Clip,
    num_frames: NumFrames = 8,
    interval: Interval = 1,
    start: Start = 0,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Resize the shorter side, crop to a square.",
            show_default="what the backbone was trained on",
        ),
    ] = None,
    prompt: GivenPrompt = "",
    backbone: Backbone = "tiny-128",
    adapter: Adapter = None,
    noise: Noise = "shared",
    window: Window = None,
    steps: Steps = 50,
    seed: Seed = 0,
    device: Device = None,
    offline: Offline = False,
    out: Annotated[str, typer.Option(metavar="FILE", help="The picture, .png.")] = "analysis.png",
    json: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="The numbers; - prints them instead of the table.",
            show_default="beside the picture",
        ),
    ] = None,
    dtype: Dtype = "float32",
    mtn: Mtn = None,
    dss: Dss = None,
    config: Config = None,
    allow_pickles: AllowPickles = False,
):
    """
    Show the motion of a clip as paper B's method sees it.

    Takes the clip to all noise levels and compares what the denoiser makes of its frames: mutual
    information of the motion matrices from step to step, how badly they carry denoising over, the motion
    itself, and the switch step that this suggests. Without trained networks beside the backbone it uses raw
    features and observed errors, and says so.

    Example: motionrepro analyse clip.mp4 --num-frames 8 --out clip.png
    """
    settings = dict(
        clip=clip,
        num_frames=num_frames,
        interval=interval,
        start=start,
        backbone=backbone,
        prompt=prompt,
        noise=noise,
        steps=steps,
        seed=seed,
        mtn=mtn,
        dss=dss,
    )
    picture, numbers = _targets(out, json, [clip, *files_of(backbone, adapter, mtn, dss)])
    from motionrepro.core import check_range, generator
    from motionrepro.data.video import fit

    if size is not None:
        check_range("size", size, 8, MOST_MATCHED)
    video = read_given_clip(clip, num_frames, interval, start, steps, seed)
    from motionrepro.figures.draw import draw_analysis
    from motionrepro.reuse.analysis import analyse_clip
    from motionrepro.reuse.pipeline import DenoisingReusePipeline
    from motionrepro.diffusion import ddpm_scheduler

    named = (backbone, adapter, prompt, device, offline, dtype, config, allow_pickles)
    pipe, which = load_pipeline(DenoisingReusePipeline, *named, mtn=mtn, dss=dss)
    keep_window(pipe, backbone, window)
    pipe.scheduler = ddpm_scheduler(pipe.backbone)
    found = analyse_clip(
        pipe,
        fit(video, [size or pipe.backbone.resolution] * 2),
        prompt,
        num_inference_steps=steps,
        noise=noise,
        generator=generator(seed, "analyse"),
    )
    draw_analysis(found, picture, Path(clip).name)
    print_or_write(numbers, dict(found.as_dict(), adapter=which, settings=settings))
    if numbers == "-":
        return
    _print_steps(found)
    print(f"\n{describe_step(found, which, noise)}\n{describe_displacement(found)}")
    print(f"{picture} and {numbers} hold all of it")


def _targets(out, json, inputs) -> tuple:  # of the picture and of the numbers
    """Check where the results go."""
    from motionrepro.core import UserError

    picture = Path(out)
    if picture.suffix.lower() != ".png":
        raise UserError(f"{picture}: cannot write {picture.suffix or 'a file without suffix'}", "use .png")
    numbers = json or str(picture.with_suffix(".json"))
    check_targets({"--out": picture, "--json": numbers}, inputs)
    return picture, numbers


def _print_steps(found):
    """Print about ten of the noise levels, averaged over the pairs of frames."""
    nmi = found.nmi.mean(1)
    errors = found.errors.mean(1)
    every = max(1, len(found.timesteps) // 10)
    rows = [
        [f"{found.timesteps[k]:g}", f"{nmi[k]:.3f}", f"{errors[k, 1]:.3f}", f"{errors[k, 3]:.3f}"]
        for k in range(every, len(found.timesteps), every)
    ]
    print_table(["timestep", "NMI", "step error", "sum error"], rows)


def describe_step(
    found,  # `ClipAnalysis`
    which: str,  # adapter, in words
    noise: str,
) -> str:
    """Say which switch step a clip suggests."""
    return f"suggested switch step {found.switch_step:g}: {found.how}; {which}, noise {noise}"


def describe_displacement(
    found,  # `ClipAnalysis`
) -> str:
    """Say how far positions move from the first frame to the last."""
    far = (found.flow[-1] ** 2).sum(0).sqrt().flatten()
    return (
        f"displacement from the first to the last of {len(found.video)} frames, in pixels of "
        f"{found.video.shape[-1]}: {far.mean():.2f} on average, background and all, "
        f"{far.quantile(0.9):.2f} or more in the tenth that moves most"
    )
