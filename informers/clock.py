"""Time, as informers see it: handed in, so that a test can move it."""

import threading
from typing import Protocol


class Clock(Protocol):
    """Monotonic time and the two ways to wait for it to pass."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait until `event` is set or `timeout` seconds passed; True if it is set."""
        ...

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on `condition`, whose lock the caller holds; False if `timeout` passed first."""
        ...
