"""The program: flags in, a controller that runs until it is told to stop, an exit code out."""

import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

from controller.controller import EtcdStorageController
from controller.health import Probes
from controller.httpserver import HttpServer, metrics_page
from controller.leaderelection import (
    LeaderElectionMetrics,
    LeaderElector,
    LeaseLock,
    new_identity,
)
from controller.log import configure_logging
from controller.options import CALL_TIMEOUT, PROGRAM, Options, parse_options, version
from informers import (
    Client,
    ClusterConfig,
    ConfigError,
    Throttle,
    load_config,
    relax_collector,
    user_agent,
)
from informers.rest.metrics import PrometheusClientMetrics, PrometheusClientMetricsProvider
from workqueue import RealClock

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger("controller")


def main(arguments: Sequence[str]) -> int:
    """Run the controller; 0 after a signal, 1 if a thread or the lease failed, 2 on flags."""
    options = parse_options(arguments)
    configure_logging(options.log_level, options.log_format)
    relax_collector()
    clock = RealClock()
    try:
        config = load_config(options.kubeconfig)
    except ConfigError as error:
        return _refuse("--kubeconfig", str(error))
    # A time of birth for each series: client-go has none, and nothing reads them here.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    health = Probes()
    try:
        server = _server(options, registry, health, clock)
    except OSError as error:
        return _refuse("--metrics-bind-address", error.strerror or str(error))
    requests = PrometheusClientMetricsProvider(registry).client_metrics(config.server)
    elector = _elector(options, config, registry, requests, clock)
    client = Client(
        config,
        clock=clock,
        # Each informer's watch has a connection of its own. These are one for each worker, one
        # for the sender of events and one for who looks at consumers' objects.
        pool_size=options.workers + 2,
        timeout=CALL_TIMEOUT,
        user_agent=user_agent(PROGRAM, version()),
        throttle=_throttle(options, clock),
        metrics=requests,
    )
    with server.serving() if server else nullcontext():
        return run(client, options, clock, registry, health, elector)


def _refuse(flag: str, why: str) -> int:
    """Say in a line what is wrong with a flag; returns the exit code."""
    sys.stderr.write(f"{PROGRAM}: argument {flag}: {why}\n")
    return 2


def _server(
    options: Options, registry: CollectorRegistry, health: Probes, clock: RealClock
) -> HttpServer | None:
    address = options.metrics_bind_address
    pages = {"/metrics": metrics_page(registry), **health.pages()}
    return HttpServer(address, pages, clock=clock) if address else None


def _throttle(options: Options, clock: RealClock) -> Throttle | None:
    if options.kube_api_qps and options.kube_api_burst:
        return Throttle(options.kube_api_qps, options.kube_api_burst, clock=clock)
    return None


def _elector(
    options: Options,
    config: ClusterConfig,
    registry: CollectorRegistry,
    requests: PrometheusClientMetrics,
    clock: RealClock,
) -> LeaderElector | None:
    election = options.leader_election
    if election is None:
        return None
    client = Client(
        config,
        clock=clock,
        pool_size=2,  # the lease, and an event about it
        timeout=election.call_timeout,
        user_agent=f"{user_agent(PROGRAM, version())}/leader-election",
        metrics=requests,
    )
    return LeaderElector(
        LeaseLock(client, options.namespace, PROGRAM),
        new_identity(),
        election,
        clock=clock,
        rng=random.SystemRandom(),
        now=lambda: datetime.now(UTC),
        metrics=LeaderElectionMetrics(registry, PROGRAM),
    )


def run(
    client: Client,
    options: Options,
    clock: RealClock,
    registry: CollectorRegistry,
    health: Probes,
    elector: LeaderElector | None = None,
) -> int:
    """Run until a signal comes, a thread dies or the lease is lost, and close `client`."""
    stop = threading.Event()
    _log.info("starting", server=client.server, namespace=options.namespace, version=version())
    controller = EtcdStorageController(
        client,
        options,
        clock=clock,
        # Not for jitter alone: it also makes the secret paths by which pods are drained.
        rng=random.SystemRandom(),
        now=lambda: datetime.now(UTC),
        registry=registry,
        elector=elector,
    )
    if elector:
        health.live.add({"leaderElection": elector.check})
    health.live.add(controller.live_checks)
    health.ready.add(controller.ready_checks)
    with _failing_with_threads(controller.fail), _stopping_on_signals(stop):
        healthy = controller.run(stop)
    _log.info("stopped")
    return 0 if healthy else 1


@contextmanager
def _failing_with_threads(fail: Callable[[str], None]) -> Iterator[None]:
    """End the program when any thread dies of an error, whoever started it, and say of what.

    Those whose owners see to that themselves never get here.
    """

    def died(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "a thread"
        fail(f"{name} died")
        _log.error("thread_died", thread=name, exc_info=args.exc_value)

    before, threading.excepthook = threading.excepthook, died
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Stop in order on the first SIGTERM or SIGINT, at once on the second.

    A thread hears of them by a socket. A handler would run in the main thread, maybe in the midst
    of its own wait for `stop`, and setting that from there can deadlock.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    listener = threading.Thread(target=_listen, args=(receiver, stop), name="signals", daemon=True)
    listener.start()
    wakeup = signal.set_wakeup_fd(sender.fileno())
    before = {number: signal.signal(number, _ignore) for number in _ENDING}
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        sender.close()
        listener.join()
        receiver.close()


def _listen(receiver: socket.socket, stop: threading.Event) -> None:
    """Read signal numbers, one byte each, until the other end is closed."""
    if receiver.recv(1):
        stop.set()
    if second := receiver.recv(1):
        os._exit(128 + second[0])


def _ignore(_number: int, _frame: object) -> None:
    """What a signal does besides waking the listener: nothing, so not its default either."""
