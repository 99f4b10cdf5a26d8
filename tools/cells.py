"""Put cells into a notebook, from text on the standard input.

python tools/cells.py NOTEBOOK < CELLS                     # a new notebook
python tools/cells.py NOTEBOOK --before HEADING < CELLS    # into one that is there, above a heading

The text is in the percent format that editors and jupytext know: a line `# %%` begins a code cell,
`# %% [markdown]` a cell of text, whose lines begin with `# `.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

EXPORT = "#|hide\nimport nbdev\n\nnbdev.nbdev_export()"  # how every notebook of nbs/ ends
KERNEL = dict(display_name="python3", language="python", name="python3")


def cells_of(text: str) -> list:
    """Split text in the percent format into cells."""
    before, *parts = re.split(r"^# %%(.*)\n", text, flags=re.M)
    if before.strip() or not parts:
        sys.exit("the text must begin with a line `# %%` or `# %% [markdown]`")
    cells = []
    for kind, source in zip(parts[::2], parts[1::2]):
        if kind.strip() == "[markdown]":
            cells.append(new_markdown_cell(re.sub(r"^# ?", "", source.strip(), flags=re.M)))
        elif not kind.strip():
            cells.append(new_code_cell(source.strip()))
        else:
            sys.exit(f"a cell begins with `# %%` or `# %% [markdown]`, not with `# %%{kind}`")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--before", metavar="HEADING", help="such as '## Bad input'")
    asked = parser.parse_args()
    cells = cells_of(sys.stdin.read())
    if asked.before is None:
        if asked.notebook.exists():
            sys.exit(f"{asked.notebook} is there; say --before which heading the cells belong")
        notebook = new_notebook(cells=[*cells, new_code_cell(EXPORT)], metadata=dict(kernelspec=KERNEL))
    else:
        notebook = nbformat.read(asked.notebook, as_version=4)
        places = [i for i, c in enumerate(notebook.cells) if c.source.splitlines()[:1] == [asked.before]]
        if len(places) != 1:
            sys.exit(
                f"{asked.notebook} has {len(places)} cells that begin with {asked.before!r}; 1 is needed"
            )
        notebook.cells[places[0] : places[0]] = cells
    nbformat.write(notebook, asked.notebook)


if __name__ == "__main__":
    main()
