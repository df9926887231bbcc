"""Entry of `python -m hack.bench`."""

import sys

from hack.bench import cli

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
