"""`motionrepro sample`: a clip for each prompt of a list."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .messages import track
from .models import (
    check_context,
    check_sampling,
    load_pipeline,
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
    References,
    ReferencesEvery,
    Reuse,
    Rho,
    Steps,
    SwitchStep,
    given,
)


def sample(
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="PROMPTS",
            help="Text file in UTF-8 with a prompt on each line; MSR-VTT's .json; or the word ucf101.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the clips, new or one of theirs.")],
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
    steps: Steps = 50,
    guidance: Guidance = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Seed, at least 0; each clip's noise depends on it and on its number or name.",
        ),
    ] = 0,
    format: Annotated[
        Literal["mp4", "gif", "png"],
        typer.Option(help="File format; png puts the frames side by side, and evaluate cannot read it."),
    ] = "mp4",
    fps: Fps = 8.0,
    device: Device = None,
    offline: Offline = False,
    negative_prompt: NegativePrompt = None,
    dtype: Dtype = "float32",
    config: Config = None,
    allow_pickles: AllowPickles = False,
):
    """
    Make a clip for each prompt of a list.

    The clips are numbered like the lines, 00001.mp4 and so on (lines without text do not count), with the
    prompt beside each. Of MSR-VTT's .json, each video of the test split has a clip of its name, for its first
    caption; all videos have one if the file knows no splits. ucf101 stands for UCF-101's 101 classes, with a
    sentence and a clip of its name for each, unless a file has that name.

    Processes that torchrun or accelerate launch start share the clips. The same command goes on where it was
    interrupted, and draws clips that were deleted and those of added prompts; DIR/sample.json knows the
    settings, and a folder of other settings is refused.

    Example: motionrepro sample prompts.txt --out samples --steps 20
    """
    from motionrepro.core import UserError, check_folders, process_team
    from motionrepro.data.drawn import draw_clips
    from motionrepro.data.layouts import read_prompt_list
    from motionrepro.data.video import check_target

    if num_frames is None:
        num_frames = 16 if reuse else 8
    suffix = f".{format}"
    check_target(f"clip{suffix}", fps)
    check_sampling(num_frames, 2, rho, steps, guidance, seed)
    check_context(context_length, context_overlap, reuse)
    score = parse_motion(motion)
    networks = reuse_networks(reuse, mtn, dss)
    reused = reuse_options(reuse, references, switch_step, num_frames, references_every)
    texts, names = read_prompt_list(prompts)
    if Path(out).exists() and not Path(out).is_dir():
        raise UserError(f"{out}: is a file, not a folder", "name a folder for the clips")
    check_folders(out)
    from motionrepro.backbones import default_guidance

    team = process_team(device)
    asked = (pipeline_class(reuse), backbone, adapter, " ".join(texts), device, offline, dtype)
    more: dict[str, Any] = dict(config=config, allow_pickles=allow_pickles)
    pipe, which = load_pipeline(*asked, **more, **networks)
    pipe.set_progress_bar_config(disable=True)
    windows = use_context(pipe, context_length, context_overlap)
    if reuse:
        reused["switch_step"] = on_schedule(pipe, reused["switch_step"], steps)
    guidance = default_guidance(backbone) if guidance is None else guidance
    settings = dict(num_frames=num_frames, motion=score, rho=rho, steps=steps, guidance=guidance)
    # what has its default is left out, so that folders drawn before there were these options go on
    settings |= given(negative_prompt=negative_prompt, dtype=None if dtype == "float32" else dtype)

    def draw(prompt, random):
        made = pipe(
            prompt,
            num_frames,
            score,
            rho,
            num_inference_steps=steps,
            guidance_scale=guidance,
            negative_prompt=negative_prompt,
            generator=random,
            output_type="pt",
            **reused,
        )
        return made.frames[0]

    done = draw_clips(
        out,
        texts,
        draw,
        settings | reused | windows | _weights(pipe),
        seed,
        suffix,
        fps,
        progress=lambda missing: track(missing, "drawing") if team.is_main_process else missing,
        names=names,
    )
    if team.is_main_process:
        print(
            f"{out}: {done['drawn']} clips drawn, {done['kept']} were there; {num_frames} frames, "
            f"backbone {backbone}, {which}, rho {rho:g}, seed {seed}"
        )


def _weights(pipe) -> dict:
    """What the clips depend on besides the options: all networks' weights, and this version."""
    from motionrepro import __version__
    from motionrepro.provenance import fingerprint

    parts = ("unet", "vae", "text_encoder", "adapter", "mtn", "dss")
    networks = {part: getattr(pipe, part, None) for part in parts}
    weights = {part: network and fingerprint(network) for part, network in networks.items()}
    return weights | dict(scheduler=type(pipe.scheduler).__name__, version=__version__)
