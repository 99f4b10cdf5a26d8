"""`motionrepro card`: the scores of a shipped model, measured again."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from .messages import print_or_write, print_table, say
from .options import Json, check_targets, files_of


Model = Literal["tiny", "tiny-128", "classifier", "video", "clip"]


def card(
    model: Annotated[
        Model,
        typer.Argument(metavar="MODEL", help="tiny, tiny-128, classifier, video or clip."),
    ],
    samples: Annotated[int, typer.Option(metavar="N", help="Images or clips, at least 20.")] = 500,
    seed: Annotated[
        int,
        typer.Option(metavar="N", help="Seed of the scenes and the noise, at least 0; cards use 0."),
    ] = 0,
    assets: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder that train wrote with --out.", show_default="the package's models"
        ),
    ] = None,
    json: Json = None,
):
    """
    Measure the scores of a shipped model again.

    Samples from the model, or shows it scenes of the test split, and prints what its card claims beside
    what comes out here. Another seed means other scenes.

    Example: motionrepro card classifier --samples 200 --seed 7
    """
    from motionrepro.core import assets_path, check_range, read_json
    from motionrepro.training import base

    check_range("samples", samples, 20)
    check_range("seed", seed, 0)
    folder = Path(assets or assets_path())
    check_targets({"--json": json}, files_of(folder / base.CARDS[model]))
    scores = base.evaluate(model, samples, seed, folder)
    file = folder / base.CARDS[model] / "card.json"
    claimed = read_json(file)["scores"] if file.exists() else {}
    if json:
        print_or_write(json, dict(model=model, n=samples, seed=seed, scores=scores, card=claimed))
    if json != "-":
        rows = [[name, _number(here), _number(claimed.get(name))] for name, here in scores.items()]
        print_table(["score", "here", "card"], rows)


def renamed(
    arguments: list,  # as typed
) -> list:  # as they are spelt now
    """`evaluate MODEL` is `card MODEL` now; the old spelling works, with a notice."""
    command, *rest = arguments or [""]
    is_old = command == "evaluate" and rest[:1] and rest[0] in get_args(Model)
    if not is_old or (rest[1:2] and not rest[1].startswith("-")):  # or a folder of this name, and another one
        return arguments
    say("notice", "evaluate MODEL is called card MODEL now", f"motionrepro card {rest[0]}")
    return ["card", *rest]


def _number(value) -> str:
    """Four digits; nothing for None; words, such as what was found least often, as they are."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}"
