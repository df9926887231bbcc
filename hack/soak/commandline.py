"""The command line `python -m hack.soak`."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import fields

from controller.log import configure_logging
from hack.bench.table import aligned
from hack.cluster import cache
from hack.cluster.errors import ClusterError
from hack.soak.client import Habit
from hack.soak.fleet import Terms
from hack.soak.run import Result, Soak

_SHOWN = 20
"""Failures that are printed."""


def main(arguments: Sequence[str]) -> int:
    """Do the run and print what came of it; 1 if a handshake failed or something broke."""
    configure_logging("warning", "console")
    try:
        with cache.scratch("soak") as folder:
            result = Soak(folder, terms(arguments), say).run()
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(render(result))
    return 1 if result.shaken.failures or result.broken else 0


def terms(arguments: Sequence[str]) -> Terms:
    """Read the flags: one for each of the terms."""
    parser = argparse.ArgumentParser(prog="python -m hack.soak", description=__doc__)
    for field in fields(Terms):
        default = getattr(Terms(), field.name)
        parser.add_argument(f"--{field.name}", type=type(default), default=default)
    return dataclasses.replace(Terms(), **vars(parser.parse_args(arguments)))


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def render(result: Result) -> str:
    """Return the figures for a person, and the first of the failures."""
    made, failures = result.shaken.made, result.shaken.failures
    metrics = result.metrics
    writes = {
        method: metrics.total("rest_client_requests_total", method=method)
        for method in ("POST", "PATCH", "GET")
    }
    rows = [
        ("storages", str(result.terms.storages)),
        ("life of a leaf, of an authority", f"{result.terms.leaf} s, {result.terms.authority} s"),
        ("seconds under load", f"{result.seconds:.0f}"),
        ("renewals by time of both leaves", f"{result.renewals} (fewest: {result.fewest[0]})"),
        ("rotations", f"{result.rotations} (fewest: {result.fewest[1]})"),
        *((f"handshakes, {habit.value}", f"{made[habit]:,}") for habit in Habit),
        ("failed handshakes", str(len(failures))),
        ("slowest handshake with its read", f"{result.shaken.slowest:.1f} s"),
        *((f"requests of the controller: {verb}", f"{n:,.0f}") for verb, n in writes.items()),
        *((f"processor: {name}", f"{used:.0f} s") for name, used in result.processors.items()),
    ]
    return "\n".join([aligned(rows), *failures[:_SHOWN], *result.broken[:_SHOWN]])
