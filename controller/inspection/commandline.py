"""The command line of `status` and `doctor`."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from controller import flagvalues
from controller.inspection import doctor, listing
from controller.inspection.cluster import Cluster
from controller.inspection.deployment import running_flags
from controller.inspection.listing import UnreadError, Watch
from controller.inspection.patient import Patient
from controller.inspection.rows import Row
from controller.inspection.terminal import Progress, wants_colour
from controller.log import configure_logging
from controller.options import (
    PROGRAM,
    SERVICE_ACCOUNT,
    Parser,
    add_cluster_flags,
    found_kubeconfig,
    version,
)
from informers import Client, ClusterConfig, ConfigError, load_config, user_agent
from workqueue import RealClock

TIMEOUT: Final = 15.0
"""Seconds for one question to the API server: somebody waits."""


def inspect(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> int:
    """Run the one that `arguments` begin with; return the exit code, 2 on a wrong flag."""
    parser = _parser(arguments[0], environment, service_account)
    given = parser.parse_args(arguments[1:])
    # What retries and renews on the way would else stand between the results.
    configure_logging("error", "console")
    kubeconfig = given.kubeconfig or found_kubeconfig(environment, service_account)
    if given.context and kubeconfig is None:
        parser.error("argument --context: there is no kubeconfig, this is a pod of its cluster")
    try:
        # It may run a plugin, which may ask and wait.
        config = load_config(kubeconfig, given.context)
        return _inspect(arguments[0], given, config, inside=kubeconfig is None)
    except ConfigError as error:
        parser.error(f"argument --kubeconfig: {error}")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # As a shell has it.
    except OSError as error:
        # Python may not write there when it ends either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Whoever read has gone, as `head` does, or a disk is full.
        if isinstance(error, BrokenPipeError):
            return 0
        sys.stderr.write(f"{parser.prog}: {error.strerror or error}\n")
        return 1


def _inspect(
    command: str, given: argparse.Namespace, config: ClusterConfig, *, inside: bool
) -> int:
    client = Client(
        config,
        clock=RealClock(),
        timeout=TIMEOUT,
        user_agent=user_agent(PROGRAM, version()),
    )
    try:
        if command == "status":
            return _status(client, given)
        return _doctor(client, given, inside=inside)
    finally:
        client.close()


def _status(client: Client, given: argparse.Namespace) -> int:
    cluster, clock, as_json = Cluster(client), RealClock(), given.output == "json"
    progress = Progress(sys.stderr, clock)

    def look() -> list[Row]:
        with progress.of("reading EtcdStorages"):
            return listing.read(cluster, given.namespace)

    def now() -> datetime:
        return datetime.now(UTC)

    try:
        if given.watch:
            watch = Watch(look, sys.stdout, sys.stderr, clock=clock, now=now, as_json=as_json)
            watch.run(threading.Event())
        rows = look()
    except UnreadError as error:
        sys.stderr.write(f"{PROGRAM} status: {error}\n")
        return 1
    if as_json:
        listing.print_json(rows, now(), sys.stdout)
    elif rows:
        listing.print_table(rows, now(), sys.stdout)
    else:
        sys.stderr.write("there are no EtcdStorages\n")
    return 0


def _doctor(client: Client, given: argparse.Namespace, *, inside: bool) -> int:
    patient = Patient(
        client,
        given.namespace,
        # A controller may not read its Deployment.
        flags=tuple(given.flags) or (running_flags() if inside else ()),
        core_urls=tuple(given.etcd_core_url),
        inside=inside,
        now=datetime.now(UTC),
    )
    findings = doctor.examine(patient, Progress(sys.stderr, RealClock()))
    if given.output == "json":
        failed = doctor.print_json(findings, sys.stdout)
    else:
        colour = wants_colour(sys.stdout)
        failed = doctor.print_text(findings, sys.stdout, colour=colour)
    return 1 if failed else 0


def _parser(
    command: str, environment: Mapping[str, str], service_account: Path
) -> argparse.ArgumentParser:
    parser = Parser(prog=f"{PROGRAM} {command}", description=_ABOUT[command], allow_abbrev=False)
    add_cluster_flags(parser, environment, service_account)
    add = parser.add_argument
    add("--context", metavar="NAME", help="of the kubeconfig; default: its current one")
    add("--output", "-o", choices=("json",), help="json instead of text")
    if command == "status":
        add("--watch", "-w", action="store_true", help="go on with what changes, until Ctrl-C")
        return parser
    add(
        "--etcd-core-url",
        "-u",
        metavar="URL",
        type=flagvalues.urls,
        default=(),
        help="the core etcd as it is reached from here; default: as the controller's flags say",
    )
    add(
        "flags",
        nargs="*",
        metavar="-- FLAG",
        help="the controller's flags, where neither a Deployment nor this pod has them",
    )
    return parser


_ABOUT: Final = {
    "status": "Lists EtcdStorages: how they are served, what they take, and what is wrong.",
    "doctor": "Checks all that the controller needs, and says what to do; code 1 if any failed.",
}
