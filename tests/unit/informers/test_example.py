"""The example in the package's docstring, and what the package may load."""

import doctest
import subprocess
import sys

import informers
from tests.support.apiserver import ApiServer, Exchange
from tests.support.listerwatcher import bookmark, config_map
from workqueue.clock import RealClock


def serve(exchange: Exchange) -> None:
    exchange.begin()
    exchange.event("ADDED", config_map("settings", 2, colour="blue"))
    exchange.event("BOOKMARK", bookmark(2, end=True)["object"])
    exchange.silence()


def test_the_example_of_the_package_runs() -> None:
    with ApiServer(serve) as server:
        client = informers.Client(server.config(), clock=RealClock())
        names = {"client": client, "clock": RealClock()}
        result = doctest.testmod(informers, extraglobs=names)
        client.close()
    assert result.attempted > 10
    assert result.failed == 0


def test_the_informers_need_no_prometheus() -> None:
    program = "import sys, informers; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "informers.shared" in run.stdout.split()
    assert "prometheus_client" not in run.stdout.split()
