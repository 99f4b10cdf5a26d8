"""`motionrepro generate`: a clip from a prompt."""

from typing import Annotated

import typer

from .draw import draw
from .messages import say
from .models import (
    asked_prompts,
    check_new,
    describe_reuse,
    load_pipeline,
    note_unknown_words,
    numbered,
    on_schedule,
    parse_motion,
    parse_switch_step,
)
from .options import (
    Adapter,
    Backbone,
    ClipFrames,
    Device,
    Dtype,
    Fps,
    Guidance,
    Motion,
    NegativePrompt,
    Offline,
    OptionalPrompt,
    References,
    Reuse,
    Rho,
    Seed,
    Steps,
    SwitchStep,
)


def generate(
    prompt: OptionalPrompt = None,
    backbone: Backbone = "tiny",
    num_frames: ClipFrames = None,
    rho: Rho = 0.6,
    motion: Motion = "auto",
    reuse: Reuse = False,
    references: References = None,
    switch_step: SwitchStep = None,
    adapter: Adapter = None,
    no_adapter: Annotated[bool, typer.Option("--no-adapter", help="The same as --adapter none.")] = False,
    steps: Steps = 50,
    guidance: Guidance = None,
    seed: Seed = 0,
    fps: Fps = 8.0,
    device: Device = None,
    offline: Offline = False,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help=".gif, .mp4 or .png (frames side by side).", show_default="generated.gif"
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Instead of PROMPT: a text file with one on each line, or - for the standard input. "
            "Files are numbered, and so are seeds, from the given one on.",
        ),
    ] = None,
    negative_prompt: NegativePrompt = None,
    dtype: Dtype = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace numbered files that are there.")
    ] = False,
):
    """
    Make a clip from a prompt, or several.

    The frames are denoised together: they see each other through an adapter of temporal blocks, which tiny
    and tiny-128 bring along, and their noise is correlated. Without an adapter, the frames share their
    noise alone.

    Example: motionrepro generate "a red circle moving left slowly on a plain gray background" --out
    circle.gif
    """
    from motionrepro.core import UserError, check_range, generator
    from motionrepro.data.video import check_target

    if adapter is not None and no_adapter:
        raise UserError("--adapter and --no-adapter exclude each other", "leave one of them out")
    adapter = "none" if no_adapter else adapter
    if num_frames is None:
        num_frames = 16 if reuse else 8
    out = out or ("generated.png" if num_frames == 1 else "generated.gif")
    check_target(out, fps)
    check_range("num_frames", num_frames, 1)
    check_range("rho", rho, 0, 1, include_high=False)
    check_range("steps", steps, 1, 1000)
    check_range("guidance", guidance or 0, 0)
    check_range("seed", seed, 0)
    score = parse_motion(motion)
    reused = reuse_options(reuse, references, switch_step, num_frames)
    texts = asked_prompts(prompt, prompts)
    targets = [out] if prompts is None else numbered(out, len(texts))
    if num_frames == 1:
        if adapter not in (None, "none") or score != "auto":
            raise UserError(
                "a single frame has no motion and no use for an adapter",
                "give --num-frames 8, or leave --adapter and --motion out",
            )
        say("notice", "a single frame has a command of its own now", "motionrepro draw PROMPT")
        check_new(targets, overwrite or prompts is None)
        more = (negative_prompt, dtype)
        for k, (text, target) in enumerate(zip(texts, targets)):
            draw(text, backbone, steps, guidance, seed + k, device, offline, target, *more)
        return None
    check_new(targets, overwrite or prompts is None)
    from motionrepro.backbones import default_guidance

    if reuse:
        from motionrepro.reuse.pipeline import DenoisingReusePipeline as Pipeline
    else:
        from motionrepro.temporal.pipeline import MotionAdaptivePipeline as Pipeline
    pipe, which = load_pipeline(Pipeline, backbone, adapter, texts[0], device, offline, dtype)
    asked = reused.get("switch_step")
    if reuse:
        reused |= dict(timed=True, switch_step=on_schedule(pipe, asked, steps))
    for k, (text, target) in enumerate(zip(texts, targets)):
        if k:
            note_unknown_words(backbone, text)
        made = pipe(
            text,
            num_frames,
            score,
            rho,
            num_inference_steps=steps,
            guidance_scale=default_guidance(backbone) if guidance is None else guidance,
            negative_prompt=negative_prompt,
            generator=generator(seed + k, "generate"),
            output_type="pt",
            **reused,
        )
        _write(target, made, fps, f"backbone {backbone}, {which}, rho {rho:g}", seed + k)
        if reuse:
            print(describe_reuse(pipe, made, asked))


def _write(target, made, fps, how, seed):
    """Write a clip, and say what it is."""
    from motionrepro.data.video import write_video

    frames = made.frames[0].float()
    write_video(target, frames, fps=fps)
    f, _, h, w = frames.shape
    print(f"{target}: {f} frames of {w} x {h} pixels, {how}, motion {made.motion[0]:.3g}, seed {seed}")


def reuse_options(reuse, references, switch_step, num_frames) -> dict:  # empty without reuse
    """Check what belongs to --reuse, and fill in what was not given."""
    from motionrepro.core import UserError, check_range

    if not reuse:
        if references is not None or switch_step is not None:
            raise UserError(
                "--references and --switch-step are for --reuse", "add --reuse, or leave them out"
            )
        return {}
    if num_frames < 3:
        raise UserError(
            f"num_frames={num_frames} leaves nothing to reuse denoising for", "give --num-frames 16"
        )
    if references is None:
        references = min(4, num_frames - 1)
    check_range("references", references, 2, num_frames - 1)
    return dict(references=references, switch_step=parse_switch_step(switch_step or "200"))
