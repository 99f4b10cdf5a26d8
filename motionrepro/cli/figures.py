"""`motionrepro figures`: the papers' figures and tables, drawn again."""

from typing import Annotated

import typer

from .options import Profile


def figures(
    profile: Annotated[Profile, typer.Option(help="How much is computed.")] = "tiny",
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID...",
            help="These figures alone, by their ids in paper_figures/manifest.json.",
            show_default="all",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder for the output.", show_default="figures/PROFILE in the checkout"
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Notebooks at a time.",
            show_default="1 where there is a GPU, else one for each processor core, at most 4",
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="First bring the stored numbers of full size up to date: trainings, clips, claims. It "
            "takes about a day on two cores, goes on where it was interrupted, and computes nothing that is "
            "up to date.",
        ),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Draw also what is there and up to date.")] = False,
):
    """
    Redraw the papers' figures and tables.

    Runs the notebooks of paper_figures/ and writes an overview with the papers' values beside ours. Each
    computes its numbers in a quick size and shows the stored ones of full size beside them.

    Profiles:

    - `smoke`: minutes, for tests
    - `tiny`: the embedded world
    - `paper`: Stable Diffusion and real clips, on a GPU

    Example: motionrepro figures --profile smoke --out trial
    """
    from motionrepro.core import UserError, check_folders
    from motionrepro.figures.pages import run_figures
    from motionrepro.profiles import checkout

    check_folders(out)
    if full:
        if only or profile != "tiny":
            raise UserError("--full is for all figures of the tiny profile", "leave --only and --profile out")
        _bring_up_to_date(checkout() / "checkpoints")
    run_figures(profile, only=only or None, out=out, again=again, jobs=jobs)


def _bring_up_to_date(checkpoints):
    """Compute what the pages show and is missing or stale: trainings and their clips, reuse, the ledger."""
    from motionrepro.claims import decide
    from motionrepro.studies.ablations import adapter_command
    from motionrepro.studies.store import BASES, SEEDS
    from motionrepro.studies.switching import SwitchingStudy, switching_command

    adapter_command("ablations", checkpoints=checkpoints)
    for seed in SEEDS:
        switching_command(job=SwitchingStudy(BASES[0], seed, checkpoints=checkpoints))
    decide()
