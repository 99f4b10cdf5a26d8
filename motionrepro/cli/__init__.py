"""The command line: one file per command, thin over the library's functions.

Nothing heavy is imported before a command runs, so asking for help does not wait for PyTorch. A mistake is
one line that says what is wrong and one that says what to do.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | some of the files named could not be used; or something failed that is not the user's mistake |
| 2 | a mistake in the input; nothing was done |
| 130 | interrupted by Ctrl-C |
"""

import contextlib
import os
import sys
import traceback

import typer

from . import messages
from .analyse import analyse
from .card import card, renamed
from .claims import claims
from .data import data
from .demo import demo
from .draw import draw
from .edit import edit
from .evaluate import evaluate
from .figures import figures
from .generate import generate
from .measure import measure
from .options import Command, Debug, Version, spread_lists
from .processes import check_launched
from .sample import sample
from .score import score
from .train import train

COMMANDS = (
    draw,
    generate,
    sample,
    edit,
    analyse,
    demo,
    score,
    evaluate,
    data,
    train,
    card,
    measure,
    figures,
    claims,
)

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
for command in COMMANDS:
    app.command(cls=Command)(command)


@app.callback(epilog="motionrepro COMMAND --help tells more about each.")
def motionrepro(version: Version = False, debug: Debug = False):
    """Motion-adaptive temporal attention and denoising reuse for video from a frozen Stable Diffusion."""


def run(
    arguments: list,  # without the program's name
) -> int:  # exit status
    """Run one command; its exceptions come out as they are."""
    check_launched(arguments, (command.__name__ for command in COMMANDS))
    command = typer.main.get_command(app)
    try:
        with command.make_context("motionrepro", arguments) as context:
            return command.invoke(context) or 0
    except typer.Exit as e:  # help and version have been printed
        return e.exit_code


def main(
    argv: list | None = None,  # arguments without the program's name; None takes the process's
) -> int:  # exit status
    """Run the command line."""
    if "_MOTIONREPRO_COMPLETE" in os.environ:  # the shell asks what could come next
        return app(prog_name="motionrepro")
    arguments = [str(a) for a in (sys.argv[1:] if argv is None else argv)]
    messages.debug = "--debug" in arguments
    arguments = spread_lists(renamed([a for a in arguments if a != "--debug"]))
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("motionrepro: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # a reader such as `head` has seen enough; 141 is the status that the shell reports for it
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to flush at exit
        return 141
    except Exception as e:
        if messages.debug and not messages.is_mistake(e):
            traceback.print_exc()
        message, hint, status = messages.explain(e)
        if os.environ.get("RANK", "0") != "0":  # one of several processes, and not the first
            message = f"process {os.environ['RANK']}: {message}"
        name = next((a for a in arguments if not a.startswith("-")), "")
        named = f" {name}" if name in [c.__name__ for c in COMMANDS] else ""
        messages.say("error", message, hint or f"motionrepro{named} --help tells what it accepts")
        return status
