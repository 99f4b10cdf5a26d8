"""Draw figures in the paper profile on a base of one's own, in a small size: notebooks are the arguments.

Run by `test_own_base.py` in a process of its own. What each notebook prints goes to standard output.
"""

import sys
from dataclasses import replace
from pathlib import Path

from execnb.nbio import read_nb
from execnb.shell import CaptureShell

from motionrepro import profiles

profiles.PROFILES["paper"] = replace(profiles.PROFILES["paper"], size=64, clips=4, steps=6, seeds=1)
for notebook in sys.argv[1:]:
    CaptureShell(path=Path(notebook).parent).run_all(read_nb(notebook), exc_stop=True)
    print("drawn:", Path(notebook).name, flush=True)
