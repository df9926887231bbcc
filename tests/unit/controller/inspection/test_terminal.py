"""Progress is for who waits at a terminal, and nothing of it stays."""

import io
import threading

import pytest

from controller.inspection.finding import Level
from controller.inspection.terminal import PATIENCE, Progress, painted, wants_colour
from tests.support.clock import FakeClock
from tests.support.eventually import eventually


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_quick_is_not_told() -> None:
    out = Terminal()
    with Progress(out, FakeClock()).of("asking"):
        pass
    assert not out.getvalue()


def test_what_takes_long_is_told_and_erased() -> None:
    out, clock = Terminal(), FakeClock()
    with Progress(out, clock).of("asking"):
        clock.await_waiters()
        clock.step(PATIENCE)
        eventually(lambda: "asking ... 2 s" in out.getvalue())
        clock.await_waiters()
        clock.step(1.0)
        eventually(lambda: "asking ... 3 s" in out.getvalue())
    assert out.getvalue().endswith("\r\033[K")


def test_an_error_ends_it_as_well() -> None:
    with pytest.raises(ZeroDivisionError), Progress(Terminal(), FakeClock()).of("asking"):
        _ = 1 / 0
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_a_file_gets_none() -> None:
    out = io.StringIO()
    with Progress(out, FakeClock()).of("asking"):
        assert "progress" not in [thread.name for thread in threading.enumerate()]
    assert not out.getvalue()


def test_colour_is_for_a_terminal_where_nobody_refused_it() -> None:
    assert wants_colour(Terminal(), {})
    assert wants_colour(Terminal(), {"NO_COLOR": ""})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(io.StringIO(), {})
    assert painted(Level.FAIL, "FAIL", colour=True) == "\033[31mFAIL\033[0m"
    assert painted(Level.FAIL, "FAIL", colour=False) == "FAIL"
