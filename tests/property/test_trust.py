"""The trust in authorities through any history of bundles, ways to the core and candidates."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import Trust, TrustLook
from controller.core.trust import Proof
from tests.support.clock import FakeClock
from tests.support.members import Members, access, candidate

URLS = ("https://1", "https://2", "https://3")
NAMES = ("old", "new")

bundles = st.none() | st.sets(st.sampled_from(NAMES))
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("bundle"), st.sampled_from(URLS), bundles),
        st.tuples(st.just("way"), st.sets(st.sampled_from(URLS), min_size=1) | st.none()),
        st.tuples(st.just("ask"), st.sampled_from(NAMES)),
        st.tuples(st.just("time"), st.floats(0, 60)),
    ),
    max_size=25,
)


class World:
    """A proof, and what the members could have told since it began anew."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.members = Members({})
        self.told = 0
        self.proof = Proof(
            self.members.connect, self._tell, clock=self.clock, rng=random.Random(1)
        )
        self.way: tuple[str, ...] = ()
        self.name = NAMES[0]
        self._took: set[str] = set()
        self._refused: set[str] = set()

    def _tell(self) -> None:
        self.told += 1

    def look(self) -> TrustLook:
        return self.proof.look(candidate(self.name))

    def happen(self, what: object, *values: object) -> None:
        before = self.way, self.name
        match what, values:
            case "bundle", [str() as url, trusted]:
                self.members.bundles.pop(url, None)
                if isinstance(trusted, set):
                    self.members.bundles[url] = trusted
            case "way", [urls]:
                self.way = tuple(sorted(urls)) if isinstance(urls, set) else ()
                self.proof.use(access(*self.way) if self.way else None)
            case "ask", [str() as name]:
                self.name = name
            case "time", [float() as seconds]:
                self.clock.step(seconds)
        if before != (self.way, self.name):
            self._took.clear()
            self._refused.clear()
        for url, trusted in self.members.bundles.items():
            (self._took if self.name in trusted else self._refused).add(url)

    def check(self, look: TrustLook) -> None:
        named, others = set(look.urls), set(self.way) - set(look.urls)
        match look.trust:
            case Trust.FULL:
                assert set(self.way) <= self._took
            case Trust.REFUSED:
                assert named
                assert named <= self._refused
            case Trust.DIVIDED:
                assert named
                assert named <= self._refused
                assert others & self._took
            case Trust.PARTIAL:
                assert named < set(self.way)
                assert others <= self._took
        assert self.members.open == 0


@settings(max_examples=60, deadline=None)
@given(happenings)
def test_full_trust_is_that_of_every_member_and_a_refusal_that_of_some(
    history: list[tuple[object, ...]],
) -> None:
    world = World()
    for happening in history:
        world.happen(*happening)
        before, told = world.look(), world.told
        wait = world.proof.advance()
        after = world.look()
        assert (after != before) == (world.told > told)
        assert (wait is None) == (not world.way or after.trust is Trust.FULL)
        world.check(after)
    # Left alone for long enough, it is as the members say.
    world.clock.step(60)
    world.proof.advance()
    bundles = [world.members.bundles.get(url) for url in world.way]
    if world.way and all(bundle is not None and world.name in bundle for bundle in bundles):
        assert world.look().trust is Trust.FULL
