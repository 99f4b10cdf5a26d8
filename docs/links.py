"""Links of the notebooks, turned into links between pages."""

import os
import posixpath
import re
from pathlib import Path

from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup

from motionrepro.claims import CLAIMS

# What is not prose: code, formulas, links, HTML and headings.
NOT_PROSE = r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|!?\[[^\]]*\]\([^)]*\)|<[^<>]*>|^#[^\n]*$"
CODE_OR_FORMULA = r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$"
LINK = r"(?P<before>\]\(|src=\")(?P<target>[^)\"\s]+)"


def anchor(
    heading: str,  # its text
) -> str:
    """Name a heading as links in notebooks do, but for capitals."""
    return heading.strip().replace(" ", "-").lower()


def outside(
    skipped: str,  # pattern of what stays as it is
    pattern: str,
    replace,  # match -> text
    text: str,
) -> str:
    """Replace what matches a pattern outside of what matches another one."""

    def one(match):
        return match[0] if match["skipped"] is not None else replace(match)

    return re.sub(f"(?P<skipped>{skipped})|{pattern}", one, text, flags=re.M | re.S)


class Names(NbdevLookup):
    """Know the package's public names, and link those in backticks to their entries on this site."""

    def __init__(self):
        super().__init__(incl_libs=get_config().lib_name)
        self.full = {}  # what one may write -> module and name
        for name in (n for n in self.syms if n.startswith("motionrepro.")):
            module = max((m for m in self.modules if name.startswith(f"{m}.")), key=len)
            short = name.removeprefix(f"{module}.")
            if not any(part.startswith("_") for part in short.split(".")):
                self.full[name] = name
                self.full.setdefault(short, name)

    @property
    def modules(self) -> dict:  # name -> its symbols
        """Return the package's modules, in alphabetical order."""
        return self.entries["motionrepro"]["syms"]

    def doc(self, sym):
        """Link to the entry of a name; None where there is none."""
        return f"#{self.full[sym]}" if sym in self.full else None

    def linkify(self, md):
        """Link the names in backticks that are not in links or headings already."""
        skipped = r"```.*?```|\$\$.*?\$\$|!?\[[^\]]*\]\([^)]*\)|^#[^\n]*$"
        return outside(skipped, r"`[^`\s]+`", lambda match: self.link_line(match[0]), md)


def link_claims(text: str) -> str:
    """Link ids of claims to the ledger."""
    return outside(
        NOT_PROSE, r"\b[ABX]\d\d\b", lambda m: f"[{m[0]}](#{m[0]})" if m[0] in CLAIMS else m[0], text
    )


def link_pages(
    text: str,
    source: Path,  # of the text, in the checkout
    page: str,  # its name on the site
    pages: dict,  # file or folder of the checkout -> name of its page
    root: Path,  # the checkout
) -> str:
    """Turn relative links into links to pages, or where a file has none, to the repository."""
    cfg = get_config()

    def one(match):
        target, _, heading = match["target"].partition("#")
        heading = f"#{heading.lower()}" if heading else ""
        if re.match(r"[a-z]+:", match["target"]) or target.startswith("/"):
            return match[0]
        if not target:
            return match["before"] + heading
        name = Path(os.path.normpath(source.parent / target)).relative_to(root).as_posix()
        if name not in pages:
            return f"{match['before']}{cfg.git_url}/blob/{cfg.branch}/{name}"
        return match["before"] + posixpath.relpath(pages[name], posixpath.dirname(page) or ".") + heading

    return outside(CODE_OR_FORMULA, LINK, one, text)
