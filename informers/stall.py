"""Says so when the initial events of a watch are long in coming."""

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from informers.clock import Clock
from informers.resource import Resource

_log = structlog.get_logger(__name__)

INTERVAL = 10.0
"""Seconds without an event after which there is something to say, as in client-go."""


class StallWarning:
    """While entered, one line for every `INTERVAL` seconds in which no event came.

    It ends nothing: the read timeout does, in its time. `last_event` gives the clock's time of
    the latest event; one from before this was made counts as none. A thread of its own looks
    at it, as the one that reads the events waits in a socket.
    """

    def __init__(self, resource: Resource, clock: Clock, last_event: Callable[[], float]) -> None:
        self._resource = resource
        self._clock = clock
        self._last_event = last_event
        self._begun = clock.monotonic()
        self._over = threading.Event()
        name = f"informer-{resource.plural}/stall"
        self._thread = threading.Thread(target=self._look_until_over, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look_until_over(self) -> None:
        while not self._clock.wait(self._over, INTERVAL):
            found = stall(self._begun, self._last_event(), self._clock.monotonic())
            if found:
                event, seconds = found
                about = {"resource": self._resource.group_resource, "seconds": round(seconds)}
                with contextlib.suppress(Exception):  # nobody may be left who reads it
                    _log.warning(event, **about)


def stall(begun: float, last_event: float, now: float) -> tuple[str, float] | None:
    """What to say of initial events that are not complete, and of how many seconds; or nothing."""
    if last_event <= begun:
        return "initial_events_do_not_begin", now - begun
    silent = now - last_event
    return ("initial_events_do_not_end", silent) if silent >= INTERVAL else None
