"""`motionrepro train`: the models that ship with the package, and adapters on clips of one's own."""

from typing import Annotated

import typer

from .messages import say
from .models import loading_options
from .options import (
    BACKBONES,
    Adapter,
    AllowPickles,
    Captions,
    CaptionFromName,
    Checkpoints,
    Config,
    Device,
    Processes,
    given,
)

SHIPPED_ADAPTERS = ("adapter", "adapter-128")
REUSE_NETWORKS = ("mtn", "dss")
OWN_TARGETS = ("adapter", *REUSE_NETWORKS)  # that can be trained on clips of one's own
TRAIN_TARGETS = (
    "all",
    "vae",
    "text",
    "classifier",
    "unet",
    "video",
    "clip",
    "unet-128",
    *SHIPPED_ADAPTERS,
    "ablations",
    *REUSE_NETWORKS,
)


def parse_target(text: str) -> str:
    """Read a target; its old name works, with a notice."""
    if text == "matrix":
        say("notice", "train matrix is called train ablations now", "motionrepro train ablations")
        return "ablations"
    if text not in TRAIN_TARGETS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(TRAIN_TARGETS)}")
    return text


def train(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            parser=parse_target,
            autocompletion=lambda: list(TRAIN_TARGETS),
            help="What to train, one of those above.",
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Optimiser steps, at least 1.",
            show_default="as many as the shipped weights had",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the finished models and their cards; with ablations, for their results.",
            show_default="inside the package, where they are loaded from; with ablations results/ablations",
        ),
    ] = None,
    checkpoints: Checkpoints = None,
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Images or clips that a card's scores rest on, at least 20; with --data, clips to train on.",
            show_default="500; 100 clips for each number of an adapter; with --data one of every video",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed of initialisation and batches, at least 0.", show_default="0"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN...", help="These ablations alone, such as ours-0.", show_default="all"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Train adapter, mtn or dss on the videos of this folder: with text files of the same names, "
            "or as WebVid, UCF-101 or MSR-VTT come; or on shards of data prepare.",
        ),
    ] = None,
    captions: Captions = None,
    caption_from_name: CaptionFromName = False,
    clips: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="With --data: clips of every video; epochs take them in turn.", show_default="1"
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="With --data: folder for encoded videos, which all runs on them share.",
            show_default="shards, in the folder of --checkpoints",
        ),
    ] = None,
    processes: Processes = None,
    validation: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --data: share of the videos that is not trained on, but scored on, in [0, 1).",
            show_default="0.05",
        ),
    ] = None,
    mtn: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="With --data, for dss: the motion network that it will work with.",
            show_default="the one in the backbone's folder",
        ),
    ] = None,
    adapter: Adapter = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"With --data: {BACKBONES}.", show_default="tiny"),
    ] = None,
    config: Config = None,
    allow_pickles: AllowPickles = False,
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE...",
            help="With --data: settings of the recipe, such as batch=4 lr=2e-4; a wrong name gets the list.",
        ),
    ] = None,
    gradient_accumulation: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --data: batches of each process whose gradients make one step.",
            show_default="1",
        ),
    ] = None,
    tracker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --data: send the log to tensorboard, wandb or another of accelerate's trackers, too.",
            show_default="none",
        ),
    ] = None,
    device: Device = None,
):
    """
    Train the models that ship with the package, or adapter, mtn or dss on clips of your own.

    A run that was interrupted goes on where it stopped when the same command is run again. With the same
    base, ablations and adapter share their runs. What is finished and up to date is not computed again.
    A run on clips of your own is refused if their videos or captions have changed since it began. A share of
    the videos, chosen by their names, is held out and scored on; the card says which. Given more --steps, a
    run of this kind goes on from where it is, even if it was finished: the learning rate rises again and
    falls along the longer cosine.

    Several processes, as torchrun or accelerate launch start them, share each step. The effective batch is
    batch x --gradient-accumulation x processes; runs with the same product learn the same. Without --data,
    text, clip, all, the adapters and ablations are for one process.

    Targets:

    - `all`: everything below but the ablations, in this order
    - `vae`: the autoencoder
    - `text`: the text encoder
    - `classifier`: frame classifier, for evaluation
    - `unet`: the denoiser at 64 pixels
    - `video`: video encoder, for evaluation
    - `clip`: open_clip model, for evaluation
    - `unet-128`: the denoiser trained on at 128 pixels
    - `adapter`: temporal blocks for 64 pixels
    - `adapter-128`: the same trained on at 128 pixels
    - `ablations`: all trainings that paper A's tables compare, and their results; takes hours
    - `mtn`: motion matrices for 128 pixels
    - `dss`: the switch step for these

    Example: motionrepro train adapter --backbone sd15 --data clips --out my-adapter --set batch=4
    """
    from motionrepro.core import UserError, check_folders, check_range

    if samples is not None:
        check_range("samples", samples, 1 if data else 20)
    if only and target != "ablations":
        raise UserError("--only names ablations", "motionrepro train ablations --only ours-0")
    more = given(captions=captions, caption_from_name=caption_from_name or None)
    more |= given(clips=clips, cache=cache, processes=processes, validation=validation)
    more |= given(mtn=mtn, adapter=adapter, tracker=tracker)
    if data:
        more |= given(
            accumulation=gradient_accumulation, loading=loading_options(config, allow_pickles) or None
        )
        changes = [*([] if steps is None else [f"steps={steps}"]), *(set or [])]
        return _train_own(target, data, out, checkpoints, backbone, changes, seed, samples, device, more)
    more |= given(backbone=backbone, config=config, allow_pickles=allow_pickles or None)
    more |= given(set=set or None, gradient_accumulation=gradient_accumulation)
    for name in more:
        raise UserError(f"--{name.replace('_', '-')} is for clips of your own", "add --data DIR")
    if target == "ablations" and seed is not None:
        raise UserError(f"seed={seed}: the ablations have seeds of their own", "leave --seed out")
    check_folders(out, checkpoints)
    options = given(
        steps=steps, out=out, checkpoints=checkpoints, seed=seed, device=device, n=samples, only=only
    )
    everything = target == "all"
    adapters = (
        SHIPPED_ADAPTERS if everything else [t for t in (*SHIPPED_ADAPTERS, "ablations") if t == target]
    )
    networks = REUSE_NETWORKS if everything else [t for t in REUSE_NETWORKS if t == target]
    if everything or not (adapters or networks):
        from motionrepro.training.base import train_command

        train_command(target, **options)
    for name in adapters:
        from motionrepro.studies.ablations import adapter_command

        adapter_command(name, **options)
    for name in networks:
        from motionrepro.training.dss import reuse_command

        reuse_command(name, **options)


def _train_own(target, data, out, checkpoints, backbone, changes, seed, samples, device, more):
    """Train a network on a folder of videos."""
    from motionrepro.core import UserError, check_folders

    if target not in OWN_TARGETS:
        raise UserError(f"--data is for train {', '.join(OWN_TARGETS)}, and not for train {target}")
    if target != "dss" and (more.get("mtn") or more.get("adapter")):
        raise UserError("--mtn and --adapter are for train dss", "leave them out")
    if not out:
        raise UserError("--out is missing", f"name a folder for the network, such as --out my-{target}")
    check_folders(out, checkpoints)
    options = given(base=backbone, checkpoints=checkpoints, seed=seed, samples=samples, device=device)
    if target == "adapter":
        from motionrepro.training.adapter import own_adapter_command as command

        if "accumulation" in more:  # a setting of its recipe
            changes = [f"accumulation={more.pop('accumulation')}", *changes]
    elif target == "mtn":
        from motionrepro.training.mtn import own_mtn_command as command
    else:
        from motionrepro.training.dss import own_dss_command as command
    command(data, out, changes=changes, **options, **more)
