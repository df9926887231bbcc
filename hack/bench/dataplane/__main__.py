"""Entry of `python -m hack.bench.dataplane`."""

import sys

from hack.bench.dataplane import commandline

if __name__ == "__main__":
    sys.exit(commandline.main(sys.argv[1:]))
