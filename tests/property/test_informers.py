"""After any history the store equals the server, and each handler's picture the store."""

import random
import threading
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from informers.errors import ApiError, ConnectionFailed
from informers.rest.watch import Event
from informers.shared import Registration, SharedIndexInformer
from informers.store import Object
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.fakesource import FakeSource
from tests.support.listerwatcher import CONFIG_MAPS, status
from tests.support.picture import Picture

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.integers(0, 2)

REFUSALS = st.sampled_from(
    [
        ConnectionFailed("https://fake", "refused", refused=True),
        ConnectionFailed("https://fake", "lost", dropped=True),
        ConnectionFailed("https://fake", "no answer in time", timed_out=True),
        ConnectionFailed("https://fake", "no such host"),
        ApiError(429, "TooManyRequests", "busy", retry_after=1),
        ApiError(500, "InternalError", "a bug"),
        ApiError(403, "Forbidden", "not you"),
        ApiError(410, "Expired", "too old"),
        ApiError(504, "Timeout", "Too large resource version: 9, current: 8"),
    ]
)
ENDS: list[ConnectionFailed | Event | None] = [
    None,
    ConnectionFailed("https://fake", "lost", dropped=True),
    ConnectionFailed("https://fake", "no answer in time", timed_out=True),
    status(500, "InternalError", "a bug"),
    status(429, "TooManyRequests"),
    status(410, "Expired"),
]


class Hasty(FakeClock):
    """Waits of a backoff take no time: nothing here is about them."""

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        return event.wait(None if timeout is None else 0.001)


def by_value(obj: Object) -> list[str]:
    return [obj["data"]["value"]]


@dataclass
class Handler:
    """One handler at the informer, its registration, and what it was told when it left."""

    picture: Picture
    registration: Registration
    at_the_end: list[str] = field(default_factory=list)


class InformerMachine(RuleBasedStateMachine):
    """One server, one informer, and handlers that come and go."""

    @initialize(
        streaming=st.booleans(),
        page_size=st.integers(1, 4),
        cached=st.sets(NAMES),
        written=st.sets(NAMES),
        early=VALUES,
    )
    def begin(
        self, *, streaming: bool, page_size: int, cached: set[str], written: set[str], early: int
    ) -> None:
        self.clock = Hasty()
        self.source = FakeSource(streaming=streaming)
        self.source.page_size = page_size
        for name in sorted(cached):
            self.source.write(name, 0)
        self.source.lag()
        for name in sorted(written):
            self.source.write(name, 1)
        self.informer = SharedIndexInformer(
            CONFIG_MAPS,
            self.source,
            clock=self.clock,
            rng=random.Random(1),
            indexers={"value": by_value},
            resync_period=10.0,
        )
        self.present: list[Handler] = []
        self.gone: list[Handler] = []
        for _ in range(early):
            self.join(0)
        self.informer.start()

    @rule(name=NAMES, value=VALUES)
    def write(self, name: str, value: int) -> None:
        self.source.write(name, value)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self.source.remove(name)

    @rule(name=NAMES, value=VALUES)
    def recreate(self, name: str, value: int) -> None:
        self.source.remove(name)
        self.source.write(name, value)

    @rule()
    def repeat(self) -> None:
        self.source.repeat()

    @rule()
    def pass_by(self) -> None:
        self.source.pass_by()

    @rule()
    def lag(self) -> None:
        self.source.lag()

    @rule()
    def bookmark(self) -> None:
        self.source.bookmark()

    @rule()
    def reorder(self) -> None:
        self.source.reorder()

    @rule(error=st.sampled_from(ENDS))
    def break_off(self, error: ConnectionFailed | Event | None) -> None:
        self.source.break_off(error)

    @rule(in_stream=st.booleans())
    def expire(self, *, in_stream: bool) -> None:
        self.source.expire(in_stream=in_stream)

    @rule(errors=st.lists(REFUSALS, min_size=1, max_size=3))
    def refuse(self, errors: list[Exception]) -> None:
        self.source.refuse(*errors)

    @rule()
    def reconnect(self) -> None:
        self.informer.reconnect()

    @rule(seconds=st.sampled_from([2.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        """Make a watch no short one, or a resync due."""
        self.clock.step(seconds)

    @precondition(lambda self: len(self.present) < 4)
    @rule(resync=st.sampled_from([0.0, 10.0]))
    def join(self, resync: float) -> None:
        picture = Picture(self.source.repeated)
        registration = self.informer.add_event_handler(picture, resync)
        self.present.append(Handler(picture, registration))

    @precondition(lambda self: self.present)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        handler = self.present.pop(data.draw(st.integers(0, len(self.present) - 1)))
        assert handler.registration.shut_down(5)
        handler.at_the_end = [*handler.picture.events]
        self.gone.append(handler)

    @rule()
    def settle(self) -> None:
        eventually(self.is_settled, within=5.0, what="store and pictures to equal the server")
        store = self.informer.store
        indexed = {
            value: store.index_keys("value", value) for value in store.index_values("value")
        }
        assert indexed == self.expected_index()

    def teardown(self) -> None:
        if not hasattr(self, "informer"):
            return
        try:
            self.settle()
            eventually(self.is_up_to_date, within=5.0, what="the store to know how new it is")
        finally:
            self.informer.stop()
            assert self.informer.join() == []
        assert self.informer.failure is None
        everyone = [*self.present, *self.gone]
        assert [handler.picture.faults for handler in everyone] == [[]] * len(everyone)
        assert [one.picture.events for one in self.gone] == [one.at_the_end for one in self.gone]

    def is_settled(self) -> bool:
        store = dict(self.informer.store.items())
        return (
            self.informer.has_synced()
            and store == self.source.snapshot()
            and self.source.written <= self.version() <= self.source.version
            and all(handler.picture.objects == store for handler in self.present)
            and all(handler.registration.has_synced() for handler in self.present)
        )

    def is_up_to_date(self) -> bool:
        # As servers send them from time to time: else nobody hears of what has passed by.
        self.source.bookmark()
        return self.version() == self.source.version

    def version(self) -> int:
        return int(self.informer.store.resource_version)

    def expected_index(self) -> dict[str, list[str]]:
        expected: dict[str, list[str]] = {}
        for key, obj in sorted(self.source.snapshot().items()):
            expected.setdefault(obj["data"]["value"], []).append(key)
        return expected


def test_store_and_pictures_end_up_equal_to_the_server() -> None:
    run_state_machine_as_test(
        InformerMachine,
        settings=settings(max_examples=40, stateful_step_count=30, deadline=None),
    )
