"""The command line `python -m hack.bench`."""

import argparse
import sys
from collections.abc import Sequence

from hack.bench import parts
from hack.bench.table import Row, render
from hack.cluster import cache
from hack.cluster.errors import ClusterError


def main(arguments: Sequence[str]) -> int:
    """Measure the parts named, all if none is, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(parts.ALL)}; all by default"
    )
    wanted = parser.parse_args(arguments).parts or [*parts.ALL]
    if unknown := set(wanted) - set(parts.ALL):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    try:
        with cache.scratch("bench") as folder:
            for name in wanted:
                sys.stderr.write(f"measuring: {name}\n")
                rows += parts.ALL[name](parts.Sizes(), folder)
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(render(rows))
    return 0
