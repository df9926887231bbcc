"""What a reflector asks the server and what it makes of the answers, as whole sequences."""

import random
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from informers.errors import ApiError, ConnectionFailed
from informers.listwatch import Query
from informers.reflector import Reflector
from informers.resource import Resource
from informers.store import Object, Objects, Store
from tests.support.clock import FakeClock
from tests.support.listerwatcher import (
    CONFIG_MAPS,
    InstantClock,
    ScriptedListerWatcher,
    Stream,
    bookmark,
    config_map,
    event,
    listed,
    status,
)

EXPIRED = ApiError(410, "Expired", "too old resource version")
GONE = ApiError(410, "Gone", "gone")
TOO_LARGE = ApiError(504, "Timeout", "Too large resource version: 20, current: 10")
BUSY = ApiError(429, "TooManyRequests", "busy", retry_after=None)
REFUSED = ConnectionFailed("https://test", "connection refused", refused=True)
DROPPED = ConnectionFailed("https://test", "connection reset", dropped=True)
QUIET = ConnectionFailed("https://test", "no answer in time", timed_out=True)
NO_NAME = ConnectionFailed("https://test", "no such host")


class Recorder(Store):
    """A store that remembers how it was filled."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []

    def add(self, obj: Object) -> Object | None:
        self.calls.append(("add", obj["metadata"]["name"]))
        return super().add(obj)

    def update(self, obj: Object) -> Object | None:
        self.calls.append(("update", obj["metadata"]["name"]))
        return super().add(obj)

    def delete(self, obj: Any) -> Object | None:
        self.calls.append(("delete", obj["metadata"]["name"]))
        return super().delete(obj)

    def replace(self, objects: Any, version: str) -> dict[str, Object]:
        self.calls.append((f"replace at {version}", [one["metadata"]["name"] for one in objects]))
        return super().replace(objects, version)

    def bookmark(self, version: str) -> None:
        self.calls.append(("bookmark", version))
        super().bookmark(version)


class Run:
    """A reflector that has run until the end of a script."""

    def __init__(self, clock: InstantClock, *answers: Any, streaming: bool = False) -> None:
        self.source = ScriptedListerWatcher(*answers, streaming=streaming, clock=clock)
        self.store = Recorder()
        # What the handler was told: None is a recovery.
        self.errors: list[Exception | None] = []
        self.clock = clock
        self.reflector = Reflector(
            CONFIG_MAPS,
            self.source,
            self.store,
            clock=clock,
            rng=random.Random(1),
        )
        self.source.at_end = self.reflector.stop
        self.reflector.watch_error_handler = self._on_error

    def _on_error(self, resource: Resource, error: Exception | None) -> None:
        assert resource == CONFIG_MAPS
        self.errors.append(error)

    def go(self) -> "Run":
        self.reflector.run()
        assert all(one.closed for one in self.source.answers if isinstance(one, Stream))
        return self

    @property
    def names(self) -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in self.store.list())

    @property
    def versions(self) -> list[tuple[str, str | None]]:
        """Verb and resourceVersion of each request."""
        return [(verb, query.get("resourceVersion")) for verb, query in self.source.requests]


def a_list(version: str, limit: int = 500) -> tuple[str, dict[str, Any]]:
    return "list", {"resourceVersion": version, "limit": limit}


def a_watch(version: str) -> tuple[str, dict[str, Any]]:
    return "watch", {"resourceVersion": version, "allowWatchBookmarks": True}


def a_stream(version: str) -> tuple[str, dict[str, Any]]:
    return "watch", {
        "resourceVersion": version,
        "resourceVersionMatch": "NotOlderThan",
        "sendInitialEvents": True,
        "allowWatchBookmarks": True,
    }


A1, B2, C3, A4 = (
    config_map("a", 1),
    config_map("b", 2),
    config_map("c", 3),
    config_map("a", 4),
)


def test_lists_then_watches_from_there(instant: InstantClock) -> None:
    changes = Stream(
        event("ADDED", C3),
        event("MODIFIED", A4),
        event("DELETED", config_map("b", 5)),
        bookmark(9),
    )
    run = Run(instant, listed(2, A1, B2), changes).go()
    assert run.source.requests == [a_list("0"), a_watch("2")]
    assert run.store.calls == [
        ("replace at 2", ["a", "b"]),
        ("add", "c"),
        ("update", "a"),
        ("delete", "b"),
        ("bookmark", "9"),
    ]
    assert run.store.resource_version == "9"
    assert run.errors == []


def test_a_stream_that_ends_is_followed_by_a_watch_at_once(instant: InstantClock) -> None:
    streams = Stream(event("ADDED", C3)), Stream(bookmark(8)), Stream(300.0), Stream(bookmark(9))
    run = Run(instant, listed(2, A1), *streams).go()
    assert run.versions[1:] == [("watch", "2"), ("watch", "3"), ("watch", "8"), ("watch", "8")]
    assert instant.waits == []


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
def test_every_event_moves_the_version(instant: InstantClock, kind: str) -> None:
    last = bookmark(30) if kind == "BOOKMARK" else event(kind, config_map("a", 30))
    stream = Stream(event("MODIFIED", config_map("a", 20)), last)
    run = Run(instant, listed(10, A1), stream, Stream(2.0)).go()
    assert run.versions == [("list", "0"), ("watch", "10"), ("watch", "30")]


@pytest.mark.parametrize("broken", [QUIET, DROPPED])
def test_a_stream_that_breaks_is_one_that_ends(
    instant: InstantClock, broken: ConnectionFailed
) -> None:
    stream = Stream(event("ADDED", C3), 1.0, broken)
    run = Run(instant, listed(2, A1), stream, Stream(bookmark(5))).go()
    assert run.versions == [("list", "0"), ("watch", "2"), ("watch", "3")]
    assert (instant.waits, run.errors) == ([], [])


@pytest.mark.parametrize("broken", [QUIET, DROPPED])
@pytest.mark.parametrize("events", [(), (event("ADDED", C3), event("MODIFIED", A4))])
def test_a_stream_that_breaks_soon_costs_a_delay_but_no_list(
    instant: InstantClock, broken: ConnectionFailed, events: tuple[Any, ...]
) -> None:
    streams = [Stream(*events, 0.9, broken) for _ in range(3)]
    run = Run(instant, listed(2, A1), *streams, Stream(bookmark(5))).go()
    after = "4" if events else "2"
    assert run.versions == [("list", "0"), ("watch", "2"), *[("watch", after)] * 3]
    for wait, least in zip(instant.waits, (0.8, 1.6, 3.2), strict=True):
        assert least <= wait <= 2 * least
    assert run.errors == [broken, None] * 3


def test_a_stream_that_ends_soon_and_leads_nowhere_costs_a_delay_but_no_list(
    instant: InstantClock,
) -> None:
    """As a proxy does that lets a bookmark through and then closes."""
    streams = [Stream(bookmark(2), 0.9) for _ in range(3)]
    run = Run(instant, listed(2, A1), *streams, Stream(bookmark(2), 1.0), Stream(1.0)).go()
    assert run.versions == [("list", "0"), *[("watch", "2")] * 5]
    for wait, least in zip(instant.waits, (0.8, 1.6, 3.2), strict=True):
        assert least <= wait <= 2 * least
    assert run.errors == []


def test_a_quiet_connection_is_replaced_without_a_list_or_a_delay(instant: InstantClock) -> None:
    run = Run(instant, listed(2, A1), Stream(75.0, QUIET), Stream(75.0, QUIET), Stream(9.0)).go()
    assert run.versions == [("list", "0"), ("watch", "2"), ("watch", "2"), ("watch", "2")]
    assert instant.waits == []


def test_a_watch_that_ends_at_once_without_an_event_backs_off_and_lists(
    instant: InstantClock,
) -> None:
    run = Run(instant, listed(2, A1), Stream(0.9), listed(4, A4), Stream(bookmark(5)))
    with capture_logs() as logs:
        run.go()
    assert run.source.requests == [a_list("0"), a_watch("2"), a_list("2", 0), a_watch("4")]
    assert len(instant.waits) == 1
    assert run.errors == []
    assert [(one["log_level"], one["event"]) for one in logs] == [("warning", "watch_ended")]


def test_what_is_skipped_counts_as_no_event(instant: InstantClock) -> None:
    foreign = event("ADDED", {**B2, "kind": "Secret"})
    run = Run(instant, listed(2, A1), Stream(foreign, 0.9), listed(4, A4), Stream(bookmark(5)))
    assert run.go().versions == [("list", "0"), ("watch", "2"), ("list", "2"), ("watch", "4")]


def test_watches_ask_to_be_ended_after_five_to_ten_minutes(instant: InstantClock) -> None:
    run = Run(instant, listed(2, A1), *(Stream(bookmark(n)) for n in range(3, 2003))).go()
    assert (min(run.source.timeouts), max(run.source.timeouts)) == (300, 599)
    assert len(set(run.source.timeouts)) > 290


class TestExpiry:
    @pytest.mark.parametrize("expired", [EXPIRED, GONE])
    def test_of_a_watch_lists_at_the_last_version_after_a_delay(
        self, instant: InstantClock, expired: ApiError
    ) -> None:
        script = listed(2, A1), expired, listed(9, A4), Stream(bookmark(10))
        run = Run(instant, *script).go()
        assert run.versions == [("list", "0"), ("watch", "2"), ("list", "2"), ("watch", "9")]
        assert len(instant.waits) == 1
        assert run.errors == [expired, None]

    def test_in_the_stream_is_not_told_as_an_error(self, instant: InstantClock) -> None:
        stream = Stream(event("ADDED", C3), status(410, "Expired", "too old"))
        run = Run(instant, listed(2, A1), stream, listed(9, A4), Stream(bookmark(10)))
        with capture_logs() as logs:
            run.go()
        assert run.versions == [("list", "0"), ("watch", "2"), ("list", "3"), ("watch", "9")]
        assert (run.names, run.errors) == (["a"], [])
        assert [(one["log_level"], one["event"]) for one in logs] == [("debug", "watch_ended")]

    def test_of_a_list_is_mended_by_a_consistent_one_at_once(self, instant: InstantClock) -> None:
        script = (
            *(listed(10, A1), EXPIRED),
            *(EXPIRED, listed(20, A4), Stream(bookmark(21), status(500, "InternalError"))),
            *(listed(30, A4), Stream(bookmark(31))),
        )
        run = Run(instant, *script).go()
        assert [one for one in run.versions if one[0] == "list"] == [
            ("list", "0"),
            ("list", "10"),
            ("list", ""),
            ("list", "21"),
        ]
        assert len(instant.waits) == 2

    @pytest.mark.parametrize(
        "error",
        [
            ApiError(
                504,
                "Timeout",
                "Too large resource version: 20",
                details={"causes": [{"reason": "ResourceVersionTooLarge"}]},
            ),
            ApiError(
                504,
                "Timeout",
                "x",
                details={"causes": [{"message": "Too large resource version"}]},
            ),
            TOO_LARGE,
        ],
    )
    def test_has_a_version_from_the_future_for_its_twin(
        self, instant: InstantClock, error: ApiError
    ) -> None:
        script = listed(20, A1), GONE, error, listed(10, A1), Stream(bookmark(11))
        run = Run(instant, *script).go()
        assert run.versions[2:] == [("list", "20"), ("list", ""), ("watch", "10")]

    def test_stays_marked_until_a_list_succeeds(self, instant: InstantClock) -> None:
        script = (
            *(listed(10, A1), GONE, EXPIRED, NO_NAME),
            *(listed(20, A1), GONE, listed(30, A1), Stream(bookmark(31))),
        )
        run = Run(instant, *script).go()
        lists = [version for verb, version in run.versions if verb == "list"]
        assert lists == ["0", "10", "", "", "20"]


class TestPages:
    def test_are_put_together(self, instant: InstantClock) -> None:
        pages = listed(5, A1, token="x"), listed(5, B2, token="y"), listed(5, C3)
        run = Run(instant, *pages, Stream(bookmark(6))).go()
        assert run.source.requests == [
            a_list("0"),
            ("list", {"limit": 500, "continue": "x"}),
            ("list", {"limit": 500, "continue": "y"}),
            a_watch("5"),
        ]
        assert run.names == ["a", "b", "c"]

    def test_are_not_asked_for_at_a_version_of_ones_own(self, instant: InstantClock) -> None:
        run = Run(instant, listed(5, A1), GONE, listed(6, A1), Stream(bookmark(7))).go()
        assert run.source.requests[2] == a_list("5", 0)

    def test_stick_once_the_server_pages_a_list_of_any_version(
        self, instant: InstantClock
    ) -> None:
        first = listed(5, A1, token="x"), listed(5, B2)
        script = *first, GONE, listed(6, A1), GONE, listed(7, A1), Stream(bookmark(8))
        run = Run(instant, *script).go()
        lists = [one for one in run.source.requests if one[0] == "list"]
        assert lists[2:] == [a_list("5", 500), a_list("6", 500)]

    def test_do_not_stick_when_the_server_pages_a_consistent_list(
        self, instant: InstantClock
    ) -> None:
        """It never has that in its cache, so that says nothing of it."""
        consistent = EXPIRED, listed(6, A1, token="x"), listed(6, B2)
        script = listed(5, A1), GONE, *consistent, GONE, listed(7, A1), Stream(bookmark(8))
        run = Run(instant, *script).go()
        lists = [query for verb, query in run.source.requests if verb == "list"]
        assert lists[2:] == [
            {"resourceVersion": "", "limit": 500},
            {"limit": 500, "continue": "x"},
            {"resourceVersion": "6", "limit": 0},
        ]

    def test_fall_back_to_one_piece_when_the_token_expires(self, instant: InstantClock) -> None:
        pages = listed(5, A1, token="x"), EXPIRED, listed(7, A4, B2)
        run = Run(instant, *pages, Stream(bookmark(8))).go()
        assert run.source.requests[2:] == [("list", {"resourceVersion": "0"}), a_watch("7")]
        assert (run.names, run.errors) == (["a", "b"], [])

    def test_that_are_no_lists_change_nothing(self, instant: InstantClock) -> None:
        script = listed(5, A1), GONE, {"error": "proxy"}, listed(6, A1, B2), Stream(bookmark(7))
        run = Run(instant, *script).go()
        assert [call for call, _ in run.store.calls if "replace" in call] == [
            "replace at 5",
            "replace at 6",
        ]
        assert isinstance(run.errors[1], ConnectionFailed)


class TestBusyOrAwayServer:
    @pytest.mark.parametrize("error", [REFUSED, BUSY, DROPPED, QUIET])
    def test_costs_no_list_when_a_watch_is_opened(
        self, instant: InstantClock, error: Exception
    ) -> None:
        run = Run(instant, listed(2, A1), *[error] * 4, Stream(bookmark(3))).go()
        assert run.source.requests == [a_list("0"), *[a_watch("2")] * 5]
        assert len(instant.waits) == 4
        assert run.errors == [*[error] * 4, None]

    def test_costs_no_list_when_it_says_so_in_the_stream(self, instant: InstantClock) -> None:
        busy = Stream(event("ADDED", C3), status(429, "TooManyRequests"))
        run = Run(instant, listed(2, A1), BUSY, busy, Stream(bookmark(4))).go()
        assert run.versions == [("list", "0"), ("watch", "2"), ("watch", "2"), ("watch", "3")]
        assert len(instant.waits) == 2

    def test_is_left_alone_as_long_as_it_asks(self, instant: InstantClock) -> None:
        busy = ApiError(429, "TooManyRequests", "busy", retry_after=40.0)
        Run(instant, listed(2, A1), busy, Stream(bookmark(4))).go()
        (wait,) = instant.waits
        assert 40.0 < wait < 80.0

    @pytest.mark.parametrize("seconds", [61.0, 3600.0, 99999999999.0, float("inf")])
    @pytest.mark.parametrize("code", [429, 503])
    def test_may_not_ask_for_ever(self, instant: InstantClock, code: int, seconds: float) -> None:
        busy = ApiError(code, "Whatever", "busy", retry_after=seconds)
        run = Run(instant, busy, listed(2, A1), Stream(bookmark(4))).go()
        assert instant.waits == [60.0 * (1 + random.Random(1).random())]
        assert run.names == ["a"]

    def test_is_asked_less_and_less_often(self, instant: InstantClock) -> None:
        Run(instant, *[REFUSED] * 40).go()
        base = [min(0.8 * 2**n, 30.0) for n in range(40)]
        assert len(instant.waits) == 40
        for wait, least in zip(instant.waits, base, strict=True):
            assert least <= wait <= 2 * least

    def test_shares_one_backoff_among_lists_and_watches(self, instant: InstantClock) -> None:
        script = NO_NAME, listed(2, A1), REFUSED, Stream(status(429, "TooManyRequests"))
        Run(instant, *script, Stream(bookmark(4))).go()
        for wait, least in zip(instant.waits, (0.8, 1.6, 3.2), strict=True):
            assert least <= wait <= 2 * least


class TestErrors:
    def test_reach_the_handler_and_are_got_over(self, instant: InstantClock) -> None:
        forbidden = ApiError(403, "Forbidden", "no")
        script = NO_NAME, listed(2, A1), forbidden, listed(3, A1, B2), Stream(bookmark(4))
        run = Run(instant, *script).go()
        assert run.errors == [NO_NAME, forbidden, None]
        assert run.names == ["a", "b"]
        assert run.reflector.last_error is None

    def test_are_over_when_a_watch_stands_and_not_before(self, instant: InstantClock) -> None:
        """Whoever may list but not watch would otherwise hear of a recovery each time."""
        forbidden = ApiError(403, "Forbidden", "no")
        script = *[listed(2, A1), forbidden] * 3, listed(2, A1), Stream(bookmark(4)), Stream(2.0)
        run = Run(instant, *script).go()
        assert run.errors == [*[forbidden] * 3, None]

    def test_are_over_when_a_streaming_list_is_complete(self, instant: InstantClock) -> None:
        script = REFUSED, Stream(bookmark(8, end=True), bookmark(9)), Stream(2.0)
        run = Run(instant, *script, streaming=True).go()
        assert run.errors == [REFUSED, None]

    @pytest.mark.parametrize("log", ["sound", "broken"])
    def test_of_the_handler_do_no_harm(
        self, instant: InstantClock, monkeypatch: pytest.MonkeyPatch, log: str
    ) -> None:
        run = Run(instant, NO_NAME, listed(2, A1), REFUSED, Stream(bookmark(4)))

        def fail(_resource: object, *_: object, **__: object) -> None:
            raise BrokenPipeError("nobody reads")

        run.reflector.watch_error_handler = fail
        if log == "broken":
            monkeypatch.setattr("informers.reflector._log.exception", fail, raising=False)
        assert run.go().names == ["a"]
        assert len(instant.waits) == 2

    def test_of_the_clock_do_not_end_it(
        self, instant: InstantClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing = iter([OverflowError("timestamp too large")])
        wait = instant.wait

        def fail_once(event: threading.Event, timeout: float | None) -> bool:
            for error in failing:
                raise error
            return wait(event, timeout)

        monkeypatch.setattr(instant, "wait", fail_once)
        run = Run(instant, NO_NAME, NO_NAME, listed(2, A1), Stream(bookmark(4))).go()
        assert run.names == ["a"]
        assert len(instant.waits) == 1

    def test_show_as_the_last_one_while_they_last(self, instant: InstantClock) -> None:
        seen: list[Exception | None] = []
        run = Run(instant, NO_NAME, listed(2, A1), Stream(lambda: seen.append(last()), 2.0))

        def last() -> Exception | None:
            return run.reflector.last_error

        run.reflector.watch_error_handler = lambda _, __: seen.append(last())
        run.go()
        assert seen == [NO_NAME, None, None]

    def test_in_the_stream_lead_to_a_list(self, instant: InstantClock) -> None:
        broken = Stream(event("ADDED", B2), status(500, "InternalError", "StoreReadError"))
        run = Run(instant, listed(1, A1), broken, listed(7, C3), Stream(bookmark(8))).go()
        assert run.versions == [("list", "0"), ("watch", "1"), ("list", "2"), ("watch", "7")]
        assert (run.names, run.errors, len(instant.waits)) == (["c"], [], 1)

    @pytest.mark.parametrize(
        "odd",
        [
            {"type": "ADDED", "object": {"kind": "ConfigMap"}},
            {"type": "ADDED", "object": {"kind": "ConfigMap", "metadata": {"name": "x"}}},
            {"type": "ADDED", "object": {"kind": "ConfigMap", "metadata": None}},
            {
                "type": "DELETED",
                "object": {"kind": "ConfigMap", "metadata": {"resourceVersion": "2"}},
            },
            {"type": "ADDED", "object": {**B2, "kind": "Secret"}},
            {"type": "ADDED", "object": {"metadata": {"resourceVersion": "5"}}},
            {"type": "RENAMED", "object": B2},
            {"type": ["ADDED"], "object": B2},
            {"object": B2},
        ],
    )
    def test_of_single_events_lose_just_these(
        self, instant: InstantClock, odd: dict[str, Any]
    ) -> None:
        run = Run(instant, listed(1, A1), Stream(odd, event("ADDED", C3)), Stream(2.0))
        with capture_logs() as logs:
            run.go()
        assert [one["event"] for one in logs] == ["watch_event_skipped"]
        assert run.versions == [("list", "0"), ("watch", "1"), ("watch", "3")]
        assert (run.names, run.errors) == (["a", "c"], [])


class TestStreamingList:
    def test_is_one_request_for_everything(self, instant: InstantClock) -> None:
        stream = Stream(
            event("ADDED", A1), event("ADDED", B2), bookmark(7, end=True), event("ADDED", C3)
        )
        run = Run(instant, stream, Stream(bookmark(9)), streaming=True).go()
        assert run.source.requests == [a_stream(""), a_watch("3")]
        assert run.store.calls[:2] == [("replace at 7", ["a", "b"]), ("add", "c")]
        assert run.errors == []

    def test_takes_in_changes_on_the_way(self, instant: InstantClock) -> None:
        stream = Stream(
            event("ADDED", A1),
            event("ADDED", B2),
            event("MODIFIED", A4),
            event("DELETED", config_map("b", 5)),
            bookmark(5, end=True),
        )
        run = Run(instant, stream, streaming=True).go()
        assert run.store.calls == [("replace at 5", ["a"])]
        assert run.store.list() == [A4]

    @pytest.mark.parametrize("end", [False, "yes"])
    def test_is_complete_at_the_annotated_bookmark_only(
        self,
        instant: InstantClock,
        end: bool | str,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        early = Stream(event("ADDED", A1), bookmark(3, end=end))
        whole = Stream(event("ADDED", B2), bookmark(8, end=True), 2.0)
        run = Run(instant, early, whole, streaming=True).go()
        assert run.source.requests == [a_stream(""), a_stream("")]
        assert run.store.calls == [("replace at 8", ["b"])]
        assert len(instant.waits) == 1
        assert [str(error) for error in run.errors] == [
            "API server: the initial events are not complete",
            "None",
        ]

    @pytest.mark.parametrize("end", [(), (50.0,), (DROPPED,), (50.0, QUIET)])
    def test_that_is_cut_three_times_is_left_for_this_attempt(
        self, instant: InstantClock, end: tuple[Any, ...]
    ) -> None:
        """As by a proxy that lets no connection live for long; refusals do not count."""

        def cut() -> Stream:
            return Stream(event("ADDED", A1), *end)

        script = (
            *(cut(), BUSY, cut(), REFUSED, cut()),
            *(listed(2, B2), Stream(bookmark(3), status(500, "InternalError"))),
            *(cut(), cut(), Stream(bookmark(8, end=True), 2.0)),
        )
        run = Run(instant, *script, streaming=True).go()
        assert run.source.requests == [
            *[a_stream("")] * 5,
            *(a_list("0"), a_watch("2")),
            *[a_stream("3")] * 3,
        ]
        assert run.store.calls == [
            ("replace at 2", ["b"]),
            ("bookmark", "3"),
            ("replace at 8", []),
        ]
        assert len(instant.waits) == 7
        told = [isinstance(error, (ApiError, ConnectionFailed)) for error in run.errors]
        assert told == [*[True] * 4, False, *[True] * 2, False]

    def test_holds_no_broken_stream_while_it_waits(self, instant: InstantClock) -> None:
        broken = Stream(event("ADDED", A1)), Stream(event("ADDED", A1), DROPPED)
        run = Run(instant, *broken, Stream(bookmark(8, end=True), 2.0), streaming=True)
        closed: list[list[bool]] = []

        def look(_resource: Resource, _error: Exception | None) -> None:
            closed.append([stream.closed for stream in broken])

        run.reflector.watch_error_handler = look
        run.go()
        assert closed == [[True, False], [True, True], [True, True]]

    def test_falls_back_to_a_list_for_this_attempt(self, instant: InstantClock) -> None:
        invalid = ApiError(422, "Invalid", "sendInitialEvents: forbidden")
        script = (
            *(invalid, listed(2, A1), Stream(bookmark(3), status(500, "InternalError"))),
            Stream(event("ADDED", B2), bookmark(8, end=True)),
        )
        run = Run(instant, *script, streaming=True).go()
        assert run.source.requests == [a_stream(""), a_list("0"), a_watch("2"), a_stream("3")]
        assert (run.names, run.errors) == (["b"], [])

    @pytest.mark.parametrize("error", [REFUSED, BUSY])
    def test_waits_for_a_busy_server(self, instant: InstantClock, error: Exception) -> None:
        stream = Stream(bookmark(8, end=True), bookmark(9))
        run = Run(instant, error, error, stream, streaming=True).go()
        assert run.source.requests == [a_stream("")] * 3
        assert len(instant.waits) == 2

    def test_waits_for_a_server_that_gets_busy(self, instant: InstantClock) -> None:
        busy = Stream(event("ADDED", A1), status(429, "TooManyRequests"))
        whole = Stream(event("ADDED", B2), bookmark(8, end=True), bookmark(9))
        run = Run(instant, busy, whole, streaming=True).go()
        assert run.source.requests == [a_stream("")] * 2
        assert (run.names, len(instant.waits)) == (["b"], 1)

    @pytest.mark.parametrize("useless", [EXPIRED, TOO_LARGE])
    def test_starts_anew_without_a_version_that_is_no_longer_there(
        self, instant: InstantClock, useless: ApiError
    ) -> None:
        first = Stream(bookmark(8, end=True), status(410, "Expired"))
        run = Run(
            instant, first, useless, Stream(bookmark(9, end=True), bookmark(10)), streaming=True
        ).go()
        assert run.source.requests == [a_stream(""), a_stream("8"), a_stream("")]
        assert len(instant.waits) == 1

    def test_does_not_insist_when_that_expires_too(self, instant: InstantClock) -> None:
        script = EXPIRED, EXPIRED, listed(2, A1), Stream(bookmark(3))
        run = Run(instant, *script, streaming=True).go()
        assert run.source.requests == [a_stream(""), a_stream(""), a_list(""), a_watch("2")]

    def test_begins_from_nothing_when_the_stream_breaks(self, instant: InstantClock) -> None:
        broken = Stream(event("ADDED", A1), DROPPED), Stream(event("ADDED", A1), 60.0, DROPPED)
        run = Run(
            instant,
            *broken,
            Stream(event("ADDED", B2), bookmark(8, end=True), 2.0),
            streaming=True,
        )
        assert run.go().store.calls == [("replace at 8", ["b"])]
        assert run.errors == [DROPPED, DROPPED, None]
        for wait, least in zip(instant.waits, (0.8, 1.6), strict=True):
            assert least <= wait <= 2 * least

    def test_that_is_long_in_coming_is_waited_for_but_told(self, clock: FakeClock) -> None:
        def ten_seconds_pass() -> None:
            clock.await_waiters()
            clock.step(10)
            clock.await_waiters()

        stream = Stream(
            *(ten_seconds_pass, ten_seconds_pass),
            *(event("ADDED", A1), ten_seconds_pass),
            *(event("ADDED", B2), bookmark(8, end=True)),
            *(lambda: clock.step(100), event("ADDED", C3)),
        )
        source = ScriptedListerWatcher(stream, streaming=True)
        store = Recorder()
        reflector = Reflector(CONFIG_MAPS, source, store, clock=clock, rng=random.Random(1))
        source.at_end = reflector.stop
        reflector.watch_error_handler = lambda _, __: reflector.stop()
        with capture_logs() as logs:
            reflector.run()
        assert [(one["event"], one["seconds"]) for one in logs] == [
            ("initial_events_do_not_begin", 10),
            ("initial_events_do_not_begin", 20),
            ("initial_events_do_not_end", 10),
        ]
        assert store.calls == [("replace at 8", ["a", "b"]), ("add", "c")]
        assert source.requests == [a_stream("")]


class TestReconnect:
    """A watch that is to be replaced ends at once, in whatever way, and that is no failure."""

    @pytest.mark.parametrize("events", [(), (bookmark(2),)], ids=["nothing", "old news"])
    @pytest.mark.parametrize("end", [(), (DROPPED,)], ids=["in peace", "by the cut"])
    def test_costs_neither_a_list_nor_a_delay(
        self, instant: InstantClock, events: tuple[Any, ...], end: tuple[Any, ...]
    ) -> None:
        def cut() -> None:
            run.reflector.reconnect()

        streams = Stream(*events, cut, 0.1, *end), Stream(event("ADDED", C3), 2.0)
        run = Run(instant, listed(2, A1), *streams)
        assert run.go().versions == [("list", "0"), ("watch", "2"), ("watch", "2")]
        assert (run.source.reconnects, instant.waits, run.errors) == (1, [], [])
        assert run.names == ["a", "c"]

    @pytest.mark.parametrize("events", [(), (event("ADDED", A1),)], ids=["nothing", "some"])
    @pytest.mark.parametrize("end", [(), (DROPPED,)], ids=["in peace", "by the cut"])
    def test_during_a_streaming_list_begins_it_anew(
        self, instant: InstantClock, events: tuple[Any, ...], end: tuple[Any, ...]
    ) -> None:
        def cut() -> None:
            run.reflector.reconnect()

        streams = [Stream(*events, cut, 0.1, *end) for _ in range(4)]
        whole = Stream(event("ADDED", C3), bookmark(3, end=True), 2.0)
        run = Run(instant, *streams, whole, streaming=True)
        assert run.go().source.requests == [a_stream("")] * 5
        assert (instant.waits, run.errors, run.names) == ([], [], ["c"])

    def test_while_a_watch_is_opened_opens_another_at_once(
        self, instant: InstantClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Run(instant, listed(2, A1), DROPPED, Stream(event("ADDED", C3), 2.0))
        answer = run.source.watch

        def cut_then_answer(query: Query) -> Stream:
            if len(run.source.timeouts) == 0:
                run.reflector.reconnect()
            return answer(query)

        monkeypatch.setattr(run.source, "watch", cut_then_answer)
        assert run.go().versions == [("list", "0"), ("watch", "2"), ("watch", "2")]
        assert (instant.waits, run.errors) == ([], [])

    def test_that_takes_its_time_spares_the_watch_that_comes_next(
        self, instant: InstantClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody would know why that one ends at once, and so it would cost a list."""
        cutting, opened = threading.Event(), threading.Event()
        hit: list[bool] = []

        def cut() -> None:
            cutting.set()
            hit.append(opened.wait(0.05))

        def lose() -> None:
            replacing.start()
            assert cutting.wait(5)

        streams = Stream(lose, DROPPED), Stream(opened.set, event("ADDED", C3), 2.0)
        run = Run(instant, listed(2, A1), *streams)
        monkeypatch.setattr(run.source, "reconnect", cut)
        replacing = threading.Thread(target=run.reflector.reconnect)
        assert run.go().versions == [("list", "0"), ("watch", "2"), ("watch", "2")]
        replacing.join()
        assert (hit, instant.waits, run.errors) == ([False], [], [])

    def test_is_meant_for_one_watch_only(self, instant: InstantClock) -> None:
        def cut() -> None:
            run.reflector.reconnect()

        streams = Stream(cut, DROPPED), Stream(0.9)
        run = Run(instant, listed(2, A1), *streams, listed(4, A4), Stream(bookmark(5), 2.0))
        assert run.go().versions[1:] == [
            *(("watch", "2"), ("watch", "2")),
            *(("list", "2"), ("watch", "4")),
        ]
        assert (len(instant.waits), run.errors) == (1, [])

    def test_does_not_hide_what_the_server_says(self, instant: InstantClock) -> None:
        def cut() -> None:
            run.reflector.reconnect()

        expired = Stream(cut, status(410, "Expired"))
        run = Run(instant, listed(2, A1), expired, listed(4, A4), Stream(bookmark(5), 2.0))
        assert run.go().versions[1:] == [("watch", "2"), ("list", "2"), ("watch", "4")]
        assert (len(instant.waits), run.errors) == (1, [])

    def test_that_finds_no_watch_has_no_effect_on_the_next(self, instant: InstantClock) -> None:
        run = Run(instant, listed(2, A1), Stream(0.9), listed(4, A4), Stream(bookmark(5), 2.0))
        run.reflector.reconnect()
        assert run.go().versions == [("list", "0"), ("watch", "2"), ("list", "2"), ("watch", "4")]


class TestTransform:
    def test_drops_managed_fields_by_default(self, instant: InstantClock) -> None:
        def managed(name: str, version: int) -> Object:
            obj = config_map(name, version)
            obj["metadata"]["managedFields"] = [{"manager": "kubectl"}]
            return obj

        stream = Stream(event("ADDED", managed("b", 2)))
        run = Run(instant, listed(1, managed("a", 1)), stream).go()
        assert [sorted(obj["metadata"]) for obj in run.store.list()] == [
            ["name", "namespace", "resourceVersion"]
        ] * 2

    @pytest.mark.parametrize("streaming", [False, True])
    def test_is_applied_once_to_each_object(
        self, instant: InstantClock, *, streaming: bool
    ) -> None:
        first = Stream(
            event("ADDED", config_map("a", 1)), bookmark(1, end=True), event("ADDED", B2)
        )
        script = [first] if streaming else [listed(1, config_map("a", 1)), first]
        run = Run(instant, *script, streaming=streaming)
        seen: list[str] = []

        def mark(obj: Object) -> Object:
            seen.append(f"{obj['metadata']['name']}{'!' if 'seen' in obj else ''}")
            return {**obj, "seen": True}

        run.reflector.transform = mark
        run.go()
        assert seen == (["a", "b"] if streaming else ["a", "a", "b"])
        assert all("seen" in obj for obj in run.store.list())

    def test_that_raises_loses_the_event_but_fails_the_list(self, instant: InstantClock) -> None:
        stream = Stream(event("ADDED", B2), event("ADDED", C3))
        run = Run(instant, listed(1, B2), listed(1, A1), stream)

        def refuse_b(obj: Object) -> Object:
            if obj["metadata"]["name"] == "b":
                raise ValueError("not b")
            return obj

        run.reflector.transform = refuse_b
        run.go()
        assert [str(error) for error in run.errors] == ["not b", "None"]
        assert run.names == ["a", "c"]

    def test_that_raises_fails_a_streaming_list(self, instant: InstantClock) -> None:
        """Passed over, the object would count as deleted."""
        one, two = event("ADDED", A1), event("ADDED", B2)
        streams = [
            Stream(one, two, bookmark(2, end=True), status(410, "Expired")),
            Stream(one, two, bookmark(3, end=True)),
            Stream(one, two, bookmark(4, end=True), 2.0),
        ]
        run = Run(instant, *streams, streaming=True)

        def refuse_b_the_second_time(obj: Object) -> Object:
            if obj["metadata"]["name"] == "b" and len(run.source.requests) == 2:
                raise ValueError("not now")
            return obj

        run.reflector.transform = refuse_b_the_second_time
        run.go()
        assert run.store.calls == [("replace at 2", ["a", "b"]), ("replace at 4", ["a", "b"])]
        assert [str(error) for error in run.errors] == ["not now", "None"]

    @pytest.mark.parametrize("lost", [None, {}, {"metadata": {}}])
    def test_that_makes_no_object_loses_the_event_but_fails_the_list(
        self, instant: InstantClock, lost: Any
    ) -> None:
        stream = Stream(event("ADDED", B2), event("ADDED", C3), 2.0)
        run = Run(instant, listed(1, B2), listed(1, A1), stream)
        run.reflector.transform = lambda obj: lost if obj["metadata"]["name"] == "b" else obj
        run.go()
        assert [isinstance(error, (KeyError, TypeError)) for error in run.errors] == [True, False]
        assert run.names == ["a", "c"]


def test_list_items_get_the_kind_that_servers_leave_out(instant: InstantClock) -> None:
    bare = config_map("a", 1)
    del bare["kind"], bare["apiVersion"]
    run = Run(instant, listed(1, bare)).go()
    assert run.store.list() == [config_map("a", 1)]


def test_a_version_is_not_taken_from_objects_in_any_order(instant: InstantClock) -> None:
    """A watch from "0" begins with what exists, newest or oldest first."""
    initial = Stream(event("ADDED", C3), event("ADDED", A1))
    run = Run(instant, listed(0), initial, Stream(event("ADDED", B2), bookmark(9)), Stream()).go()
    assert run.versions == [("list", "0"), ("watch", "0"), ("watch", "0"), ("watch", "9")]


@pytest.mark.parametrize("kind", ["MODIFIED", "DELETED"])
def test_a_change_ends_the_objects_in_any_order(instant: InstantClock, kind: str) -> None:
    initial = Stream(event("ADDED", C3), event(kind, A4), event("ADDED", config_map("d", 5)), 2.0)
    run = Run(instant, listed(0), initial, Stream(2.0)).go()
    assert run.versions == [("list", "0"), ("watch", "0"), ("watch", "5")]


def test_the_age_of_the_last_message_counts_from_any_event(instant: InstantClock) -> None:
    run = Run(instant, listed(1, A1), Stream(30.0, bookmark(2), 7.0)).go()
    assert instant.monotonic() - run.reflector.last_message == 7.0


def test_the_age_of_the_last_message_counts_from_a_list_too(instant: InstantClock) -> None:
    run = Run(instant, NO_NAME, listed(1, A1), Stream(9.0)).go()
    assert instant.waits != []
    assert instant.monotonic() - run.reflector.last_message == 9.0


def test_stop_interrupts_the_source_and_tells_no_error(instant: InstantClock) -> None:
    run = Run(instant, listed(1, A1)).go()
    assert run.source.interrupted
    assert run.errors == []


def test_objects_of_a_list_are_the_stored_ones(instant: InstantClock) -> None:
    objects: Objects = [A1, B2]
    run = Run(instant, listed(2, *objects)).go()
    assert run.store.get("default/a") is A1


def test_a_stop_while_a_watch_is_opened_leaves_no_stream_open(
    instant: InstantClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(instant, listed(2, A1), Stream(bookmark(3)))
    answer = run.source.watch

    def stop_then_answer(query: Query) -> Stream:
        run.reflector.stop()
        return answer(query)

    monkeypatch.setattr(run.source, "watch", stop_then_answer)
    assert run.go().versions == [("list", "0"), ("watch", "2")]


def test_a_stop_during_the_initial_events_leaves_no_stream_open(instant: InstantClock) -> None:
    stream = Stream(event("ADDED", config_map("a", 2)), bookmark(2, end=True))
    run = Run(instant, stream, streaming=True)

    def stop(obj: Object) -> Object:
        run.reflector.stop()
        return obj

    run.reflector.transform = stop
    assert run.go().names == ["a"]
