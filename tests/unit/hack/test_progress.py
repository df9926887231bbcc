import io
import threading

import pytest

from hack.cluster.progress import Progress


class Screen(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal
        self.spoke_twice = threading.Event()

    def isatty(self) -> bool:
        return self._terminal

    def flush(self) -> None:
        if self.getvalue().count("job: ...") >= 2:
            self.spoke_twice.set()


def test_a_file_gets_a_line_at_start_and_at_the_end() -> None:
    times = iter([100.0, 107.25])
    screen = Screen(terminal=False)
    with Progress("job", stream=screen, clock=lambda: next(times)):
        pass
    assert screen.getvalue() == "job: ...\njob: done in 7.2 s\n"


def test_a_long_job_tells_that_it_goes_on() -> None:
    screen = Screen(terminal=False)
    with Progress("job", stream=screen, interval=0.001, clock=lambda: 5.0):
        assert screen.spoke_twice.wait(5)
    lines = screen.getvalue().splitlines()
    assert lines[0] == "job: ..."
    assert lines[-1] == "job: done in 0.0 s"
    assert set(lines[1:-1]) == {"job: ... 0 s"}


def test_a_terminal_keeps_one_line() -> None:
    screen = Screen(terminal=True)
    with Progress("job", stream=screen, clock=lambda: 5.0):
        pass
    assert screen.getvalue() == "\r\033[Kjob: ...\r\033[Kjob: done in 0.0 s\n"


def test_a_failure_is_called_one() -> None:
    screen = Screen(terminal=False)
    with (
        pytest.raises(ValueError, match="broken"),
        Progress("job", stream=screen, clock=lambda: 5.0),
    ):
        raise ValueError("broken")
    assert screen.getvalue().endswith("job: failed after 0.0 s\n")
