"""Entry of `python -m hack.chaos`."""

import sys

from hack.chaos import commandline

if __name__ == "__main__":
    sys.exit(commandline.main(sys.argv[1:]))
