"""`motionrepro measure`: what denoising reuse costs, and what is left of the clips."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Checkpoints, Device, given


def measure(
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WAY...", help="These ways alone, such as full, 200 or auto.", show_default="all"
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            "--base",
            metavar="NAME",
            help="tiny, tiny-128, or a base of your own, as for the figures of the paper profile.",
            show_default="tiny-128",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Clips, at least 4.", show_default="24")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Denoising steps, where a way does not have its own.", show_default="100"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed of captions and noise, at least 0.", show_default="0"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder for the results.", show_default="results/switching"),
    ] = None,
    checkpoints: Checkpoints = None,
    device: Device = None,
):
    """
    Measure what denoising reuse costs, and what is left of the clips.

    Makes the same clips in several ways, with fixed and chosen switch steps, and stores what they cost and
    what they are like. What is measured and up to date is not made again; an interrupted run goes on where
    it stopped. All of it takes hours.

    Example: motionrepro measure --only full 200 auto --samples 8 --steps 20
    """
    from motionrepro.core import check_folders, check_range
    from motionrepro.studies.switching import SwitchingStudy, switching_command

    if samples is not None:
        check_range("samples", samples, 4)
    check_folders(out, checkpoints)
    job = given(
        base=base,
        n=samples,
        seed=seed,
        steps=steps,
        device=device,
        results=out and Path(out),
        checkpoints=checkpoints and Path(checkpoints),
    )
    switching_command(only or None, SwitchingStudy(**job))
