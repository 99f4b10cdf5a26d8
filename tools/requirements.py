"""Print what settings.ini requires, for pip.

python tools/requirements.py lowest   # constraints: the lowest version of each that is claimed to work
python tools/requirements.py torch    # torch and torchvision, which other indexes have without CUDA
"""

import configparser
import re
import sys
from pathlib import Path

SETTINGS = Path(__file__).resolve().parent.parent / "settings.ini"


def requirements(settings=SETTINGS) -> list:
    """Read the requirements of users."""
    config = configparser.ConfigParser(delimiters=["="])
    config.read(settings, encoding="utf-8")
    return config["DEFAULT"]["requirements"].split()


def lowest(needed: list) -> list:
    """Turn lower bounds into constraints of exactly these versions."""
    pinned = []
    for requirement in needed:
        bound = re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement)
        if bound is None:
            raise SystemExit(f"{requirement!r} in settings.ini is not of the form name>=version")
        pinned.append("{}=={}".format(*bound.groups()))
    return pinned


def main():
    kinds = dict(
        lowest=lambda: lowest(requirements()),
        torch=lambda: [r for r in requirements() if re.match("torch(vision)?>=", r)],
    )
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        raise SystemExit(__doc__)
    print("\n".join(kinds[sys.argv[1]]()))


if __name__ == "__main__":
    main()
