"""One shared informer per resource and namespace, started and ended together."""

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from informers.clock import Clock
from informers.listwatch import ListWatch
from informers.resource import Resource
from informers.rest.client import Client
from informers.shared import STOP_TIMEOUT, FailureHandler, SharedIndexInformer
from informers.store import NAMESPACE_INDEX, IndexFunc, meta_namespace_index

_SLICE = 0.05
"""Seconds between two looks at the caller's stop event while waiting for a sync."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one informer covers."""

    resource: Resource
    namespace: str | None
    selectors: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        where = f"{self.resource.group_resource} in {self.namespace or 'all namespaces'}"
        return " ".join([where, *(value for _, value in self.selectors)])


class SharedInformerFactory:
    """Hands out informers of the cluster behind `client`. Thread safe.

    Each informer has one connection of its own, so that its stop and its `reconnect` cut nobody
    else's; the pool of `client` is left to whoever makes calls.

    `resync_period` is the default of all handlers, in seconds, 0 for never. `on_failure` is
    called once for each informer that dies of a bug: its store stays as it is from then on.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        rng: random.Random,
        resync_period: float = 0.0,
        *,
        on_failure: FailureHandler | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._resync_period = resync_period
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._informers: dict[Scope, SharedIndexInformer] = {}
        self._shut_down = False

    def informer(
        self,
        resource: Resource,
        namespace: str | None = None,
        indexers: Mapping[str, IndexFunc] | None = None,
        selectors: Mapping[str, str] | None = None,
    ) -> SharedIndexInformer:
        """The informer of `resource` in `namespace`; made at the first call.

        None and "" stand for all namespaces. `selectors` narrow it by the API's labelSelector
        and fieldSelector. It has the index "namespace" and those of `indexers`; a later call may
        bring more. `ValueError` if it has another function under one of these names,
        `RuntimeError` if it is to be made or indexed after `shutdown`.
        """
        scope = Scope(resource, namespace or None, tuple(sorted((selectors or {}).items())))
        with self._lock:
            informer = self._informers.get(scope) or self._make(scope)
        # Without the lock: `shutdown` must not wait for an index function that hangs.
        if indexers:
            informer.add_indexers(indexers)
        return informer

    def start(self) -> None:
        """Start the informers that do not run yet; call it again after asking for more."""
        with self._lock:
            for informer in self._informers.values():
                informer.start()

    def wait_for_cache_sync(self, timeout: float | None, stop: threading.Event) -> list[str]:
        """Wait until every informer has synced; names those that have not, so [] is success.

        Ends early when `stop` is set or the factory is shut down. `timeout` is in seconds, None
        for no limit.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self._lock:
            informers = dict(self._informers)
        for informer in informers.values():
            self._await_settled(informer, deadline, stop)
        return [str(scope) for scope, informer in informers.items() if not informer.has_synced()]

    def informers(self) -> list[SharedIndexInformer]:
        """All informers asked for so far."""
        with self._lock:
            return list(self._informers.values())

    def shutdown(self) -> list[str]:
        """Stop and end every thread within 2 s; names those that run on. May be repeated.

        The only thread that can is one whose handler does not return, or one that is about to
        open a TCP connection.
        """
        with self._lock:
            self._shut_down = True
            informers = list(self._informers.values())
        for informer in informers:
            informer.stop()
        deadline = time.monotonic() + STOP_TIMEOUT
        return [
            name
            for informer in informers
            for name in informer.join(max(0.0, deadline - time.monotonic()))
        ]

    def _make(self, scope: Scope) -> SharedIndexInformer:
        if self._shut_down:
            raise RuntimeError(f"no informer of {scope} after the shutdown: it would stay empty")
        informer = self._informers[scope] = SharedIndexInformer(
            scope.resource,
            ListWatch(self._client, scope.resource, scope.namespace, dict(scope.selectors)),
            clock=self._clock,
            # Each has its own, as Random is shared by threads at the price of a lock.
            rng=random.Random(self._rng.random()),  # noqa: S311 - it spreads load, no more
            indexers={NAMESPACE_INDEX: meta_namespace_index},
            resync_period=self._resync_period,
            on_failure=self._on_failure,
        )
        return informer

    def _await_settled(
        self, informer: SharedIndexInformer, deadline: float | None, stop: threading.Event
    ) -> None:
        while not informer.settled.is_set() and not stop.is_set():
            left = _SLICE if deadline is None else deadline - self._clock.monotonic()
            if left <= 0:
                return
            self._clock.wait(informer.settled, min(_SLICE, left))
