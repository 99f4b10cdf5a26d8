"""Write nbs/faults.md from the rows of tests/test_faults.py, or with --check say whether it is current."""

import difflib
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "tests"))
from test_faults import FAULTS, KINDS  # noqa: E402

target = root / "nbs" / "faults.md"
HEAD = """<!-- Written by `python tools/faults.py` from tests/test_faults.py: edit that. -->

# What goes wrong

Each row is a test. It makes the fault, runs the command or the call, and checks what the second column
says. Nothing is lost, no file is half-written, and a mistake on the command line is one line with a hint,
without a traceback: exit status 2. Rows marked *slow* are run by `make test-slow`, the others by `make
test`.
"""


def sentence(fault):
    """What must happen, as a cell of the table."""
    said = f"`{fault.says.strip(' :')}`" if fault.says else ""
    return "; ".join(part for part in (said, fault.must) if part)


def table(kind):
    """The rows of a kind."""
    lines = [f"## {kind.capitalize()}", "", "| what is wrong | what must happen | test |", "|---|---|---|"]
    for fault in (f for f in FAULTS if f.kind == kind):
        test = fault.test if isinstance(fault.test, str) else f"test_faults.py::test_fault[{kind}-{fault.id}]"
        lines.append(f"| {fault.wrong} | {sentence(fault)} | `{test}`{' *slow*' * fault.slow} |")
    return "\n".join(lines)


text = "\n\n".join([HEAD.strip(), *(table(kind) for kind in KINDS)]) + "\n"
if "--check" not in sys.argv[1:]:
    target.write_text(text, encoding="utf-8")
elif (old := target.read_text(encoding="utf-8")) != text:
    sys.stdout.writelines(
        difflib.unified_diff(
            old.splitlines(True), text.splitlines(True), "nbs/faults.md", "tests/test_faults.py"
        )
    )
    sys.exit("nbs/faults.md is not what tests/test_faults.py says; write it with: python tools/faults.py")
