"""What goes over the wire for a list and a watch, and how both are interrupted."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from informers.errors import ConnectionFailed
from informers.listwatch import EventStream, ListWatch, Query
from informers.rest.client import Client
from informers.rest.watch import Event
from tests.support.apiserver import ApiServer, Exchange
from tests.support.clock import Unhurried
from tests.support.eventually import eventually
from tests.support.listerwatcher import CONFIG_MAPS, config_map, event, listed
from workqueue.clock import RealClock

Make = Callable[..., ListWatch]
ADDED = event("ADDED", config_map("a", 2))
EVERYWHERE, IN_NS = "/api/v1/configmaps", "/api/v1/namespaces/ns/configmaps"


def one_list(exchange: Exchange) -> None:
    exchange.answer(200, listed(7, config_map("a", 2)))


def one_event(exchange: Exchange) -> None:
    exchange.begin()
    exchange.event(ADDED["type"], ADDED["object"])
    exchange.end()


def one_event_then_silence(exchange: Exchange) -> None:
    exchange.begin()
    exchange.event(ADDED["type"], ADDED["object"])
    exchange.silence()


@pytest.fixture
def make(_no_stray_threads: None) -> Iterator[Make]:
    """Make list-watchers of a server, interrupted at the end."""
    made: list[ListWatch] = []

    def build(server: ApiServer, *args: Any) -> ListWatch:
        made.append(ListWatch(Client(server.config(), clock=Unhurried()), CONFIG_MAPS, *args))
        return made[-1]

    yield build
    for source in made:
        source.interrupt()


def read(stream: EventStream) -> list[Event]:
    with stream:
        return list(stream)


@pytest.mark.parametrize(("namespace", "path"), [(None, EVERYWHERE), ("ns", IN_NS)])
def test_both_are_of_one_namespace_or_of_all(make: Make, namespace: str | None, path: str) -> None:
    with ApiServer(one_list, one_event) as server:
        source = make(server, namespace)
        assert source.list({"resourceVersion": "0"}) == listed(7, config_map("a", 2))
        assert read(source.watch({"resourceVersion": "7"})) == [ADDED]
    assert [(one.path, one.query) for one in server.requests] == [
        (path, {"resourceVersion": "0"}),
        (path, {"resourceVersion": "7", "watch": "true"}),
    ]


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ({"limit": 500, "continue": "t"}, {"limit": "500", "continue": "t"}),
        ({"limit": 0, "continue": None, "resourceVersion": ""}, {}),
        ({"resourceVersion": "0"}, {"resourceVersion": "0"}),
        ({"sendInitialEvents": True}, {"sendInitialEvents": "true"}),
        ({"sendInitialEvents": False}, {"sendInitialEvents": "false"}),
    ],
)
def test_what_is_empty_is_not_sent(make: Make, query: Query, sent: dict[str, str]) -> None:
    with ApiServer(one_list, one_event) as server:
        source = make(server)
        source.list(query)
        read(source.watch(query))
    assert [one.query for one in server.requests] == [sent, {**sent, "watch": "true"}]


def test_selectors_go_with_each_request(make: Make) -> None:
    selectors = {"labelSelector": "app in (a,b)", "fieldSelector": "metadata.name=x", "other": ""}
    sent = {"labelSelector": "app in (a,b)", "fieldSelector": "metadata.name=x"}
    with ApiServer(one_list, one_list, one_event) as server:
        source = make(server, "ns", selectors)
        source.list({"resourceVersion": "0", "limit": 1})
        source.list({"limit": 1, "continue": "t"})
        read(source.watch({"resourceVersion": "7"}))
    assert [one.query for one in server.requests] == [
        {**sent, "resourceVersion": "0", "limit": "1"},
        {**sent, "limit": "1", "continue": "t"},
        {**sent, "resourceVersion": "7", "watch": "true"},
    ]


def test_a_stream_is_read_by_one_loop_after_the_other(make: Make) -> None:
    def three(exchange: Exchange) -> None:
        exchange.begin()
        for version in (2, 3, 4):
            exchange.event("ADDED", config_map("a", version))
        exchange.end()

    with ApiServer(three) as server, make(server).watch({}) as stream:
        first = next(iter(stream))
        assert [first, *stream] == [event("ADDED", config_map("a", n)) for n in (2, 3, 4)]


class TestInterrupt:
    def test_ends_a_watch_under_way(self, make: Make) -> None:
        with ApiServer(one_event_then_silence) as server:
            source = make(server)
            with source.watch({}) as stream:
                events = iter(stream)
                assert next(events) == ADDED
                timer = threading.Timer(0.02, source.interrupt)
                timer.start()
                with pytest.raises(ConnectionFailed, match="connection lost") as caught:
                    next(events)
                timer.join()
        assert not caught.value.timed_out

    def test_ends_a_list_that_gets_no_answer(self, make: Make) -> None:
        with ApiServer() as server:
            source = make(server)
            failed = threading.Event()

            def ask() -> None:
                with pytest.raises(ConnectionFailed):
                    source.list({})
                failed.set()

            asking = threading.Thread(target=ask)
            asking.start()
            eventually(lambda: server.requests)
            source.interrupt()
            asking.join(2)
            assert failed.is_set()
            assert len(server.requests) == 1

    def test_fails_what_follows(self, make: Make) -> None:
        with ApiServer(one_list) as server:
            source = make(server)
            source.list({})
            source.interrupt()
            source.interrupt()
            for call in (source.list, source.watch):
                with pytest.raises(ConnectionFailed, match="the client is closed"):
                    call({})
        assert len(server.requests) == 1

    def test_leaves_others_of_the_same_client_alone(self) -> None:
        with ApiServer(one_event_then_silence, one_list, one_list) as server:
            client = Client(server.config(), clock=RealClock())
            ours, theirs = ListWatch(client, CONFIG_MAPS), ListWatch(client, CONFIG_MAPS)
            with ours.watch({}) as stream:
                theirs.interrupt()
                assert next(iter(stream)) == ADDED
                ours.interrupt()
            assert client.list(CONFIG_MAPS)["items"]
            client.close()


class TestReconnect:
    def test_ends_a_watch_under_way_and_no_other(self, make: Make) -> None:
        with ApiServer(one_event_then_silence, one_event_then_silence, one_event) as server:
            source = make(server)
            with source.watch({}) as first:
                assert next(iter(first)) == ADDED
                source.reconnect()
                with pytest.raises(ConnectionFailed, match="connection lost"):
                    next(iter(first))
            with source.watch({}) as second:
                assert next(iter(second)) == ADDED
                source.reconnect()
            assert read(source.watch({})) == [ADDED]

    def test_has_a_list_under_way_asked_for_again(self, make: Make) -> None:
        with ApiServer(Exchange.silence, one_list) as server:
            source = make(server)

            def reconnect() -> None:
                eventually(lambda: server.requests)
                source.reconnect()

            cutting = threading.Thread(target=reconnect)
            cutting.start()
            assert source.list({}) == listed(7, config_map("a", 2))
            cutting.join()
            assert len(server.requests) == 2

    def test_opens_nothing_after_an_interrupt(self, make: Make) -> None:
        with ApiServer(one_list) as server:
            source = make(server)
            source.interrupt()
            source.reconnect()
            with pytest.raises(ConnectionFailed, match="the client is closed"):
                source.list({})
