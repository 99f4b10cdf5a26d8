"""Check a site that was built: python tools/check_docs.py FOLDER.

Links inside the site lead to a page and a place there, formulas are rendered, pictures have a text, nothing
is fetched from elsewhere, and "next" leads from the front page through all pages. If there is a Chromium,
it renders every formula, and those that MathJax refuses are named.
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

GENERATED = {"genindex.html", "search.html", "py-modindex.html"}  # Sphinx's own, without "next"
UNRENDERED = re.compile(r"\$\$(?:[^$]*\$\$)?|\\\(|\\\[|\$[^\s$](?:[^$]*[^\s$])?\$")
SILENT = {"script", "style", "code", "pre", "title", "textarea"}  # whose text is no prose
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """Collect from a page what has to be checked."""

    def __init__(self, text: str):
        super().__init__()
        self.ids = set()
        self.links = []
        self.pictures = []  # (address, text)
        self.fetched = []
        self.prose = []
        self.formulas = []
        self.next = None  # address of the page that follows
        self.open = []  # elements around the text: (name, whether it is prose, whether it is a formula)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        classes = (attributes.get("class") or "").split()
        if attributes.get("id"):
            self.ids.add(attributes["id"])
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag == "link" and attributes.get("rel") == "next":
            self.next = attributes.get("href")
        if tag == "link" and attributes.get("rel") in ("stylesheet", "preload", "icon"):
            self.fetched.append(attributes.get("href") or "")
        if tag in ("img", "script", "source", "video", "iframe") and attributes.get("src"):
            self.fetched.append(attributes["src"])
        if tag == "img":
            self.pictures.append((attributes.get("src") or "", (attributes.get("alt") or "").strip()))
        is_formula = "math" in classes and tag in ("span", "div")
        if is_formula:
            self.formulas.append("")
        _, prose, formula = self.open[-1] if self.open else ("", True, False)
        if tag not in VOID:
            self.open.append((tag, prose and tag not in SILENT and not is_formula, formula or is_formula))

    def handle_endtag(self, tag):
        while tag in [name for name, *_ in self.open] and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        _, prose, formula = self.open[-1] if self.open else ("", True, False)
        if formula:
            self.formulas[-1] += data
        elif prose:
            self.prose.append(data)


def read_site(folder: Path) -> dict:  # relative name -> `Page`
    """Read all pages of a site."""
    files = sorted(p for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts)
    return {p.relative_to(folder).as_posix(): Page(p.read_text(encoding="utf-8")) for p in files}


def target_of(
    name: str,  # of the page with the link
    link: str,
) -> tuple | None:  # name of the file and place in it; None if the link leaves the site
    """Find where a link leads."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    if not path:
        return name, unquote(parts.fragment)
    target = os.path.normpath(os.path.join(os.path.dirname(name), path))
    return (f"{target}/index.html" if path.endswith("/") else target), unquote(parts.fragment)


def broken_links(folder: Path, pages: dict) -> list:
    """Name links and files of pages that lead nowhere."""
    faults = []
    for name, page in pages.items():
        for link in dict.fromkeys([*page.links, *page.fetched]):
            found = target_of(name, link)
            if found is None:
                continue
            target, place = found
            if not (folder / target).is_file():
                faults.append(f"{name}: {link} does not exist")
            elif place and target in pages and place not in pages[target].ids:
                faults.append(f"{name}: {link}: there is no such place on that page")
    return faults


def foreign_files(pages: dict) -> list:
    """Name what pages fetch from elsewhere: the site must work without a network."""
    return [
        f"{name}: fetches {link}"
        for name, page in pages.items()
        for link in page.fetched
        if urlsplit(link).netloc
    ]


def pictures_without_text(pages: dict) -> list:
    """Name pictures whose alternative text is missing or a file's name."""
    return [
        f"{name}: picture {source} has no text"
        for name, page in pages.items()
        for source, text in page.pictures
        if not text or text == source or re.fullmatch(r"\S+\.(png|svg|gif|jpe?g|webp)", text)
    ]


def unrendered_formulas(pages: dict) -> list:
    """Name formulas that stand as text, and pages with formulas but without MathJax."""
    faults = []
    for name, page in pages.items():
        text = re.sub(r"\s+", " ", " ".join(page.prose))
        faults += [
            f"{name}: unrendered: {text[m.start() : m.start() + 60]}" for m in UNRENDERED.finditer(text)
        ]
        if page.formulas and not any("mathjax" in f.lower() or "tex-" in f for f in page.fetched):
            faults.append(f"{name}: has formulas, but no MathJax")
    return faults


def lost_pages(pages: dict) -> list:
    """Name pages that "next" does not reach from the front page: the table of contents lacks them."""
    seen = set()
    name = "index.html"
    while name in pages and name not in seen:
        seen.add(name)
        following = pages[name].next
        name = target_of(name, following)[0] if following else None
    return [f"{name}: is not in the table of contents" for name in pages.keys() - seen - GENERATED]


def refused_formulas(folder: Path, pages: dict, browser: str) -> list:
    """Let a browser render every formula once, and name those that MathJax refuses."""
    formulas = sorted({f for page in pages.values() for f in page.formulas})
    script = next((f for page in pages.values() for f in page.fetched if "tex-" in f), None)
    if not formulas or script is None:
        return []
    source = (folder / "_static" / Path(urlsplit(script).path).name).resolve().as_uri()
    body = "".join(f"<p>{html.escape(f)}</p>\n" for f in formulas)
    with tempfile.TemporaryDirectory() as place:
        page = Path(place) / "formulas.html"
        page.write_text(f'<meta charset="utf-8"><script src="{source}"></script>{body}', encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place}/user"]
        command += ["--virtual-time-budget=600000", "--dump-dom", page.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=600).stdout
    rendered = re.findall(r"<p>(.*?)</p>", shown, re.S)
    faults = [] if len(rendered) == len(formulas) else [f"{browser} showed no formulas"]
    for formula, result in zip(formulas, rendered):
        if "<mjx-container" not in result or "merror" in result:
            faults += [
                f"{name}: MathJax refuses {formula}"
                for name, page in pages.items()
                if formula in page.formulas
            ]
    return faults


def check(folder: Path, browser: str | None = None) -> list:  # of sentences, one for each fault
    """Check a site."""
    pages = read_site(folder)
    faults = [] if "index.html" in pages else [f"{folder} has no index.html"]
    faults += [*broken_links(folder, pages), *foreign_files(pages), *pictures_without_text(pages)]
    faults += [*unrendered_formulas(pages), *lost_pages(pages)]
    return faults + (refused_formulas(folder, pages, browser) if browser else [])


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    folder = Path(sys.argv[1])
    faults = check(folder, browser)
    print("\n".join(faults))
    formulas = "formulas rendered in a browser" if browser else "no browser to render formulas in"
    print(f"{len(list(folder.rglob('*.html')))} pages checked, {len(faults)} faults; {formulas}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
