"""Refuse a tag that is not the version, or whose version the changelog and the citation do not have.

python tools/release.py v0.1.0    # prints the release's notes
"""

import configparser
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def notes(changelog: str, version: str) -> tuple:
    """Return the date and the text of a version's section; None and "" where there is none."""
    heading = rf"^## {re.escape(version)} \((\d{{4}}-\d\d-\d\d)\)\n"
    found = re.search(heading + r"(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    return (found.group(1), found.group(2).strip()) if found else (None, "")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tag = sys.argv[1]
    config = configparser.ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    version = config["DEFAULT"]["version"]
    if tag != f"v{version}":
        sys.exit(f"the tag is {tag!r}, and settings.ini has version {version}: it must be 'v{version}'")
    date, text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not text:
        sys.exit(f"CHANGELOG.md has no section '## {version} (YYYY-MM-DD)' with notes")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    for line in (f"version: {version}", f"date-released: {date}"):
        if line not in citation:
            sys.exit(f"CITATION.cff has no line {line!r}")
    print(text)


if __name__ == "__main__":
    main()
