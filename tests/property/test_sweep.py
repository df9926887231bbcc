"""The removal of a storage's keys, while somebody writes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from controller.core.identity import key_range
from controller.core.keys import Keys
from controller.core.looks import Pace
from tests.support.clock import FakeClock
from tests.support.keystore import KeyStore

NAMES = st.text("ab0-.", min_size=1, max_size=4)
TAILS = st.binary(max_size=3)
ANYWHERE = st.text("/ab0-.", min_size=1, max_size=6).map(str.encode)


@given(
    name=NAMES,
    tails=st.lists(TAILS, max_size=30),
    others=st.lists(ANYWHERE, max_size=30),
    written=st.lists(st.tuples(TAILS, ANYWHERE), max_size=12),
    page=st.integers(1, 10),
)
def test_all_keys_of_the_storage_go_and_no_other_whoever_writes_meanwhile(
    name: str,
    tails: list[bytes],
    others: list[bytes],
    written: list[tuple[bytes, bytes]],
    page: int,
) -> None:
    first, end = key_range(name)
    store = KeyStore()
    store.put(*(first + tail for tail in tails), *others)
    clock = FakeClock()
    pace = Pace(page=page)
    keys = Keys(lambda _: None, clock=clock, rng=random.Random(1), pace=pace)
    keys.purge(name)
    left = list(written)
    foreign = {key for key in others if not first <= key < end}
    for _ in range(500):
        if keys.purge(name).done:
            break
        clock.step(keys.advance(store) or 0.0)
        # Nobody is told that it is done while keys are there.
        assert not (keys.purge(name).done and store.of(first, end))
        if left and not keys.purge(name).done:
            mine, other = left.pop()
            store.put(first + mine, other)
            foreign |= {other} if not first <= other < end else set()
    assert keys.purge(name).done
    assert store.keys == sorted(foreign)
