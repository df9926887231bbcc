"""The command line `python -m hack.bench.dataplane`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from hack.bench import authchurn
from hack.bench.dataplane import facts, neighbour
from hack.cluster import cache
from hack.cluster.errors import ClusterError

PACED_USERS = 100
"""Made at the keeper's pace, 20 s, among the thousand; authchurn by itself takes its time."""
QUIET = 10.0
"""Seconds without any made."""


def api(folder: Path) -> str:
    """What a tenant reaches, how long its API server waits, what its pods take."""
    measured = facts.measure(folder)
    return f"{facts.render(measured)}\n\n{facts.render_memory(measured)}"


def neighbours(folder: Path) -> str:
    """What one tenant feels of another at full load."""
    return neighbour.render(neighbour.measure(folder, ("Proxy", "Direct")))


def users(folder: Path) -> str:
    """What one tenant feels of users being made."""
    # The keeper logs what it does.
    with redirect_stdout(sys.stderr):
        felt = authchurn.measure(folder, paced=PACED_USERS, quiet=QUIET)
    return authchurn.render(felt)


Part = Callable[[Path], str]
PARTS: dict[str, Part] = {"api": api, "neighbour": neighbours, "users": users}


def main(arguments: Sequence[str]) -> int:
    """Measure the parts named, all if none is, and print the table of each."""
    parser = argparse.ArgumentParser(prog="python -m hack.bench.dataplane", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    wanted = parser.parse_args(arguments).parts or [*PARTS]
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    try:
        for name in wanted:
            sys.stderr.write(f"measuring: {name}\n")
            with cache.scratch("bench-dataplane") as folder:
                print(f"{PARTS[name](folder)}\n", flush=True)
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
