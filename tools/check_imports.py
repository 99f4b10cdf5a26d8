"""Import every exported module in a fresh interpreter, outside the checkout and without a network."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

root = Path(__file__).resolve().parent.parent
paths = sorted((root / "motionrepro").rglob("*.py"))
modules = [".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for p in paths]


def error_of(module):
    """What importing `module` by itself prints, empty if it works."""
    command = [sys.executable, str(root / "tools" / "offline.py"), f"import {module}"]
    run = subprocess.run(command, cwd="/", capture_output=True, text=True)
    return (run.stderr or f"status {run.returncode}") if run.returncode else ""


with ThreadPoolExecutor(os.cpu_count()) as pool:
    failed = {m: e for m, e in zip(modules, pool.map(error_of, modules)) if e}
for module, error in failed.items():
    print(f"{module}:\n{error}", file=sys.stderr)
print(f"{len(modules) - len(failed)} of {len(modules)} modules import by themselves")
sys.exit(bool(failed))
