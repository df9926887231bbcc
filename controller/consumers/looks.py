"""Looks whether consumers' objects are still as they were found.

Of an object of the same resourceVersion nothing is to be decided anew. So a look costs one read,
and only where it finds something else the storage is reconciled.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from controller.consumers.consumer import Consumer
from controller.consumers.polls import Polls
from informers import ApiError, Client, ConnectionFailed
from informers.store import resource_version
from workqueue import Clock

ROUND: Final = 10.0
"""Seconds between two rounds. Each looks at all that fall due before the next one: many in a row
cost half of what as many do that come one by one."""


class Looks:
    """A thread that makes rounds; `on_change` is called by it with a storage's name."""

    def __init__(
        self, client: Client, polls: Polls[Any], on_change: Callable[[str], None], *, clock: Clock
    ) -> None:
        self._client = client
        self._polls = polls
        self._on_change = on_change
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looks", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further look; one under way ends with the client."""
        self._stopped.set()

    def join(self, timeout: float) -> None:
        """Wait so many seconds for the thread to end, if it was started."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def make_round(self) -> None:
        """Look at all objects that fall due before the next round."""
        for due in self._polls.due(ROUND):
            if self._stopped.is_set():
                return
            if self._version(due.consumer) == due.record.seen:
                self._polls.confirm(due)
            elif self._polls.doubt(due):
                self._on_change(due.storage)

    def _run(self) -> None:
        while not self._clock.wait(self._stopped, ROUND):
            self.make_round()

    def _version(self, consumer: Consumer) -> str | None:
        """Return the object's resourceVersion; None if that cannot be had."""
        try:
            return resource_version(
                self._client.get(consumer.resource, consumer.name, consumer.namespace)
            )
        except (ApiError, ConnectionFailed):
            # What it is and what is to be done, a reconcile finds out.
            return None
