"""Write README.md from nbs/index.ipynb, or with --check say whether it is current."""

import difflib
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

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
    return note + "\n\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


text = readme()
if "--check" not in sys.argv[1:]:
    target.write_text(text, encoding="utf-8")
elif (old := target.read_text(encoding="utf-8")) != text:
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), text.splitlines(True), "README.md", "nbs/index.ipynb")
    )
    sys.exit("README.md is not what nbs/index.ipynb says; write it with: make readme")
