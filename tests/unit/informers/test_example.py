"""The example in the package's docstring, and what the package may load."""

import doctest
import importlib
import sys
from typing import Any
from unittest.mock import patch

import pytest

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


def _parts_of(package: str) -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == package]


def test_the_informers_need_no_prometheus() -> None:
    """Imported anew where there is none; an interpreter of its own would take a second."""
    without: dict[str, Any] = dict.fromkeys(["prometheus_client", *_parts_of("prometheus_client")])
    with patch.dict(sys.modules, without):
        for name in _parts_of("informers"):
            del sys.modules[name]
        with pytest.raises(ImportError):
            importlib.import_module("informers.metrics")
        assert importlib.import_module("informers") is not informers
    assert sys.modules["informers"] is informers
