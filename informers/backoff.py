"""How long a reflector waits after something failed."""

import random

from informers.clock import Clock

_FACTOR = 2.0
_JITTER = 1.0


class Backoff:
    """Delays that double from `initial` to `cap` seconds, each stretched by up to twice.

    The defaults are client-go's: 0.8 s doubling to 30 s, so 30 to 60 s at the cap. It starts
    anew once nothing failed for `reset` seconds. client-go's comment says the same, its code
    starts anew whenever the last new start is that long ago, under continuous failure too; the
    comment is what is meant, and an API server that is down gains nothing from the other.
    Not thread safe: it belongs to one reflector.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        initial: float = 0.8,
        cap: float = 30.0,
        reset: float = 120.0,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._initial = initial
        self._cap = cap
        self._reset = reset
        self._next = initial
        self._calm_from = clock.monotonic()

    def next_delay(self, asked: float = 0.0) -> float:
        """Seconds to wait now, from `asked` on if the server wants more; the next call gives more.

        What was asked is stretched too: the server has told the same to everybody else.
        """
        now = self._clock.monotonic()
        if now - self._calm_from > self._reset:
            self._next = self._initial
        delay = max(self._next, asked) * (1 + _JITTER * self._rng.random())
        self._next = min(self._next * _FACTOR, self._cap)
        # Calm begins when the wait is over: a long wait is no sign of health.
        self._calm_from = now + delay
        return delay
