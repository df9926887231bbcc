"""The program: flags in, a controller that runs until it is told to stop, an exit code out."""

import os
import random
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from controller.controller import EtcdStorageController
from controller.log import configure_logging
from controller.options import PROGRAM, Options, parse_options, version
from informers import Client, ConfigError, load_config
from workqueue import RealClock

_log = structlog.get_logger("controller")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the controller; 0 after SIGTERM or SIGINT, 1 if a thread of ours failed, 2 on flags."""
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    configure_logging(options.log_level, options.log_format)
    clock = RealClock()
    try:
        config = load_config(options.kubeconfig)
    except ConfigError as error:
        sys.stderr.write(f"{PROGRAM}: argument --kubeconfig: {error}\n")
        return 2
    client = Client(
        config,
        clock=clock,
        # Each informer's watch has a connection of its own; the workers and the sender of
        # events share these.
        pool_size=options.workers + 2,
        user_agent=f"{PROGRAM}/{version()}",
    )
    return run(client, options, clock)


def run(client: Client, options: Options, clock: RealClock) -> int:
    """Run until a signal comes or a thread of the controller dies."""
    stop = threading.Event()
    _stop_on_signals(stop)
    _log.info("starting", server=client.server, namespace=options.namespace, version=version())
    controller = EtcdStorageController(
        client,
        options,
        clock=clock,
        rng=random.Random(),  # noqa: S311 - jitter, no secret
        now=lambda: datetime.now(UTC),
    )
    healthy = controller.run(stop)
    client.close()
    _log.info("stopped")
    return 0 if healthy else 1


def _stop_on_signals(stop: threading.Event) -> None:
    """Stop in order on the first SIGTERM or SIGINT, at once on the second.

    A thread waits for them. A handler would run in the main thread, in the midst of its own wait
    for `stop`, and setting that from there can deadlock. Called before any thread is started, so
    that all of them leave the signals to this one.
    """
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)

    def wait() -> None:
        signal.sigwait(ending)
        stop.set()
        os._exit(128 + signal.sigwait(ending))

    threading.Thread(target=wait, name="signals", daemon=True).start()
