"""`motionrepro edit`: a clip's motion with another look."""

from typing import Annotated

import typer

from .models import (
    describe_reuse,
    keep_window,
    load_pipeline,
    on_schedule,
    parse_switch_step,
    read_given_clip,
)
from .options import (
    Adapter,
    AllowPickles,
    Backbone,
    Clip,
    Config,
    Device,
    Dss,
    Dtype,
    Fps,
    GivenPrompt,
    Interval,
    Mtn,
    NegativePrompt,
    Noise,
    NumFrames,
    Offline,
    Seed,
    Start,
    Steps,
    Window,
    check_targets,
)


def edit(
    clip: Clip,
    style: Annotated[str, typer.Option(metavar="IMAGE", help="Its first frame with another look.")],
    num_frames: NumFrames = 8,
    interval: Interval = 1,
    start: Start = 0,
    prompt: GivenPrompt = "",
    backbone: Backbone = "tiny-128",
    adapter: Adapter = None,
    noise: Noise = "shared",
    window: Window = None,
    switch_step: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Timestep where denoising begins, the nearest one of the schedule is taken; or auto, which "
            "looks at all frames at all steps down to the last that it may choose, and so saves little.",
        ),
    ] = "200",
    late: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Noise levels whose matrices tell the motion, from the clean end, 0 to 1; 0 takes those of "
            "the steps that are reused, equation 7.",
            show_default="0.2 with a motion network, else 0",
        ),
    ] = None,
    steps: Steps = 50,
    guidance: Annotated[
        float | None,
        typer.Option(
            metavar="SCALE",
            help="Classifier-free guidance, at least 0; 1 is none.",
            show_default="what suits the backbone, with a prompt",
        ),
    ] = None,
    seed: Seed = 0,
    fps: Fps = 8.0,
    device: Device = None,
    offline: Offline = False,
    out: Annotated[
        str, typer.Option(metavar="FILE", help=".gif, .mp4 or .png (frames side by side).")
    ] = "edited.gif",
    negative_prompt: NegativePrompt = None,
    dtype: Dtype = "float32",
    mtn: Mtn = None,
    dss: Dss = None,
    config: Config = None,
    allow_pickles: AllowPickles = False,
):
    """
    Give a clip's motion another look.

    The clip's motion matrices carry the early denoising of the new first frame over to all other frames,
    which are then denoised from the switch step on. The style image is the clip's first frame, changed: it
    must have the size of the clip's frames (ffmpeg -i clip.mp4 -frames:v 1 first.png writes the first
    frame). Both are scaled and cropped to what the backbone was trained on. tiny-128 ships with a motion
    network; elsewhere the motion is that of raw features.

    Example: motionrepro edit clip.mp4 --style first.png --out edited.gif
    """
    from motionrepro.core import UserError, check_range, generator
    from motionrepro.data.video import check_target, fit, read_picture, write_video

    check_target(out, fps)
    check_targets({"--out": out}, [clip, style])
    asked = parse_switch_step(switch_step)
    video = read_given_clip(clip, num_frames, interval, start, steps, seed)
    check_range("guidance", guidance or 0, 0)
    if guidance not in (None, 1) and not prompt:
        raise UserError(
            f"guidance={guidance:g} has no prompt to lead to", "give --prompt, or leave --guidance out"
        )
    if negative_prompt is not None and not prompt:
        raise UserError("--negative-prompt is for guidance, which needs a prompt", "give --prompt as well")
    first_frame = read_picture(style)
    check_style_size(style, first_frame, video)
    if late is not None:
        check_range("late", late, 0, 1)
    from motionrepro.backbones import default_guidance
    from motionrepro.reuse.pipeline import DenoisingReusePipeline

    if guidance is None:
        guidance = default_guidance(backbone) if prompt else 1.0
    named = (backbone, adapter, prompt, device, offline, dtype, config, allow_pickles)
    pipe, which = load_pipeline(DenoisingReusePipeline, *named, mtn=mtn, dss=dss)
    keep_window(pipe, backbone, window)
    size = [pipe.backbone.resolution] * 2
    made = pipe.edit(
        fit(video, size),
        fit(first_frame[None], size)[0],
        prompt,
        negative_prompt=negative_prompt,
        switch_step=on_schedule(pipe, asked, steps),
        noise=noise,
        late=late,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=generator(seed, "edit"),
        output_type="pt",
        timed=True,
    )
    frames = made.frames[0].float()
    write_video(out, frames, fps=fps)
    f, _, h, w = frames.shape
    print(
        f"{out}: {f} frames of {w} x {h} pixels, backbone {backbone}, {which}, noise {noise}, seed {seed}",
        describe_reuse(pipe, made, asked),
        sep="\n",
    )


def check_style_size(path, picture, video):
    """Refuse a first frame that does not lie on the clip's own."""
    from motionrepro.core import UserError

    h, w = picture.shape[-2:]
    height, width = video.shape[-2:]
    if (h, w) != (height, width):
        raise UserError(
            f"{path}: is {w} x {h} pixels, the clip's frames are {width} x {height}",
            "change the style of the clip's own first frame, at its own size",
        )
