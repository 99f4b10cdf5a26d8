"""Write the pages of the site, as sources for Sphinx: python docs/pages.py [FOLDER].

Every notebook becomes a page. nbdev's processors leave out hidden cells and add the entries of what is
exported; the entries are written from the modules as they are imported, so that no notebook has to run.
"""

import importlib
import inspect
import re
import shutil
import sys
from itertools import groupby
from pathlib import Path

import nbformat
from nbdev import processors
from nbdev.config import get_config
from nbdev.process import NBProcessor

from motionrepro.claims import ledger
from motionrepro.figures.overview import load_manifest

root = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root / "tools"), str(root / "docs")]
from claim_pages import PAPERS, claim_list, details, overview, verdict  # noqa: E402
from entries import entry  # noqa: E402
import explorer_page  # noqa: E402
from links import Names, link_claims, link_pages  # noqa: E402
from readme import verdict_counts  # noqa: E402

PARTS = {  # tens of the chapters' numbers -> folder, title
    "0": ("foundations", "Foundations"),
    "1": ("data", "Data"),
    "2": ("models", "Base models"),
    "3": ("temporal", "Paper A: temporal attention"),
    "4": ("reuse", "Paper B: denoising reuse"),
    "5": ("metrics", "Metrics"),
    "6": ("training", "Training"),
    "7": ("studies", "Studies"),
    "8": ("claims", "Claims"),
    "9": ("figures", "Drawing"),
}
FRONT = ("index.ipynb", "tutorial.ipynb")  # before the chapters
EXPLORER = "explorer.md"  # a page only where there are clips for it
TEXTS = ("paper_a.md", "paper_b.md", EXPLORER, "howto.md", "faults.md")


def notebooks() -> list:  # of paths
    """List the front page and the tutorial, the chapters in the book's order, and the figures."""
    chapters = sorted((root / "nbs").rglob("[0-9]*.ipynb"), key=lambda p: p.name)
    figures = sorted((root / "paper_figures").glob("*.ipynb"))
    found = [*(root / "nbs" / name for name in FRONT), *chapters, *figures]
    return [p for p in found if ".ipynb_checkpoints" not in p.parts]


def page_of(
    path: Path,  # of a notebook or text
) -> str:
    """Name the page where nbdev expects it: without the number that the notebook's name begins with."""
    name = path.relative_to(root)
    if name.parts[0] == "nbs":
        name = name.relative_to("nbs")
        name = name.with_name(re.sub(r"^\d+[a-z]*_", "", name.name))
    return name.as_posix()


def all_pages() -> dict:  # file or folder of the checkout -> name of its page
    """Map what links may lead to."""
    pages = {p.relative_to(root).as_posix(): page_of(p) for p in notebooks()}
    pages |= {f"nbs/{name}": name for name in TEXTS}
    pages |= {p.relative_to(root).as_posix(): f"images/{p.name}" for p in (root / "nbs/images").iterdir()}
    pages |= {f"nbs/{folder}": f"{folder}/index.md" for folder, _ in PARTS.values()}
    return pages | {"paper_figures": "paper_figures/index.md"}


def heading_and_line(path: Path) -> tuple:
    """Read a notebook's title and the line below it."""
    cell = nbformat.read(path, as_version=4).cells[0].source
    title, *rest = cell.split("\n")
    line = " ".join(text[1:].strip() for text in rest if text.startswith(">"))
    return title.removeprefix("# "), line


def picture_texts(cell, fallback: str):
    """Give the pictures of a cell an alternative text: its directive `fig-alt`, or what is above it."""
    said = cell.directives_.get("fig-alt:", [])
    cell.metadata["mystnb"] = dict(image=dict(alt=" ".join(said) or fallback))


def chapter(
    path: Path,  # of a notebook
) -> nbformat.NotebookNode:
    """Return a notebook as the site shows it."""
    steps = [processors.add_show_docs, processors.strip_ansi, processors.hide_line, processors.hide_]
    made = NBProcessor(path, procs=[processors.populate_language, *steps])
    made.process()
    module = re.search(r"#\|\s*default_exp ([\w.]+)|$", path.read_text(encoding="utf-8"))[1]
    cells = []
    above = path.stem  # the last heading
    code_at = 0  # of the last code cell
    for cell in made.nb.cells:
        if "default_exp" in cell.directives_:
            continue
        if cell.cell_type == "markdown":
            above = (re.findall(r"^#+ (.*)$", cell.source, re.M) or [above])[-1]
        elif name := re.fullmatch(r"show_doc\((.*)\)", cell.source):
            cell = nbformat.v4.new_markdown_cell(entry_of(name[1], f"motionrepro.{module}"))
            cells.insert(code_at, cell)  # before the code; nbdev has the last name first
            continue
        else:
            code_at = len(cells)
            picture_texts(cell, above)
            if "export" in cell.directives_:
                cell.metadata["tags"] = ["hide-input"]
        cells.append(nbformat.from_dict({k: v for k, v in cell.items() if not k.endswith("_")}))
    language = dict(name="python", pygments_lexer="ipython3")
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(language_info=language))


def entry_of(name: str, module: str) -> str:
    """Write the entry of something that a notebook exports."""
    thing = getattr(importlib.import_module(module), name)
    return entry(name, inspect.unwrap(thing), module)


def contents(title: str, listed: list, said: str = "") -> str:
    """Write the page of a part: its pages, each with a line."""
    lines = [f"- [{heading}](/{page})" + (f"\\\n  {line}" if line else "") for page, heading, line in listed]
    pages = "\n".join(f"/{Path(page).with_suffix('')}" for page, *_ in listed)
    toctree = f"```{{toctree}}\n:hidden:\n{pages}\n```"
    return "\n\n".join([f"# {title}", said, "\n".join(lines), toctree]) + "\n"


def front_toctrees(
    with_explorer: bool,  # whether there are clips for it
) -> str:
    """Write the site's table of contents, which stands on the front page and is shown at the side."""
    parts = "\n".join(f"{folder}/index" for folder, _ in PARTS.values())
    explorer = [EXPLORER.removesuffix(".md")] if with_explorer else []
    in_short = ["paper_a", "paper_b", "tutorial", *explorer, "ledger/index", "paper_figures/index"]
    sections = {
        "In short": "\n".join(in_short),
        "The book": parts,
        "Reference": "howto\ninterface\nfaults",
    }
    texts = [f"```{{toctree}}\n:hidden:\n:caption: {name}\n{pages}\n```" for name, pages in sections.items()]
    return "\n\n".join(texts)


class Site:
    """Collect all pages, and write them."""

    def __init__(
        self,
        folder: Path,
        clips: Path = None,  # of the explorer; default: the stored ones
    ):
        self.folder = folder
        self.clips = clips
        self.manifest, self.without_explorer = explorer_page.stored(clips)
        self.pages = all_pages()
        self.names = Names()
        self.rows = {row["id"]: row for row in ledger()}
        self.figures = load_manifest(root / "paper_figures")

    def linked(self, text: str, source: Path, page: str) -> str:
        """Link names, claims and pages in a text."""
        text = self.names.linkify(link_pages(text, source, page, self.pages, root))
        return self.with_claims(link_claims(text))

    def with_claims(self, text: str) -> str:
        """Put stored results where a text asks for them: `<!-- claims A01 A02 -->`."""

        def one(match):
            return claim_list([self.rows[id] for id in match[1].split()])

        text = text.replace("<!-- verdict counts -->", verdict_counts(self.rows.values()))
        moving = explorer_page.front(self.manifest) if self.manifest else ""
        text = text.replace("<!-- moving pictures -->", moving)
        return re.sub(r"<!-- claims ([ABX\d ]+?) -->", one, text)

    def write(self, page: str, text: str):
        """Write a page that is text."""
        target = self.folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def notebook(self, path: Path):
        """Write a notebook's page."""
        page = page_of(path)
        notebook = chapter(path)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = self.linked(cell.source, path, page)
        figure = next((f for f in self.figures if f.notebook == path.name), None)
        if figure:
            notebook.cells.insert(1, nbformat.v4.new_markdown_cell(self.about(figure)))
        if page == "index.ipynb":
            notebook.cells.append(nbformat.v4.new_markdown_cell(front_toctrees(bool(self.manifest))))
        self.write(page, nbformat.writes(notebook))

    def about(self, figure) -> str:
        """Say where a figure belongs, and what came out."""
        said = [figure.place, f"The paper: {figure.says}" if figure.says else ""]
        said.append(claim_list([self.rows[id] for id in figure.claims]) if figure.claims else "")
        return "\n\n".join(text for text in said if text)

    def parts(self):
        """Write the page of each part of the book, and of the figures."""
        chapters = [p for p in notebooks()[len(FRONT) :] if p.parent.name != "paper_figures"]
        for tens, paths in groupby(chapters, key=lambda p: p.name[0]):
            folder, title = PARTS[tens]
            listed = [(page_of(p), *heading_and_line(p)) for p in paths]
            self.write(f"{folder}/index.md", self.names.linkify(contents(title, listed)))
        figures = []
        for f in self.figures:
            rows = [self.rows[id] for id in f.claims]
            said = [f.place, *(f"[{row['id']}](#{row['id']}) {verdict(row)}" for row in rows)]
            figures.append((f"paper_figures/{f.notebook}", f.title, " · ".join(filter(None, said))))
        said = "Each has the paper's value beside ours, and the verdict. `make figures` draws them."
        self.write("paper_figures/index.md", contents("The figures", figures, said))

    def ledger(self):
        """Write the ledger and the pages of its claims."""
        rows = list(self.rows.values())
        self.write("ledger/index.md", overview(rows, verdict_counts(rows)))
        stored = f"{get_config().git_url}/blob/{get_config().branch}/motionrepro/assets/claims"
        for letter, (page, title) in PAPERS.items():
            texts = [f"# {title}, claim by claim"]
            for row in (row for row in rows if row["id"][0] == letter):
                shown = [f for f in self.figures if row["id"] in f.claims]
                texts.append(details(row, shown, f"{stored}/{row['id']}.json"))
            self.write(f"ledger/{page}.md", "\n\n".join(texts) + "\n")

    def explorer(self):
        """Write the page of stored clips, or say why there is none."""
        if self.manifest is None:
            print(f"no explorer: {self.without_explorer}")
            return
        source = root / "nbs" / EXPLORER
        text = self.linked(source.read_text(encoding="utf-8"), source, EXPLORER)
        self.write(EXPLORER, explorer_page.page(text, self.rows, self.manifest))
        explorer_page.write_files(self.folder, self.clips, self.manifest)

    def interface(self):
        """Write the page of all modules with their names."""
        lines = [
            "# The interface, by module",
            "Each name leads to its entry in the chapter that explains it.",
        ]
        for module in self.names.modules:
            names = [n for n in public_names(module) if f"{module}.{n}" in self.names.full]
            if names:
                thing = importlib.import_module(module)
                lines += [f"## {module.removeprefix('motionrepro.')}", listed_names(thing, names)]
        self.write("interface.md", "\n\n".join(lines) + "\n")

    def build(self):
        """Write all pages anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(root / "nbs" / "images", self.folder / "images")
        for path in notebooks():
            self.notebook(path)
        for name in (name for name in TEXTS if name != EXPLORER):
            source = root / "nbs" / name
            self.write(name, self.linked(source.read_text(encoding="utf-8"), source, name))
        self.parts()
        self.explorer()
        self.ledger()
        self.interface()
        print(f"{len(list(self.folder.rglob('*.ipynb'))) + len(list(self.folder.rglob('*.md')))} pages")


def public_names(module: str) -> list:
    """List the functions and classes that a module offers."""
    thing = importlib.import_module(module)
    return [n for n in getattr(thing, "__all__", []) if callable(getattr(thing, n))]


def listed_names(module, names: list) -> str:
    """List names, each with the first line of its docstring."""
    lines = []
    for name in names:
        line = (inspect.getdoc(getattr(module, name)) or "").split("\n\n")[0].replace("\n", " ")
        lines.append(f"- [`{name}`](#{module.__name__}.{name}): {line}")
    return "\n".join(lines)


if __name__ == "__main__":
    Site(Path(sys.argv[1] if len(sys.argv) > 1 else root / "_proc").resolve()).build()
