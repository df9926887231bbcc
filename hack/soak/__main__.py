"""Entry of `python -m hack.soak`."""

import sys

from hack.soak import commandline

if __name__ == "__main__":
    sys.exit(commandline.main(sys.argv[1:]))
