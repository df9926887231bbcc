"""How long a reflector waits after something failed."""

import random

from informers.clock import Clock

_INITIAL = 0.8
_FACTOR = 2.0
_CAP = 30.0
_JITTER = 1.0
_RESET = 120.0


class Backoff:
    """Delays that double from 0.8 to 30 s, each stretched by up to twice, as in client-go.

    It starts anew once nothing failed for 2 minutes. client-go's comment says the same, its code
    starts anew whenever the last new start is that long ago, under continuous failure too; the
    comment is what is meant, and an API server that is down gains nothing from the other.
    Not thread safe: it belongs to one reflector.
    """

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._next = _INITIAL
        self._calm_from = clock.monotonic()

    def next_delay(self, asked: float = 0.0) -> float:
        """Seconds to wait now, from `asked` on if the server wants more; the next call gives more.

        What was asked is stretched too: the server has told the same to everybody else.
        """
        now = self._clock.monotonic()
        if now - self._calm_from > _RESET:
            self._next = _INITIAL
        delay = max(self._next, asked) * (1 + _JITTER * self._rng.random())
        self._next = min(self._next * _FACTOR, _CAP)
        # Calm begins when the wait is over: a long wait is no sign of health.
        self._calm_from = now + delay
        return delay
