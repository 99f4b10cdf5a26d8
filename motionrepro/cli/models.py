"""What the commands that sample share: loading a pipeline, and words about what it did."""

import sys
from pathlib import Path
from typing import Any

from .messages import loading, say


def unknown_words_note(backbone: str, prompt: str) -> str:  # empty if there is nothing to say
    """Say which words of a prompt the embedded models cannot draw."""
    from motionrepro.backbones import EMBEDDED
    from motionrepro.data.world import unknown_words

    words = unknown_words(prompt) if backbone in EMBEDDED else ()
    if not words:
        return ""
    return f"{backbone} draws what the captions of its world name, and cannot draw: {', '.join(words)}"


def note_unknown_words(backbone: str, prompt: str):
    """Print which words of a prompt the embedded models cannot draw."""
    note = unknown_words_note(backbone, prompt)
    if note:
        say("note", note, "a prompt it knows: a red circle moving left slowly on a plain gray background")


def asked_prompts(
    prompt: str | None,  # the one on the command line
    file: str | None,  # with a prompt on each line; - is the standard input
) -> list:  # of strings
    """Return the prompts that were given, in one of the two ways."""
    from motionrepro.core import UserError
    from motionrepro.data.layouts import read_prompts

    if file is None:
        if prompt is None:
            raise UserError("Missing argument 'PROMPT'", "give a prompt, or --prompts with a file of them")
        return [prompt]
    if prompt is not None:
        raise UserError("PROMPT and --prompts exclude each other", "leave one of them out")
    return read_prompts(file)


def numbered(
    out: str,  # a file's name
    count: int,  # of files
) -> list:  # of names: x-01.gif, x-02.gif, ...
    """Number the files of several results."""
    path = Path(out)
    digits = len(str(count))
    return [str(path.with_name(f"{path.stem}-{k:0{digits}}{path.suffix}")) for k in range(1, count + 1)]


def check_new(
    targets: list,  # files that will be written
    overwrite: bool,  # whether they may be there
):
    """Refuse to replace files unless that was said."""
    from motionrepro.core import UserError, check_writable

    for target in targets:
        check_writable(target)
    there = [target for target in targets if Path(target).exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if there[1:] else ""
        raise UserError(f"{there[0]}{more} would be replaced", "give --overwrite, or another --out")


def loading_options(
    config: str | None,  # as given
    allow_pickles: bool,
) -> dict:  # of `load_backbone`, those that are not at their defaults
    """Say how a base shall be loaded."""
    options: dict[str, Any] = {} if config is None else dict(config=config)
    return options | (dict(use_safetensors=False) if allow_pickles else {})


def load_pipeline(
    cls,  # `MotionAdaptivePipeline` or `DenoisingReusePipeline`
    backbone: str,
    adapter: str | None,  # a folder, "none", or None for the backbone's own
    prompt: str,  # looked through for words that the model cannot draw
    device: str | None,
    offline: bool,
    dtype: str = "float32",
    config: str | None = None,  # as given
    allow_pickles: bool = False,
    **networks: str | None,  # `mtn`, `dss`, the same way
) -> tuple:  # the pipeline, and which adapter it has, in words
    """Load a pipeline for clips."""
    words = {None: "saved", "none": None}
    named = words.get(adapter, adapter)
    found = {name: words.get(folder, folder) for name, folder in networks.items()}
    with loading(backbone):
        options = dict(device=device, dtype=dtype, local_files_only=offline)
        options |= loading_options(config, allow_pickles)
        pipe = cls.from_pretrained(backbone, named, **found, **options)
    note_unknown_words(backbone, prompt)
    pipe.set_progress_bar_config(disable=not sys.stderr.isatty())
    if pipe.adapter is None:
        return pipe, "no adapter"
    return pipe, "its own adapter" if adapter is None else f"adapter {adapter}"


def parse_motion(text: str):  # "auto" or a number
    """Read a motion score."""
    from motionrepro.core import UserError, check_range

    if text == "auto":
        return text
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"motion={text!r} is neither 'auto' nor a number in [0, 1]") from None
    return check_range("motion", value, 0, 1)


def parse_switch_step(text: str):  # "auto" or a number
    """Read a timestep."""
    from motionrepro.core import UserError

    if text == "auto":
        return text
    try:
        value = int(text) if text.lstrip("-").isdigit() else float(text)
        if not abs(value) < float("inf"):  # nor is NaN
            raise ValueError
        return value
    except ValueError:
        raise UserError(
            f"switch_step={text!r} is neither 'auto' nor a timestep",
            "motionrepro analyse CLIP shows timesteps and suggests one",
        ) from None


def check_sampling(
    num_frames: int,
    least: int,  # frames
    rho: float,
    steps: int,
    guidance: float | None,
    seed: int,
):
    """Refuse numbers that no clip can be drawn with."""
    from motionrepro.core import check_range

    check_range("num_frames", num_frames, least)
    check_range("rho", rho, 0, 1, include_high=False)
    check_range("steps", steps, 1, 1000)
    check_range("guidance", guidance or 0, 0)
    check_range("seed", seed, 0)


def check_context(
    context_length: int | None,  # as given
    context_overlap: int | None,
    reuse: bool = False,
):
    """Refuse window sizes that no model could take."""
    from motionrepro.core import UserError, check_range

    if reuse and (context_length is not None or context_overlap is not None):
        raise UserError(
            "--context-length and --context-overlap are for denoising by windows, and --reuse has none",
            "leave them out; --references-every cuts a long clip",
        )
    if context_length is not None:
        check_range("context_length", context_length, 2)
    if context_overlap is None:
        return
    check_range("context_overlap", context_overlap, 1)
    if context_length is not None and context_overlap >= context_length:
        raise UserError(
            f"context_overlap={context_overlap} is not smaller than context_length={context_length}",
            "a quarter of the length is what is taken by default",
        )


def use_context(
    pipe,
    context_length: int | None,  # as given
    context_overlap: int | None,
) -> dict:  # the settings that were given
    """Make long clips by these windows."""
    from motionrepro.core import UserError

    if context_length is None and context_overlap is None:
        return {}
    length = context_length or pipe.max_frames
    if length is None:
        raise UserError(
            "context_overlap is for windows, and without an adapter there are none",
            "leave it out, or give --context-length as well",
        )
    check_context(length, context_overlap)
    stride = None if context_overlap is None else length - context_overlap
    pipe.enable_free_noise(length, stride)
    return dict(context_length=length, context_overlap=context_overlap)


def reuse_options(
    reuse, references, switch_step, num_frames, references_every=None
) -> dict:  # empty without reuse
    """Check what belongs to --reuse, and fill in what was not given."""
    from motionrepro.core import UserError, check_range

    if not reuse:
        if references is not None or switch_step is not None or references_every is not None:
            raise UserError(
                "--references, --references-every and --switch-step are for --reuse",
                "add --reuse, or leave them out",
            )
        return {}
    if num_frames < 3:
        raise UserError(
            f"num_frames={num_frames} leaves nothing to reuse denoising for", "give --num-frames 16"
        )
    if references is None:
        references = min(4, num_frames - 1)
    check_range("references", references, 2, num_frames - 1)
    options = dict(references=references, switch_step=parse_switch_step(switch_step or "200"))
    if references_every is not None:
        options["references_every"] = check_range("references_every", references_every, references)
    return options


def reuse_networks(
    reuse: bool,
    mtn: str | None,  # as given
    dss: str | None,
) -> dict:  # empty without reuse
    """Return the networks that reuse will work with."""
    from motionrepro.core import UserError

    if not reuse and (mtn or dss):
        raise UserError("--mtn and --dss are for --reuse", "add --reuse, or leave them out")
    return dict(mtn=mtn, dss=dss) if reuse else {}


def pipeline_class(reuse: bool):
    """The pipeline of paper B with reuse, otherwise that of paper A."""
    if reuse:
        from motionrepro.reuse.pipeline import DenoisingReusePipeline

        return DenoisingReusePipeline
    from motionrepro.temporal.pipeline import MotionAdaptivePipeline

    return MotionAdaptivePipeline


def on_schedule(
    pipe,
    switch_step,  # "auto" or a number
    steps: int,  # of the schedule
):
    """The nearest step of the schedule; what no schedule has is left for the pipeline to refuse."""
    from motionrepro.reuse.pipeline import nearest_timestep

    if switch_step == "auto" or not 0 < switch_step < pipe.scheduler.config.num_train_timesteps:
        return switch_step
    return nearest_timestep(pipe.timesteps(steps), switch_step)


def keep_window(pipe, backbone: str, window: int | None):
    """Keep motion matrices in a window, if that was asked for."""
    from motionrepro.core import UserError, check_whole
    from motionrepro.reuse.pipeline import DenoisingReuseConfig

    if window is None:
        return
    if pipe.mtn is not None:
        raise UserError(
            f"window={window} is for raw features, and the motion network of {backbone} has its own",
            "leave --window out",
        )
    pipe.enable(DenoisingReuseConfig(window=check_whole("window", window, 0)))


def describe_reuse(
    pipe,
    made,  # `DenoisingReuseOutput`
    asked,  # the switch step as it was given
) -> str:  # two lines
    """Say what was reused, and what that saved."""
    from dataclasses import replace

    switch_steps = made.switch_step[0].flatten().tolist()  # one for each chunk of a long clip
    taken = switch_steps[0]
    chosen = asked == "auto"
    config = replace(pipe.reuse, switch_step=asked if chosen else taken)
    which = ""
    looked_at = 0 if made.errors is None else made.errors.shape[1]  # steps down to the last candidate
    if len(switch_steps) > 1:
        which = f" first, then {', '.join(f'{t:g}' for t in switch_steps[1:])}, with references for each"
    elif chosen and made.timesteps.index(taken) == looked_at:
        which = ", the last one that it may choose"
    elif not chosen and asked != taken:
        which = f", the step of this schedule that is nearest to {asked:g}"
    whole = made.unet_calls * made.ideal_speedup
    more = "" if made.ideal_speedup >= 1 else ": more than denoising all frames takes"
    return (
        f"reuse down to switch step {taken:g}{which}: {made.unet_calls} of {whole:.0f} frame evaluations, "
        f"ideal speed-up {made.ideal_speedup:.2f}, measured {made.measured_speedup:.2f}{more}\n"
        f"{pipe.how(config)}"
    )


def read_given_clip(clip: str, num_frames: int, interval: int, start: int, steps: int, seed: int):
    """Read the clip that was named, `f 3 h w` at its own size, once the other numbers are in range."""
    from motionrepro.core import check_range
    from motionrepro.data.video import read_clip

    check_range("num_frames", num_frames, 2)
    check_range("steps", steps, 1, 1000)
    check_range("seed", seed, 0)
    return read_clip(clip, num_frames, interval, None, start=start).video
