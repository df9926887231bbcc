"""One informer per resource and namespace, started and ended together."""

import random
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from informers.factory import SharedInformerFactory
from informers.metrics import InformerCollector
from informers.resource import Resource
from informers.rest.client import Client
from informers.rest.config import ClusterConfig
from tests.support.apiserver import ApiServer, Exchange, configuration
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.listerwatcher import CONFIG_MAPS, bookmark, config_map, listed
from workqueue.clock import RealClock

SECRETS = Resource("", "v1", "secrets", "Secret", namespaced=True)


def serve(exchange: Exchange) -> None:
    """Stream one ConfigMap to those who ask for such, and nothing to others."""
    if "configmaps" in exchange.request.path:
        exchange.begin()
        exchange.event("ADDED", config_map("a", 2))
        exchange.event("BOOKMARK", bookmark(2, end=True)["object"])
    exchange.silence()


@pytest.fixture
def server(_no_stray_threads: None) -> Iterator[ApiServer]:
    with ApiServer(*[serve] * 20) as running:
        yield running


@pytest.fixture
def factory(server: ApiServer) -> Iterator[SharedInformerFactory]:
    client = Client(ClusterConfig(lambda: configuration(server.url)), clock=RealClock())
    made = SharedInformerFactory(client, RealClock(), random.Random(1))
    yield made
    assert made.shutdown() == []
    client.close()


def test_one_informer_for_all_who_ask(factory: SharedInformerFactory) -> None:
    first = factory.informer(CONFIG_MAPS, "default")
    assert factory.informer(CONFIG_MAPS, "default") is first
    assert factory.informer(CONFIG_MAPS) is not first
    assert factory.informer(SECRETS, "default") is not first
    assert len(factory.informers()) == 3


def test_indexes_add_up(factory: SharedInformerFactory) -> None:
    factory.informer(CONFIG_MAPS, indexers={"one": lambda _: []})
    informer = factory.informer(CONFIG_MAPS, indexers={"one": lambda _: [], "two": lambda _: []})
    assert sorted(informer.store.indexers) == ["namespace", "one", "two"]


def test_its_informers_can_be_measured(factory: SharedInformerFactory) -> None:
    registry = CollectorRegistry()
    InformerCollector(registry, {"main": factory})
    factory.informer(CONFIG_MAPS, "default")
    factory.start()
    assert factory.wait_for_cache_sync(10, threading.Event()) == []
    labels = {"name": "main", "group": "", "version": "v1", "resource": "configmaps"}
    assert registry.get_sample_value("informer_store_resource_version", labels) == 2


def test_start_starts_what_does_not_run_yet(
    factory: SharedInformerFactory, server: ApiServer
) -> None:
    factory.informer(CONFIG_MAPS, "default")
    factory.start()
    assert factory.wait_for_cache_sync(10, threading.Event()) == []
    factory.informer(CONFIG_MAPS)
    factory.start()
    assert factory.wait_for_cache_sync(10, threading.Event()) == []
    assert server.paths() == ["/api/v1/namespaces/default/configmaps", "/api/v1/configmaps"]


def test_the_death_of_an_informer_is_told(server: ApiServer) -> None:
    def broken(_obj: object) -> list[str]:
        raise ValueError("a bug")

    told: list[tuple[object, str]] = []
    client = Client(server.config(), clock=RealClock())
    factory = SharedInformerFactory(
        client,
        RealClock(),
        random.Random(1),
        on_failure=lambda informer, error: told.append((informer, str(error))),
    )
    informer = factory.informer(CONFIG_MAPS, "default", indexers={"broken": broken})
    factory.start()
    assert factory.wait_for_cache_sync(5, threading.Event()) == ["configmaps in default"]
    assert eventually(lambda: told) == [(informer, "a bug")]
    assert factory.shutdown() == []
    client.close()


class TestWaiting:
    def test_names_what_did_not_sync_in_time(self, factory: SharedInformerFactory) -> None:
        factory.informer(CONFIG_MAPS, "default")
        factory.informer(SECRETS)
        factory.start()
        assert factory.wait_for_cache_sync(0.2, threading.Event()) == ["secrets in all namespaces"]

    def test_ends_when_told_to(self, factory: SharedInformerFactory) -> None:
        factory.informer(SECRETS, "ns")
        factory.start()
        stop = threading.Event()
        timer = threading.Timer(0.05, stop.set)
        timer.start()
        assert factory.wait_for_cache_sync(None, stop) == ["secrets in ns"]
        timer.join()

    def test_needs_no_clock_that_moves(self, server: ApiServer) -> None:
        client = Client(server.config(), clock=FakeClock())
        factory = SharedInformerFactory(client, FakeClock(), random.Random(1))
        factory.informer(CONFIG_MAPS, "default")
        factory.start()
        assert factory.wait_for_cache_sync(5, threading.Event()) == []
        assert factory.shutdown() == []
        client.close()


class TestSelectors:
    LABEL, FIELD = "app in (a,b)", "metadata.name=x"

    def test_make_an_informer_of_its_own(self, factory: SharedInformerFactory) -> None:
        selected = factory.informer(SECRETS, "ns", selectors={"labelSelector": self.LABEL})
        others: list[dict[str, str] | None] = [
            None,
            {"labelSelector": "app=c"},
            {"fieldSelector": self.LABEL},
            {"labelSelector": self.LABEL, "fieldSelector": self.FIELD},
        ]
        made = [factory.informer(SECRETS, "ns", selectors=one) for one in others]
        assert len({id(one) for one in [selected, *made]}) == 5
        assert len(factory.informers()) == 5

    def test_that_are_the_same_give_the_same_one(self, factory: SharedInformerFactory) -> None:
        both = {"labelSelector": self.LABEL, "fieldSelector": self.FIELD}
        informer = factory.informer(SECRETS, selectors=both)
        swapped = dict(reversed(both.items()))
        assert factory.informer(SECRETS, selectors=swapped) is informer
        assert factory.informer(SECRETS, selectors={}) is factory.informer(SECRETS)

    def test_are_named_with_what_did_not_sync(self, factory: SharedInformerFactory) -> None:
        both = {"labelSelector": self.LABEL, "fieldSelector": self.FIELD}
        factory.informer(SECRETS, "ns", selectors=both)
        factory.informer(SECRETS)
        assert factory.wait_for_cache_sync(0, threading.Event()) == [
            "secrets in ns metadata.name=x app in (a,b)",
            "secrets in all namespaces",
        ]

    def test_go_with_every_request(self) -> None:
        def refuse(exchange: Exchange) -> None:
            exchange.answer(422, {"kind": "Status", "reason": "Invalid"})

        def one(exchange: Exchange) -> None:
            exchange.answer(200, listed(7, config_map("x", 3)))

        both = {"labelSelector": self.LABEL, "fieldSelector": self.FIELD}
        with ApiServer(refuse, one, Exchange.silence) as server:
            client = Client(server.config(), clock=RealClock())
            factory = SharedInformerFactory(client, RealClock(), random.Random(1))
            informer = factory.informer(CONFIG_MAPS, "default", selectors=both)
            factory.start()
            assert factory.wait_for_cache_sync(5, threading.Event()) == []
            assert informer.store.list() == [config_map("x", 3)]
            eventually(lambda: len(server.requests) == 3)
            assert factory.shutdown() == []
            client.close()
        queries = [request.query for request in server.requests]
        assert ["watch" in query for query in queries] == [True, False, True]
        assert [{name: query.get(name) for name in both} for query in queries] == [both] * 3


def test_shutdown_is_final_and_may_be_repeated(factory: SharedInformerFactory) -> None:
    informer = factory.informer(SECRETS)
    factory.start()
    eventually(informer.is_alive)
    assert factory.shutdown() == []
    assert factory.shutdown() == []
    late = factory.informer(CONFIG_MAPS)
    factory.start()
    assert not late.is_alive()
    assert factory.wait_for_cache_sync(0, threading.Event()) == [
        "secrets in all namespaces",
        "configmaps in all namespaces",
    ]
