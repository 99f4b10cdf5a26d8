"""`python -m motionrepro`: the command line."""

import sys

from motionrepro.cli import main

if __name__ == "__main__":
    sys.exit(main())
