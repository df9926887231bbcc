"""A client whose controller is ended at one of its writes, as by a kill, and writes no more."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from informers import Client
from informers.rest.calls import RETRIES
from informers.rest.config import ClusterConfig
from workqueue import RealClock

Json = dict[str, Any]


class KilledError(BaseException):
    """The process is no more; nothing of it may catch this."""


@dataclass(frozen=True, slots=True)
class Death:
    """At the write `at`, counted from 1; `reached`: the server has carried that one out."""

    at: int
    reached: bool


class MortalClient(Client):
    """Counts writes, but for events, which a kill may cost anybody.

    `writes` names those that came, as "PATCH secrets/name"; `stored` has what the server answered
    to those that it carried out, in order. What only asks whether something may be is no write.
    """

    def __init__(self, config: ClusterConfig, death: Death | None = None) -> None:
        super().__init__(config, clock=RealClock())
        self.writes: list[str] = []
        self.stored: list[Json] = []
        self.dead = threading.Event()
        self._death = death
        self._lock = threading.Lock()

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str | int | bool | None] | None = None,
        max_retries: int = RETRIES,
    ) -> Json:
        def call() -> Json:
            return super(MortalClient, self)._json(
                method,
                path,
                body=body,
                content_type=content_type,
                query=query,
                max_retries=max_retries,
            )

        if method == "GET" or (query or {}).get("dryRun"):
            return call()
        with self._lock:
            if self.dead.is_set():
                raise KilledError
            if path.endswith("/events") or "/events/" in path:
                return call()
            self.writes.append(f"{method} {_object(path, body)}")
            dies = self._death is not None and len(self.writes) == self._death.at
            if dies:
                self.dead.set()
            if dies and self._death and not self._death.reached:
                raise KilledError
            self.stored.append(call())
            if dies:
                raise KilledError
            return self.stored[-1]


def _object(path: str, body: object) -> str:
    """Return plural and name, also of what is created, and the subresource."""
    parts = path.split("/")[3 if path.startswith("/api/") else 4 :]
    if parts[0] == "namespaces":
        parts = parts[2:]
    if len(parts) == 1 and isinstance(body, Mapping):
        parts.append(body["metadata"]["name"])
    return "/".join(parts)
