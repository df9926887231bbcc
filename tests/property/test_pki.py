"""Certificates of a storage through any history: whoever meets whom, both believe each other."""

import datetime as dt
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.pki.rotation import PUT_OFF, look
from tests.support.handshake import asking, serving, shake_hands
from tests.support.pkiworld import DNS, STEPS, World, advance, believed, secret, step

START = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
SHARES = st.floats(0, 1)
NUMBERS = st.integers(0, 999)
BUT_RESTORE = tuple(step for step in STEPS if step != "restore")
MINUTE = dt.timedelta(minutes=1)


class Histories(RuleBasedStateMachine):
    """Everything that may happen to a storage's certificates, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(START)
        self.restored = False
        self.loaded()

    def loaded(self) -> None:
        self.world.reconcile()
        for side in (self.world.server, *self.world.clients.values()):
            side.load("both")

    @rule(what=st.sampled_from(STEPS), share=SHARES, number=NUMBERS)
    def happens(self, what: str, share: float, number: int) -> None:
        self.restored |= what == "restore"
        step(self.world, what, share, number)

    @rule(share=SHARES, number=NUMBERS)
    def reconciled_in_time(self, share: float, number: int) -> None:
        step(self.world, "advance", share, number | 1)
        step(self.world, "reconcile", share, number)

    @invariant()
    def all_believe_each_other(self) -> None:
        for loaded in (False, True):
            for pair, bundle, _ in self.world.meetings(loaded=loaded):
                assert believed(pair, bundle, self.world.now)

    @invariant()
    def a_second_look_wants_nothing_until_it_is_time(self) -> None:
        found = self.world.look()
        if found.trust is None:
            # A Secret older than all that is delivered is nothing to go on with.
            assert self.restored
            return
        assert found.problem is None or found.problem.reason == PUT_OFF
        assert found.data is not None
        assert found.annotations is not None
        assert found.again is not None
        assert found.again > 0
        kept = secret(found.data, found.annotations, self.world.secret)
        bundle = found.trust.bundle(self.world.clock)
        settled = look(kept, bundle, self.world.terms, self.world.clock)
        assert settled.trust is not None
        assert settled.made == ""
        before = self.world.clock + dt.timedelta(seconds=settled.again or 0) * 0.999
        later = look(
            secret(settled.data or {}, settled.annotations or {}, kept),
            bundle,
            self.world.terms,
            before,
        )
        assert (later.trust, later.data, later.made) == (settled.trust, settled.data, "")
        assert settled.trust.bundle(before) == bundle
        assert settled.trust.chain(before) == settled.trust.chain(self.world.clock)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(BUT_RESTORE), SHARES, NUMBERS), max_size=6),
    st.lists(st.tuples(st.integers(1, 4000), NUMBERS), min_size=1, max_size=3),
)
def test_after_a_clock_that_was_years_ahead_all_is_good_again(
    steps: list[tuple[str, float, int]], jumps: list[tuple[int, int]]
) -> None:
    world = World(START)
    for what, share, number in steps:
        step(world, what, share, number)
        step(world, "reconcile", 0, 0)
    for days, number in jumps:
        world.ahead = dt.timedelta(days=days)
        step(world, "reconcile", 0, number)
    world.ahead = dt.timedelta(0)
    for _ in range(2):
        world.reconcile()
        for side in (world.server, *world.clients.values()):
            side.load("both")
    found = world.look()
    assert (found.made, found.problem) == ("", None)
    assert found.trust is not None
    signer = found.trust.signer.certificate
    assert signer.not_valid_before_utc <= world.now < signer.not_valid_after_utc
    for client in world.clients.values():
        for prover, verifier in ((client, world.server), (world.server, client)):
            assert prover.pair is not None
            assert verifier.bundle is not None
            assert believed(prover.pair, verifier.bundle, world.now)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), SHARES, NUMBERS), min_size=5, max_size=25))
def test_openssl_sees_it_as_we_do(steps: list[tuple[str, float, int]]) -> None:
    # OpenSSL's clock cannot be set, so the history ends now.
    advances = (advance(share, number) for what, share, number in steps if what == "advance")
    past = sum(advances, dt.timedelta(0))
    world = World(dt.datetime.now(dt.UTC) - past)
    for what, share, number in steps:
        step(world, "reconcile", 0, 1)
        step(world, what, share, number)
    soon = world.now + MINUTE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pair, bundle, what in [*world.meetings(loaded=False)][:20]:
            if pair.certificates[0].not_valid_after_utc < soon or not believed(pair, bundle, soon):
                continue
            shown = pair.cert_pem, pair.key_pem
            if what == "server":
                shake_hands(serving(folder, *shown), asking(folder, bundle.pem), DNS)
            else:
                shake_hands(serving(folder, *shown, bundle.pem), asking(folder, b"", shown), DNS)
