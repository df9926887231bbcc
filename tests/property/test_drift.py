"""Histories of a field that we and somebody else write in turn, at any pace."""

from hypothesis import given
from hypothesis import strategies as st

from controller.drift import FIGHT, Correction, looked_at, written

OURS, THEIRS = "ours", "theirs"

_PACES = st.lists(st.floats(0.0, 400.0), min_size=1, max_size=60)


class Field:
    """A field that is looked at whenever it changes, and when a look is due."""

    def __init__(self) -> None:
        self.now = 0.0
        self.value = OURS
        self.known: Correction | None = None
        self.writes: list[float] = []

    def look(self) -> None:
        differs = self.value != OURS
        if self.known is not None:
            self.known = looked_at(self.known, self.value, self.now, differs=differs)
        held = self.known is not None and self.known.undone and self.now < self.known.due
        if differs and not held:
            self.value = OURS
            self.writes.append(self.now)
            self.known = written(self.known, OURS, self.now, answer=OURS)

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and look whenever that is due."""
        end = self.now + seconds
        while self.known is not None and (again := self.known.again(self.now)) is not None:
            if self.now + again > end:
                break
            self.now += again
            self.look()
        self.now = end


@given(_PACES)
def test_a_minute_brings_no_more_writes_than_are_made_at_once_and_two(paces: list[float]) -> None:
    field = Field()
    for pace in paces:
        field.pass_by(pace / 100)
        field.value = THEIRS
        field.look()
    for start in field.writes:
        within = [at for at in field.writes if start <= at < start + 60]
        # At once, and then after 1, 2, 4, 8, 16 and 32 seconds.
        assert len(within) <= FIGHT + 6


@given(_PACES)
def test_what_is_left_alone_is_as_it_should_be_within_a_minute_and_forgotten_after_all(
    paces: list[float],
) -> None:
    field = Field()
    for pace in paces:
        field.pass_by(pace)
        field.value = THEIRS
        field.look()
    field.pass_by(60.0)
    assert field.value == OURS
    field.pass_by(900.0)
    field.look()
    assert field.known is None


@given(_PACES)
def test_it_is_a_fight_only_while_somebody_fights(paces: list[float]) -> None:
    """Once told it stays told until it is over, so that no status flaps."""
    field = Field()
    undone = 0
    for pace in paces:
        field.pass_by(pace)
        if field.known is None:
            undone = 0
        undone += field.known is not None and not field.known.undone
        field.value = THEIRS
        field.look()
        fights = field.known is not None and field.known.fights
        assert fights == (undone >= FIGHT)
