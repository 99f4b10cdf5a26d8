"""`motionrepro generate`: a clip from a prompt."""

from typing import Annotated

import typer

from .draw import draw_pictures
from .messages import say
from .models import (
    asked_prompts,
    check_context,
    check_new,
    check_sampling,
    describe_reuse,
    load_pipeline,
    loading_options,
    note_unknown_words,
    numbered,
    on_schedule,
    parse_motion,
    pipeline_class,
    reuse_networks,
    reuse_options,
    use_context,
)
from .options import (
    Adapter,
    AllowPickles,
    Backbone,
    ClipFrames,
    Config,
    ContextLength,
    ContextOverlap,
    Device,
    Dss,
    Dtype,
    Fps,
    Guidance,
    Motion,
    Mtn,
    NegativePrompt,
    Offline,
    OptionalPrompt,
    References,
    ReferencesEvery,
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
    references_every: ReferencesEvery = None,
    mtn: Mtn = None,
    dss: Dss = None,
    context_length: ContextLength = None,
    context_overlap: ContextOverlap = None,
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
    config: Config = None,
    allow_pickles: AllowPickles = False,
):
    """
    Make a clip from a prompt, or several.

    The frames are denoised together: they see each other through an adapter of temporal blocks, which tiny
    and tiny-128 bring along, and their noise is correlated. Without an adapter, the frames share their
    noise alone.

    Example: motionrepro generate "a red circle moving left slowly on a plain gray background" --out
    circle.gif
    """
    from motionrepro.core import UserError, generator
    from motionrepro.data.video import check_target

    if adapter is not None and no_adapter:
        raise UserError("--adapter and --no-adapter exclude each other", "leave one of them out")
    adapter = "none" if no_adapter else adapter
    if num_frames is None:
        num_frames = 16 if reuse else 8
    out = out or ("generated.png" if num_frames == 1 else "generated.gif")
    check_target(out, fps)
    check_sampling(num_frames, 1, rho, steps, guidance, seed)
    check_context(context_length, context_overlap, reuse)
    score = parse_motion(motion)
    networks = reuse_networks(reuse, mtn, dss)
    reused = reuse_options(reuse, references, switch_step, num_frames, references_every)
    texts = asked_prompts(prompt, prompts)
    targets = [out] if prompts is None else numbered(out, len(texts))
    if num_frames == 1 and (adapter not in (None, "none") or score != "auto"):
        raise UserError(
            "a single frame has no motion and no use for an adapter",
            "give --num-frames 8, or leave --adapter and --motion out",
        )
    check_new(targets, overwrite or prompts is None)
    if num_frames == 1:
        say("notice", "a single frame has a command of its own now", "motionrepro draw PROMPT")
        draw_pictures(
            texts,
            targets,
            backbone,
            steps,
            guidance,
            seed,
            device,
            offline,
            negative_prompt,
            dtype,
            loading_options(config, allow_pickles),
        )
        return
    from motionrepro.backbones import default_guidance

    given = (pipeline_class(reuse), backbone, adapter, texts[0], device, offline, dtype)
    pipe, which = load_pipeline(*given, config, allow_pickles, **networks)
    use_context(pipe, context_length, context_overlap)
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
