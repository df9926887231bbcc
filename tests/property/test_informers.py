"""After any history the store equals the server, and each handler's picture the store."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from informers.errors import ConnectionFailed
from informers.shared import SharedIndexInformer
from tests.support.eventually import eventually
from tests.support.fakesource import FakeSource
from tests.support.listerwatcher import CONFIG_MAPS
from tests.support.picture import Picture
from workqueue.clock import RealClock

NAMES = st.sampled_from(["a", "b", "c", "d"])
DROPPED = ConnectionFailed("https://fake", "lost", dropped=True)
QUIET = ConnectionFailed("https://fake", "no answer in time", timed_out=True)

STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.integers(0, 9)),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("repeat")),
    st.tuples(st.just("bookmark")),
    st.tuples(st.just("break_off"), st.sampled_from([None, DROPPED, QUIET])),
    st.tuples(st.just("expire"), st.booleans()),
    st.tuples(st.just("join")),
)


class Unhurried(RealClock):
    """Waits of a backoff take no time: nothing here is about them."""

    def wait(self, event: object, timeout: float | None) -> bool:
        return super().wait(event, 0.001 if timeout is not None else None)  # type: ignore[arg-type]


class History:
    """One server, one informer, and handlers that join on the way."""

    def __init__(self, *, streaming: bool) -> None:
        self.source = FakeSource(streaming=streaming)
        rng = random.Random(1)
        self.informer = SharedIndexInformer(
            CONFIG_MAPS, self.source, clock=Unhurried(), rng=rng, resync_period=0.0
        )
        self.pictures: list[Picture] = []
        self.join()

    def step(self, verb: str, *args: object) -> None:
        if verb == "join":
            self.join()
        elif verb == "expire":
            self.source.expire(in_stream=bool(args[0]))
        else:
            getattr(self.source, verb)(*args)

    def join(self) -> None:
        self.pictures.append(Picture())
        self.informer.add_event_handler(self.pictures[-1])

    def settled(self) -> bool:
        store = dict(self.informer.store.items())
        return store == self.source.snapshot() and all(
            picture.objects == store for picture in self.pictures
        )


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(STEPS, max_size=6),
    steps=st.lists(st.tuples(STEPS, st.booleans()), max_size=25),
    streaming=st.booleans(),
)
def test_store_and_pictures_end_up_equal_to_the_server(
    before: list[tuple[str, ...]],
    steps: list[tuple[tuple[str, ...], bool]],
    *,
    streaming: bool,
) -> None:
    history = History(streaming=streaming)
    for one in before:
        history.step(*one)
    history.informer.start()
    try:
        for one, wait in steps:
            history.step(*one)
            if wait:
                eventually(history.settled)
        eventually(history.settled)
        assert [picture.faults for picture in history.pictures] == [[]] * len(history.pictures)
    finally:
        history.informer.stop()
        assert history.informer.join() == []
    assert history.informer.failure is None
