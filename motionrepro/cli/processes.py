"""Which commands the processes of `torchrun` or `accelerate launch` share."""

import os
from collections.abc import Iterable

SHARED = {"train", "evaluate", "sample"}


def check_launched(
    arguments: list,  # of the command line, without the program's name
    commands: Iterable,  # names of all commands
):
    """Refuse several processes for what one of them does: all would write the same files."""
    if "RANK" not in os.environ or "--help" in arguments:
        return
    from motionrepro.core import UserError

    count = os.environ.get("WORLD_SIZE", "1")
    named = next((a for a in arguments if not a.startswith("-")), None)
    if count.isdigit() and int(count) > 1 and named in set(commands) - SHARED:
        hint = (
            "run it without torchrun or accelerate launch, or without RANK and WORLD_SIZE in the environment"
        )
        raise UserError(f"{named} is for one process, and a launcher started {count}", hint)
