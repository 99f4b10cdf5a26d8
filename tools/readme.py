"""Write README.md from nbs/index.ipynb and the ledger, or with --check say whether it is current."""

import difflib
import re
import sys
from collections import Counter
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

from motionrepro.claims import DECISIONS, ledger

root = Path(__file__).resolve().parent.parent
source = root / "nbs" / "index.ipynb"
target = root / "README.md"
note = "<!-- Written by `make readme` from nbs/index.ipynb: edit that. -->"


def from_root(match):
    """A relative link of the notebook, which lies in nbs/, as seen from the top."""
    before, link = match.groups()
    if re.match(r"[a-z]+:|#|/", link):
        return match[0]
    return before + (link[3:] if link.startswith("../") else f"nbs/{link}")


def verdict_counts(all_rows):
    """How many claims have which verdict, as a table; those decided by earlier code are counted apart."""
    papers = dict(A="paper A", B="paper B", X="our own questions")
    lines = [f"| | {' | '.join(DECISIONS)} |", "|---|" + "---|" * len(DECISIONS)]
    for letter, name in papers.items():
        rows = [row for row in all_rows if row["id"].startswith(letter)]
        current, stale = (Counter(r["verdict"] for r in rows if r["stale"] == old) for old in (False, True))
        cells = [f"{current[v]} + {stale[v]} stale" if stale[v] else str(current[v]) for v in DECISIONS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def readme():
    """The notebook's text and code; hidden cells and nbdev's directives stay out."""
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata["language_info"] = dict(name="python")
    notebook.cells = [c for c in notebook.cells if not re.match(r"#\|\s*hide", c.source)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"^#\|.*\n", "", cell.source, flags=re.M)
        else:
            cell.source = re.sub(r"(\]\(|src=\")([^)\"\s]+)", from_root, cell.source)
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    if resources["outputs"]:
        sys.exit("nbs/index.ipynb has pictures in its output; link to files instead")
    text = text.replace("<!-- verdict counts -->", verdict_counts(ledger()))
    return note + "\n\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def main():
    """Write the file, or compare it."""
    text = readme()
    if "--check" not in sys.argv[1:]:
        target.write_text(text, encoding="utf-8")
    elif (old := target.read_text(encoding="utf-8")) != text:
        sys.stdout.writelines(
            difflib.unified_diff(old.splitlines(True), text.splitlines(True), "README.md", "nbs/index.ipynb")
        )
        sys.exit("README.md is not what nbs/index.ipynb says; write it with: make readme")


if __name__ == "__main__":
    main()
