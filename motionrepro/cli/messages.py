"""What people read: messages, tables and progress."""

import contextlib
import errno
import json
import logging
import os
import re
import sys
import traceback
from pathlib import Path

from typer.exceptions import TyperException

debug = False  # whether notices of the model libraries and tracebacks are shown; `main` sets it


def printable(text, stream) -> str:
    """The text with what the stream cannot encode escaped: file names may be any bytes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return str(text).encode(encoding, "backslashreplace").decode(encoding)


def say(
    kind: str,  # "error", "note", "notice" or "skipped"
    message,  # lines are joined to one
    hint: str = "",  # what to do about it
):
    """Print one line to stderr, and one with a hint if there is one."""
    lines = [f"motionrepro: {kind}: {' '.join(str(message).split())}"]
    if hint:
        lines.append(f"hint: {' '.join(hint.split())}")
    for line in lines:
        print(printable(line, sys.stderr), file=sys.stderr)


def is_mistake(error) -> bool:
    """Whether an option was wrong: the message says all of it, and a traceback nothing more."""
    if isinstance(error, TyperException):
        return True
    from motionrepro.core import UserError

    return type(error) is UserError


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # numbers of errors that tell of a full disk


def explain(error) -> tuple:  # message, hint, exit status
    """Put an exception into words for a user."""
    if isinstance(error, TyperException):
        return _explain_usage(error)
    hint = getattr(error, "hint", "")
    number = _system_error(error)
    if number in FULL:
        hint = "make room and run the same command again: what is finished is kept, nothing is half-written"
        return f"{_named(error)}there is no room left to write ({os.strerror(number)})", hint, 2
    if isinstance(error, OSError) and error.strerror:
        return _named(error) + error.strerror, hint, 2
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) and (file := _file_that_was_read(error)):
        return f"{file}: is damaged ({error})", "copy it again, or delete it", 2
    if isinstance(error, (ValueError, OSError)):
        return str(error) or type(error).__name__, hint, 2
    if isinstance(error, MemoryError) or re.search("out of memory|n't allocate memory", str(error)):
        hint = "ask for fewer frames, smaller ones or fewer at a time; --dtype bfloat16 halves the weights"
        return "there is not enough memory", hint, 1
    if hint:
        return str(error), hint, 1
    hint = "this should not happen; run the same command with --debug to see where it comes from"
    return f"{type(error).__name__}: {error}", hint, 1


def _system_error(error):
    """The number that the system gave an error, or None; some libraries pass it on in words alone."""
    if isinstance(error, OSError):
        return error.errno
    if re.search("PytorchStreamWriter|unexpected pos", str(error)):
        return errno.ENOSPC
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _named(error):
    """The file of an error, as the beginning of a message; for a temporary one, the folder that it lay in."""
    file = getattr(error, "filename", None)
    if not file:
        return ""
    path = Path(os.fsdecode(file))
    return f"{path.parent if path.name.startswith('.new-') else file}: "


def _file_that_was_read(error):
    """The file whose content raised an error in `read_json`, or None if it was none."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "read_json":
            return frame.f_locals["path"]
    return None


def _explain_usage(error):
    """Put a usage error of Typer into a message, a hint and an exit status."""
    close = getattr(error, "possibilities", None)  # options that are spelt like an unknown one
    if close:
        return error.message, f"did you mean {' or '.join(sorted(close))}?", 2
    message = error.format_message().replace("Value error, ", "")
    if hasattr(error.__cause__, "errors"):  # of a value of the wrong type, which the message leaves out
        value = error.__cause__.errors()[0]["input"]
        message = message.replace("Input", repr(value))
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help tells what it accepts" if context else ""
    return message, hint, 2


def print_table(
    head: list,  # names of the columns
    rows: list,  # of as many strings each
    numbers: bool = True,  # all columns but the first to the right
    shorten: int | None = None,  # a column that is cut where a terminal is too narrow
):
    """Print columns; without a terminal each row is one line, however long."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(head):
        table.add_column(
            name,
            justify="right" if numbers and i else "left",
            no_wrap=i == shorten,
            overflow="ellipsis" if i == shorten else "fold",
        )
    for row in rows:
        table.add_row(*(printable(cell, sys.stdout) for cell in row))
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def print_or_write(
    target: str,  # a file, or - for the standard output
    value,  # what JSON can hold
):
    """Print JSON, or write it to a file."""
    if target == "-":
        print(json.dumps(value, indent=1, allow_nan=False))
        return
    from motionrepro.core import check_writable, write_json

    check_writable(target)
    write_json(target, value)


def track(items, description: str):
    """Iterate over `items`, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    return track(
        items, description, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )


@contextlib.contextmanager
def loading(name: str):
    """Show that a model is being loaded, not its libraries' notices: five retries are one error of ours."""
    import warnings

    from diffusers.utils import logging as diffusers
    from huggingface_hub.utils import logging as hub
    from rich.console import Console
    from transformers.utils import logging as transformers

    if debug:
        yield
        return
    before = [(library, library.get_verbosity()) for library in (diffusers, hub, transformers)]
    bar = transformers.is_progress_bar_enabled()
    for library, _ in before:
        library.set_verbosity(logging.CRITICAL)  # of what cannot be found, too: it may be elsewhere
    transformers.disable_progress_bar()
    waiting = (
        Console(stderr=True).status(f"loading {name}") if sys.stderr.isatty() else contextlib.nullcontext()
    )
    try:
        with warnings.catch_warnings(), waiting:
            warnings.simplefilter("ignore")
            yield
    finally:
        for library, level in before:
            library.set_verbosity(level)
        if bar:
            transformers.enable_progress_bar()
