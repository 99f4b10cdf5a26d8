"""Import every module in a process of its own, outside the checkout and without a network.

They are forked from one that has imported heavy libraries and nothing of the package: seconds, not minutes.
"""

import importlib
import os
import socket
import sys
import traceback
from pathlib import Path

root = Path(__file__).resolve().parent.parent
heavy = ("numpy", "torch", "diffusers", "transformers", "accelerate", "matplotlib")


def refuse(*args, **kwargs):
    """Stand in for whatever opens a connection."""
    raise OSError("this code must not touch the network")


def imports(module):
    """Tell whether `module` imports in a forked process; its traceback goes to stderr."""
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(module)
        except BaseException:
            print(f"{module}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
paths = sorted((root / "motionrepro").rglob("*.py"))
modules = [".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for p in paths]
sys.path.insert(0, str(root))
os.chdir("/")
for library in heavy:
    importlib.import_module(library)
assert not any(name.startswith("motionrepro") for name in sys.modules)
failed = [module for module in modules if not imports(module)]
print(f"{len(modules) - len(failed)} of {len(modules)} modules import by themselves")
sys.exit(bool(failed))
