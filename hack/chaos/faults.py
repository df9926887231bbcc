"""What becomes of a request on its way to the API server: drawn, by nobody's will."""

import random
import threading
from dataclasses import dataclass, field
from typing import Final

_WATCH: Final = 20.0
"""Seconds that a watch lasts in the mean, while there are faults."""

_LONGEST_DELAY: Final = 1.0
"""Seconds."""

_READS: Final = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one request. Where it neither is answered nor cut, it gets the server's own answer."""

    delay: float = 0.0
    """Seconds before anything else."""
    reaches: bool = True
    """Whether the server carries it out."""
    answer: int | None = None
    """The status code of an answer that is not the server's."""
    cut: bool = False
    """Whether the connection ends without an answer."""
    lasts: float | None = None
    """Seconds after which a watch ends in the midst; None: as long as both want."""


CALM: Final = Fate()


@dataclass
class Faults:
    """Draws the fates; thread safe. `odds` is the share of requests with a fault, 0 for none."""

    rng: random.Random
    odds: float = 0.0
    count: int = 0
    """Of faults so far."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def draw(self, method: str, *, watch: bool = False) -> Fate:
        """Return what becomes of the next request."""
        with self._lock:
            if self.rng.random() >= self.odds:
                lasts = self.rng.expovariate(1 / _WATCH) if watch and self.odds else None
                return Fate(lasts=lasts)
            self.count += 1
            return self._fault(method)

    def _fault(self, method: str) -> Fate:
        read = method in _READS
        code = self.rng.choice((429, 500) if read else (429, 500, 409))
        return self.rng.choice(
            (
                Fate(delay=self.rng.uniform(0.0, _LONGEST_DELAY)),
                Fate(reaches=False, answer=code),
                Fate(reaches=False, cut=True),
                # The worst: it is done, and who asked for it is told that it failed, or nothing.
                Fate(answer=500),
                Fate(cut=True),
            )
        )
