"""One informer per resource and namespace, started and ended together."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry

from informers.factory import SharedInformerFactory
from informers.metrics import InformerCollector
from informers.resource import Resource
from informers.rest.client import Client
from informers.rest.config import ClusterConfig
from informers.store import IndexFunc, Object
from tests.support.apiserver import ApiServer, Exchange, configuration
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.listerwatcher import CONFIG_MAPS, bookmark, config_map, listed
from tests.support.picture import Picture
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


def nothing(_obj: Object) -> list[str]:
    return []


def everything(_obj: Object) -> list[str]:
    return ["all"]


def test_no_namespace_is_every_namespace(factory: SharedInformerFactory) -> None:
    assert factory.informer(CONFIG_MAPS, "") is factory.informer(CONFIG_MAPS)


class TestIndexes:
    def test_add_up(self, factory: SharedInformerFactory) -> None:
        factory.informer(CONFIG_MAPS, indexers={"one": nothing})
        informer = factory.informer(CONFIG_MAPS, indexers={"one": nothing, "two": everything})
        assert sorted(informer.store.indexers) == ["namespace", "one", "two"]

    def test_of_the_same_name_are_refused(self, factory: SharedInformerFactory) -> None:
        informer = factory.informer(CONFIG_MAPS, indexers={"one": nothing})
        with pytest.raises(ValueError, match="exist already: one"):
            factory.informer(CONFIG_MAPS, indexers={"one": everything})
        assert informer.store.indexers["one"] is nothing

    def test_may_be_asked_for_by_many_at_once(
        self, factory: SharedInformerFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All look at the store before anyone adds, if they look by themselves."""
        informer = factory.informer(CONFIG_MAPS)
        together, add = threading.Barrier(4), informer.add_indexers

        def add_together(indexers: dict[str, IndexFunc]) -> None:
            together.wait(5)
            add(indexers)

        monkeypatch.setattr(informer, "add_indexers", add_together)
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(factory.informer, CONFIG_MAPS, indexers={"one": nothing})
                for _ in range(4)
            ]
            assert [one.result(5) for one in asked] == [informer] * 4


def test_the_resync_period_is_the_default_of_all_handlers(server: ApiServer) -> None:
    client = Client(server.config(), clock=RealClock())
    factory = SharedInformerFactory(client, RealClock(), random.Random(1), 30.0)
    registration = factory.informer(CONFIG_MAPS).add_event_handler(Picture())
    assert registration.listener.resync_period == 30
    assert factory.shutdown() == []
    client.close()


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


def test_its_informers_do_not_keep_in_step(
    factory: SharedInformerFactory, server: ApiServer
) -> None:
    """By chance watches end and failures are repeated at different times."""
    for namespace in ("a", "b", "c"):
        factory.informer(SECRETS, namespace)
    factory.start()
    eventually(lambda: len(server.requests) == 3)
    assert len({request.query["timeoutSeconds"] for request in server.requests}) == 3


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
    factory.start()
    assert not informer.is_alive()
    assert factory.informer(SECRETS) is informer
    with pytest.raises(RuntimeError, match="configmaps in default after the shutdown"):
        factory.informer(CONFIG_MAPS, "default")
    with pytest.raises(RuntimeError, match="has stopped"):
        factory.informer(SECRETS, indexers={"one": nothing})
    unsynced = factory.wait_for_cache_sync(None, threading.Event())
    assert unsynced == ["secrets in all namespaces"]


def test_shutdown_names_who_does_not_end_in_time(
    factory: SharedInformerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("informers.factory.STOP_TIMEOUT", 0.05)
    stuck = Picture()
    stuck.gate.clear()
    registration = factory.informer(CONFIG_MAPS, "a").add_event_handler(stuck)
    factory.start()
    assert factory.wait_for_cache_sync(5, threading.Event()) == []
    eventually(lambda: len(registration.listener) == 0, what="the handler hangs")
    assert "informer-configmaps/handler-1" in factory.shutdown()
    stuck.gate.set()
    assert registration.shut_down()


def test_shutdown_lets_a_handler_that_hangs_hold_up_nobody(
    factory: SharedInformerFactory,
) -> None:
    stuck = Picture()
    stuck.gate.clear()
    first = factory.informer(CONFIG_MAPS, "a").add_event_handler(stuck)
    second = factory.informer(CONFIG_MAPS, "b").add_event_handler(Picture())
    factory.start()
    assert factory.wait_for_cache_sync(5, threading.Event()) == []
    eventually(lambda: len(first.listener) == 0, what="the handler hangs")
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(eventually, lambda: not second.listener.thread.is_alive())
        ended.add_done_callback(lambda _: stuck.gate.set())
        assert factory.shutdown() == []
        assert ended.done()
