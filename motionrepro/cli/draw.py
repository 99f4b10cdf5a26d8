"""`motionrepro draw`: a picture from a prompt."""

import sys
from typing import Annotated

import typer

from .messages import loading
from .models import loading_options, note_unknown_words
from .options import (
    AllowPickles,
    Backbone,
    Config,
    Device,
    Dtype,
    NegativePrompt,
    Offline,
    Prompt,
    Seed,
    Steps,
)


def draw(
    prompt: Prompt,
    backbone: Backbone = "tiny",
    steps: Steps = 50,
    guidance: Annotated[
        float | None,
        typer.Option(
            metavar="SCALE",
            help="Classifier-free guidance, at least 1, which is none.",
            show_default="what suits the backbone; 7.5 for Stable Diffusion",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    offline: Offline = False,
    out: Annotated[
        str, typer.Option(metavar="FILE", help=".png, or .gif or .mp4 of one frame.")
    ] = "drawn.png",
    negative_prompt: NegativePrompt = None,
    dtype: Dtype = "float32",
    config: Config = None,
    allow_pickles: AllowPickles = False,
):
    """
    Draw a picture from a prompt.

    A single frame, drawn by the image model alone: what all clips start from.

    Example: motionrepro draw "a red circle on a plain gray background" --out circle.png
    """
    from motionrepro.core import check_range, check_writable
    from motionrepro.data.video import check_target

    check_target(out)
    check_range("steps", steps, 1, 1000)
    check_range("seed", seed, 0)
    check_writable(out)
    more = loading_options(config, allow_pickles)
    draw_pictures(
        [prompt], [out], backbone, steps, guidance, seed, device, offline, negative_prompt, dtype, more
    )


def draw_pictures(
    prompts: list,
    targets: list,  # a file for each
    backbone: str,
    steps: int,
    guidance: float | None,
    seed: int,  # of the first one; the next ones count on
    device: str | None,
    offline: bool,
    negative_prompt: str | None,
    dtype: str,
    more: dict,  # as `loading_options` returns them
):
    """Draw and write a picture for each prompt, with a model that is loaded once."""
    from motionrepro.core import check_range, generator

    if guidance is not None:
        check_range("guidance", guidance, 1)
    from motionrepro.backbones import load_backbone, sample_images
    from motionrepro.data.video import write_video
    from motionrepro.temporal.pipeline import weights_dtype

    weights = weights_dtype(dtype)
    with loading(backbone):
        model = load_backbone(backbone, device=device, dtype=weights, local_files_only=offline, **more)
    for k, (prompt, target) in enumerate(zip(prompts, targets)):
        note_unknown_words(backbone, prompt)
        picture = sample_images(
            model,
            prompt,
            negative_prompt=negative_prompt,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generator(seed + k, "generate"),
            output_type="pt",
            progress=sys.stderr.isatty(),
        )
        write_video(target, picture.float())
        h, w = picture.shape[-2:]
        print(f"{target}: 1 frame of {w} x {h} pixels, backbone {backbone}, seed {seed + k}")
