"""The command line `python -m hack.cluster`."""

import argparse
import signal
import sys
from collections.abc import Sequence

from hack.cluster import binaries, components, foreground, nodecli


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; raises ClusterError."""
    # SIGTERM unwinds as Ctrl-C does, so that what was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build binaries into the cache, print their paths")
    build.add_argument("names", nargs="*", metavar="NAME", help="all of them if none is named")
    build.set_defaults(run=_build)

    control_plane = commands.add_parser(
        "control-plane", help="run etcd, API server and controller manager until Ctrl-C"
    )
    control_plane.set_defaults(run=foreground.run)

    nodecli.add(commands)
    return parser


def _build(options: argparse.Namespace) -> int:
    for name, path in binaries.ensure(*(options.names or components.NAMES)).items():
        sys.stdout.write(f"{name} {path}\n")
    return 0
