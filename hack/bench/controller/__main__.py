"""Entry of `python -m hack.bench.controller`."""

import sys

from hack.bench.controller import commandline

if __name__ == "__main__":
    sys.exit(commandline.main(sys.argv[1:]))
