"""The command line `python -m hack.chaos`."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import fields

from controller.log import configure_logging
from hack.bench.table import aligned
from hack.chaos.churn import Churn, Sample
from hack.chaos.run import Chaos, Result, Terms
from hack.cluster import cache
from hack.cluster.errors import ClusterError

_SHOWN = 20
"""Faults that are printed."""


def main(arguments: Sequence[str]) -> int:
    """Do the run and print what came of it; 1 if something was not as in a calm run."""
    given = terms(arguments)
    configure_logging("warning", "console")
    try:
        with cache.scratch("chaos") as folder:
            if given.churn:
                print(table(Churn(folder, given, say).run()))
                return 0
            result = Chaos(folder, given, say).run()
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(render(result))
    return 1 if result.wrong else 0


def terms(arguments: Sequence[str]) -> Terms:
    """Read the flags: one for each of the terms."""
    parser = argparse.ArgumentParser(prog="python -m hack.chaos", description=__doc__)
    standard = Terms()
    for field in fields(Terms):
        default = getattr(standard, field.name)
        parser.add_argument(f"--{field.name}", type=type(default), default=default)
    return dataclasses.replace(standard, **vars(parser.parse_args(arguments)))


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def render(result: Result) -> str:
    """Return the figures for a person, and the first of what was wrong."""
    rows = [
        ("seed", str(result.terms.seed)),
        ("storages", str(result.terms.storages)),
        *((incident.value, str(count)) for incident, count in result.met.items()),
        ("requests that met a fault", str(result.faults)),
        ("controllers started again", str(result.starts)),
        ("seconds from the last fault to rest", f"{result.seconds:.1f}"),
        ("not as in a calm run", str(len(result.wrong))),
    ]
    return "\n".join([aligned(rows), *result.wrong[:_SHOWN]])


def table(samples: Sequence[Sample]) -> str:
    """Return the memory and threads of a controller over time."""
    rows = [
        (f"{one.seconds:.0f}", f"{one.memory / 2**20:.1f}", str(one.threads), str(one.edits))
        for one in samples
    ]
    return aligned([("seconds", "RSS in MiB", "threads", "edits"), *rows])
