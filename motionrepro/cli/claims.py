"""`motionrepro claims`: every claim of both papers, and what a computation says about it."""

import shutil
from collections import Counter
from typing import Annotated

import typer

from .messages import print_or_write, print_table
from .options import Profile


def claims(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID", help="These claims, all of each, such as A09.", show_default="all, a line each"
        ),
    ] = None,
    decide: Annotated[
        bool,
        typer.Option(
            "--decide", help="First compute what is missing or out of date, which can take minutes a claim."
        ),
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Compute also what is up to date.")] = False,
    profile: Annotated[Profile, typer.Option(help="Profile whose results are shown.")] = "tiny",
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON, with the numbers behind each verdict, instead of the table."
        ),
    ] = False,
):
    """
    List every claim of both papers, and what a computation says about it.

    Prints stored results, which computes nothing: a line for each claim, or all that is known about those
    that are named. Verdicts: exact (same number), trend (same direction), contradicted, needs weights,
    unspecified (the paper does not say enough), open (not decided, or no check yet). A star marks a stale
    result.

    Example: motionrepro claims A09 A20 --decide
    """
    from motionrepro import claims as library

    chosen = ids or None
    if decide or again:
        rows = library.decide(chosen, profile, again=again)
    else:
        rows = library.ledger(chosen, profile)
    if json:
        print_or_write("-", rows)
    elif ids:
        width = min(110, shutil.get_terminal_size().columns)
        print("\n\n".join(library.tell(row, width) for row in rows))
    else:
        _print_lines(rows)


def _stale(row) -> bool:
    """Whether there is a result, and it does not count any more."""
    return bool(row["evidence"] and row["note"])


def _print_lines(rows):
    """Print a line for each claim, and counts of the verdicts that are current."""
    cells = [[row["id"], row["verdict"] + "*" * _stale(row), row["claim"]] for row in rows]
    print_table(["id", "verdict", "claim"], cells, numbers=False, shorten=2)
    counts = Counter(row["verdict"] for row in rows if not _stale(row)).most_common()
    listed = ", ".join(f"{n} {verdict}" for verdict, n in counts) or "none is current"
    print(f"\n{len(rows)} claims: {listed}")
    stale = sum(map(_stale, rows))
    if stale:
        print(f"* {stale} more, stale: motionrepro claims ID says why, --decide computes anew")
