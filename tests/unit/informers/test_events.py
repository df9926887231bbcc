"""What a reader makes of the events of one stream."""

from collections.abc import Callable
from typing import Any

import pytest

from informers.errors import ApiError, ConnectionFailed
from informers.events import EventReader, VeryShortWatch, drop_managed_fields, put
from informers.store import Object, Store
from tests.support.listerwatcher import (
    CONFIG_MAPS,
    InstantClock,
    Stream,
    bookmark,
    config_map,
    event,
    status,
)

DROPPED = ConnectionFailed("https://test", "connection reset", dropped=True)
FOREIGN = event("ADDED", {**config_map("x", 9), "kind": "Secret"})
NAMELESS = event("ADDED", {"kind": "ConfigMap", "metadata": {"resourceVersion": "9"}})

Read = Callable[..., list[tuple[str, Object, str]]]


@pytest.fixture
def reader(instant: InstantClock) -> EventReader:
    return EventReader(CONFIG_MAPS, instant)


@pytest.fixture
def read(reader: EventReader, instant: InstantClock) -> Read:
    """Read a stream of these steps to its end."""

    def run(*steps: Any, strict: bool = False) -> list[tuple[str, Object, str]]:
        stream = Stream(*steps)
        stream.clock = instant
        return [*reader.read(stream, strict=strict)]

    return run


def test_events_come_with_type_object_and_version(read: Read) -> None:
    a = config_map("a", 3)
    marked = bookmark(4)
    assert read(event("ADDED", a), marked) == [
        ("ADDED", a, "3"),
        ("BOOKMARK", marked["object"], "4"),
    ]


@pytest.mark.parametrize("odd", [FOREIGN, NAMELESS])
def test_odd_ones_are_passed_over(read: Read, odd: dict[str, Any]) -> None:
    assert [version for _, _, version in read(odd, event("ADDED", config_map("a", 3)))] == ["3"]


def test_of_those_that_make_up_a_list_none_may_be_odd_but_of_another_kind(read: Read) -> None:
    assert read(FOREIGN, bookmark(4), strict=True)
    with pytest.raises(KeyError, match="name"):
        read(NAMELESS, bookmark(4), strict=True)


@pytest.mark.parametrize("strict", [True, False])
def test_what_the_server_says_ends_them(read: Read, *, strict: bool) -> None:
    with pytest.raises(ApiError, match="too old") as caught:
        read(bookmark(4), status(410, "Expired", "too old"), strict=strict)
    assert caught.value.code == 410


@pytest.mark.parametrize("steps", [(), (0.9,), (FOREIGN, 0.9)])
def test_none_within_a_second_are_a_failure(read: Read, steps: tuple[Any, ...]) -> None:
    with pytest.raises(VeryShortWatch):
        read(*steps)
    assert read(*steps, 1.0) == []


def test_a_stream_that_breaks_ends_unless_it_was_short_or_a_list(read: Read) -> None:
    assert len(read(bookmark(4), 1.0, DROPPED)) == 1
    for steps, strict in (((0.9, DROPPED), False), ((1.0, DROPPED), True)):
        with pytest.raises(ConnectionFailed):
            read(bookmark(4), *steps, strict=strict)


@pytest.mark.parametrize("sign", [bookmark(4), FOREIGN, NAMELESS])
def test_whatever_comes_is_a_sign_of_life(
    reader: EventReader, read: Read, instant: InstantClock, sign: dict[str, Any]
) -> None:
    began = reader.last_message
    read(5.0, sign, 2.0)
    assert reader.last_message == began + 5.0
    reader.heard()
    assert reader.last_message == instant.monotonic() == began + 7.0


def test_an_object_is_completed_and_transformed(reader: EventReader) -> None:
    bare = {"metadata": {"name": "a", "managedFields": [{"manager": "kubectl"}]}}
    assert reader.prepare(bare) == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
    }
    assert drop_managed_fields({"metadata": {"name": "a"}}) == {"metadata": {"name": "a"}}


def test_events_change_what_takes_them() -> None:
    store = Store()
    for kind, version in (("ADDED", 1), ("MODIFIED", 2)):
        put(store, kind, config_map("a", version))
        assert store.list() == [config_map("a", version)]
    put(store, "DELETED", config_map("a", 3))
    assert (store.list(), store.resource_version) == ([], "3")
