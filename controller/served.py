"""Which certificates the gates of storages serve now, as they say themselves.

A Secret reaches a pod 60 to 90 s after it was written, and Envoy may refuse what is in it: so
what is served is looked at, never inferred from what was written. A controller outside of the
cluster reaches no pod and goes on without; what it costs is bounded in threads, time and rate.
"""

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from controller.dataplane.pods import PORTS
from controller.gatecerts import NoAnswerError, Served, ask
from workqueue import REAL_CLOCK, Clock, DelayingQueue, ShutDown

THREADS: Final = 4
"""That ask at the same time; each question takes a second at most."""

SOON: Final = 3.0
"""Seconds before a gate that does not serve what is wanted is asked again, at first."""
LATENESS: Final = 0.1
"""Of the time since something is wanted: how much later than a gate we may know that it does."""
SELDOM: Final = 600.0
"""Seconds before one that serves what is wanted is asked again, and the most for all that
answer."""
UNREACHABLE: Final = 3600.0
"""The most for one that does not: 6,000 of these keep two of the threads waiting for nothing."""
SPREAD: Final = 0.01
"""Seconds for each storage that is known, over which a new gate is asked: those of 3,000
are looked at in half a minute after a start."""
_JITTER: Final = 0.2

_log = structlog.get_logger("controller.served")

Key = tuple[str, str]
"""A storage's name and a pod's uid."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the gates of a storage should serve."""

    serial: int
    bundle_serials: frozenset[int]
    """The CAs that have to be among those whose clients it takes."""
    clients: str
    """The version of the list of those who are let in."""

    def met_by(self, served: Served) -> bool:
        """Whether a gate that serves this serves what is wanted."""
        known = self.bundle_serials <= served.bundle_serials
        return known and (served.serial, served.clients) == (self.serial, self.clients)


@dataclass(slots=True)
class _Gate:
    """A pod, and how its asking stands; guarded by the lock of `ServedCertificates`."""

    host: str
    wanted: Wanted
    since: float
    """When this was wanted first."""
    due: float
    seen: Served | None = None
    """What it has answered last."""
    failures: int = 0
    """In a row."""


class ServedCertificates:
    """All methods may be called by any thread, and none waits but `stop`.

    `on_change` is called with a storage's name when a gate of it serves something else than
    before, or is seen for the first time; by a thread of ours, so it must not wait.
    """

    def __init__(
        self,
        on_change: Callable[[str], None],
        rng: random.Random,
        *,
        clock: Clock = REAL_CLOCK,
        port: int = PORTS.probe,
    ) -> None:
        self._on_change = on_change
        self._rng = rng
        self._clock = clock
        self._port = port
        self._lock = threading.Lock()
        self._gates: dict[str, dict[str, _Gate]] = {}
        self._queue: DelayingQueue[Key] = DelayingQueue("served", clock=clock)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"served-{n}", daemon=True)
            for n in range(THREADS)
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every thread; returns within `TIMEOUT` of what is being asked."""
        self._stopped.set()
        self._queue.shut_down()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def look(
        self, storage: str, pods: Iterable[Mapping[str, Any]], wanted: Wanted
    ) -> Mapping[str, Served]:
        """Return what was seen of the pods, by uid, and see to it that more is.

        Those that have not shown what is wanted are asked soon, and `pods` are all that there
        are: others of the storage are forgotten.
        """
        hosts = {
            pod["metadata"]["uid"]: ip
            for pod in pods
            if (ip := (pod.get("status") or {}).get("podIP"))
        }
        with self._lock:
            known = self._gates.get(storage, {})
            kept = {uid: gate for uid, gate in known.items() if hosts.get(uid) == gate.host}
            for uid, host in hosts.items():
                self._want((storage, uid), kept, host, wanted)
            self._gates[storage] = kept
            return {uid: gate.seen for uid, gate in kept.items() if gate.seen}

    def forget(self, storage: str) -> None:
        """Ask no more of this storage."""
        with self._lock:
            self._gates.pop(storage, None)

    def _want(self, key: Key, gates: dict[str, _Gate], host: str, wanted: Wanted) -> None:
        gate = gates.get(key[1])
        if gate is not None and gate.wanted == wanted:
            return
        now = self._clock.monotonic()
        if gate is None:
            delay = self._rng.uniform(0, SPREAD * len(self._gates))
            gates[key[1]] = _Gate(host, wanted, since=now, due=now + delay)
        else:
            delay = self._rng.uniform(0, SOON)
            gate.wanted, gate.since, gate.due, gate.failures = wanted, now, now + delay, 0
        self._queue.add_after(key, delay)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                key = self._queue.get()
            except ShutDown:
                return
            try:
                if not self._stopped.is_set():
                    self._turn(key)
            except Exception:  # noqa: BLE001 - no defect may end the thread unseen
                # Whatever it is: this gate is not asked again, and the others are.
                _log.exception("served_look_failed", key=key[0], pod=key[1])
            finally:
                self._queue.done(key)

    def _turn(self, key: Key) -> None:
        """Ask one gate, unless it is gone or an earlier turn has asked it."""
        with self._lock:
            gate = self._find(key)
            early = gate.due - self._clock.monotonic() if gate else 0.0
        if gate is None:
            return
        if early > 0:
            self._queue.add_after(key, early)
            return
        try:
            served, answered = ask(gate.host, self._port, key[0]), True
        except NoAnswerError as error:
            _log.debug("gate_not_seen", key=key[0], pod=key[1], error=str(error))
            served, answered = None, False
        self._note(key, gate, served, answered=answered)

    def _note(self, key: Key, gate: _Gate, served: Served | None, *, answered: bool) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if self._find(key) is not gate:
                return
            changed = served is not None and served != gate.seen
            gate.seen = served or gate.seen
            gate.failures = 0 if answered else gate.failures + 1
            shown = served is not None and gate.wanted.met_by(served)
            delay = self._delay(gate, now, shown=shown)
            gate.due = now + delay
            # Who answers is asked before who does not.
            priority = -gate.failures
        self._queue.add_after(key, delay, priority=priority)
        if changed:
            self._on_change(key[0])

    def _delay(self, gate: _Gate, now: float, *, shown: bool) -> float:
        if gate.failures:
            delay = min(SOON * 2.0 ** min(gate.failures - 1, 30), UNREACHABLE)
        elif shown:
            delay = SELDOM
        else:
            delay = min(max(SOON, LATENESS * (now - gate.since)), SELDOM)
        return delay * self._rng.uniform(1 - _JITTER, 1 + _JITTER)

    def _find(self, key: Key) -> _Gate | None:
        return self._gates.get(key[0], {}).get(key[1])
