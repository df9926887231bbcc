"""As many calls at a time as there are connections for them."""

import threading

from informers.clock import Clock


class Slots:
    """`count` places; whoever finds none waits for one. Thread safe.

    urllib3's own pool can wait as well, but not by our clock, and closing it wakes nobody. Here
    closing the client ends the calls that have a place, and so lets the waiting ones on.
    """

    def __init__(self, count: int, *, clock: Clock) -> None:
        self._free = count
        self._clock = clock
        self._changed = threading.Condition()

    def take(self, longest: float) -> bool:
        """Take a place; False if none comes free within `longest` seconds."""
        with self._changed:
            deadline = self._clock.monotonic() + longest
            while self._free <= 0:
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return False
                self._clock.wait_on(self._changed, left)
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Leave the place that `take` gave."""
        with self._changed:
            self._free += 1
            self._changed.notify()
