"""Time, as everything here sees it: handed in, so that a test can move it.

`informers` asks for the same methods through a protocol of its own and never imports this
module: the two packages do not know each other.
"""

import threading
import time
from typing import Final, Protocol


class Clock(Protocol):
    """Monotonic time and the two ways to wait for it to pass."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait until `event` is set or `timeout` seconds passed; True if it is set."""
        ...

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on `condition`, whose lock the caller holds; False if `timeout` passed first.

        True promises nothing: any wait on a condition can end early, so keep a deadline and look
        at what you wait for. Nor is False proof that nobody notified at the last moment.
        """
        ...


class RealClock:
    """The machine's monotonic clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        return event.wait(timeout)

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        return condition.wait(timeout)


REAL_CLOCK: Final[Clock] = RealClock()
"""The clock of everything that is not handed another one."""
