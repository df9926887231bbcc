"""Runs an election: makes its calls, keeps its times, and tells when leading begins and ends.

Two threads. One makes the calls, and may hang in one of them; the other, once we lead, does
nothing but watch the time, so that leading ends when it has to, whatever the first one waits for.
"""

import random
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog

from controller.leaderelection.election import (
    Election,
    LeaderElectionConfig,
    Read,
    Request,
)
from controller.leaderelection.lock import LEADER_ELECTION, Lock
from controller.leaderelection.metrics import LeaderElectionMetrics
from controller.leaderelection.record import Lease, released
from informers import ApiError, ConnectionFailed, ResourceEventHandler, ResourceEventHandlerFuncs
from informers.errors import is_already_exists, is_conflict, is_not_found
from workqueue import Clock

_CUT: Final = 1.0
"""Seconds until the threads have ended whose call was cut."""

_TOLERANCE: Final = 20.0
"""Seconds, as in Kubernetes' own controllers."""

_log = structlog.get_logger("controller.leaderelection")


@dataclass(frozen=True, slots=True)
class LeaderCallbacks:
    """Called once each at most, by threads of the elector; client-go's LeaderCallbacks.

    `stopped_leading` is told why, at the last moment: when it returns, nothing may be written any
    more. `died` is told what ended a thread, which is a bug.
    """

    started_leading: Callable[[], None]
    stopped_leading: Callable[[str], None]
    died: Callable[[BaseException], None]


class LeaderElector:
    """One candidate for one lease; may be started once. Losing is final.

    `now` is the time that is written into the lease, for people.
    """

    def __init__(  # noqa: PLR0913 - what it works with, all by name
        self,
        lock: Lock,
        identity: str,
        config: LeaderElectionConfig,
        *,
        clock: Clock,
        rng: random.Random,
        now: Callable[[], datetime],
        metrics: LeaderElectionMetrics,
    ) -> None:
        self._lock = lock
        self._clock = clock
        self._rng = rng
        self._now = now
        self._metrics = metrics
        self._election = Election(identity, config)
        """Guarded by `_changed`."""
        self._changed = threading.Condition()
        self._hurry = True
        """Whether the next attempt is due already."""
        self._stopped = False
        self._release = False
        self._leader: str | None = None
        """Who was told to lead last."""
        self._trouble = ""
        """Why the last attempt failed, '' if it did not; for the thread that makes the calls."""
        self._callbacks: LeaderCallbacks | None = None
        self._threads: list[threading.Thread] = []
        """The one that makes the calls, and then those that it starts."""

    @property
    def identity(self) -> str:
        return self._election.identity

    @property
    def handler(self) -> ResourceEventHandler:
        """What a watch of the lease is to call, so that a change need not wait to be polled."""
        return ResourceEventHandlerFuncs(
            add=lambda lease, _: self._noticed(lease),
            update=lambda _, lease: self._noticed(lease),
            delete=lambda _: self._noticed(None),
        )

    def start(self, callbacks: LeaderCallbacks) -> None:
        """Try to lead, again and again, and then to go on."""
        self._callbacks = callbacks
        self._begin("leaderelection", self._run)

    def stop(self, *, release: bool, timeout: float) -> None:
        """End every thread; with `release`, let another lead at once if nothing is written here.

        Calls that take longer than `timeout` real seconds are cut.
        """
        with self._changed:
            self._stopped = True
            self._release = release
            self._changed.notify_all()
        for thread in self._threads[:1]:
            thread.join(timeout)
        self._lock.close()
        for thread in self._threads:
            thread.join(_CUT)
        self._metrics.leading(False)

    def leads(self) -> bool:
        """Whether it leads at this very moment, for what cannot be undone.

        Who stood still hears of the end of its lease only after its other threads go on.
        """
        with self._changed:
            left = self._election.left(self._clock.monotonic())
            return self._election.leading and left > 0

    def check(self) -> str | None:
        """Return why the program is unhealthy, None if it is not; client-go's HealthzAdaptor.

        It is where it still takes itself for the leader `_TOLERANCE` after the end of the lease.
        """
        with self._changed:
            election = self._election
            if not election.leading or election.renewed_at is None:
                return None
            age = self._clock.monotonic() - election.renewed_at
            if age <= election.config.lease_duration + _TOLERANCE:
                return None
            return f"the lease was not renewed for {age:.0f} s"

    def _begin(self, name: str, body: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                body()
            except BaseException as error:  # noqa: BLE001 - told, and it ends the program
                self._told.died(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def _told(self) -> LeaderCallbacks:
        if self._callbacks is None:
            raise RuntimeError("not started")
        return self._callbacks

    def _run(self) -> None:
        while self._rest():
            self._attempt()
        if self._release and self._election.may_hold:
            self._let_go()

    def _rest(self) -> bool:
        """Wait until the next attempt is due; False at the end."""
        with self._changed:
            now = self._clock.monotonic()
            deadline = now + self._election.pause(now, self._rng)
            while not self._stopped:
                left = deadline - self._clock.monotonic()
                if self._election.lost:
                    self._clock.wait_on(self._changed, None)
                elif self._hurry or left <= 0:
                    break
                else:
                    self._clock.wait_on(self._changed, left)
            self._hurry = False
            self._election.begin()
            return not self._stopped

    def _attempt(self) -> None:
        trouble = ""
        while (request := self._next_request()) is not None:
            sent = self._clock.monotonic()
            try:
                lease = self._perform(request)
            except (ApiError, ConnectionFailed) as error:
                trouble = str(error)
                self._failed(error)
            else:
                self._answered(request, lease, sent)
        self._trouble = trouble

    def _next_request(self) -> Request | None:
        with self._changed:
            before = self._election.slow_paths
            request = self._election.next_request(self._clock.monotonic(), self._now())
            if self._election.slow_paths > before:
                self._metrics.slow_path()
            self._changed.notify_all()  # to the guard, if we have lost
            return request

    def _perform(self, request: Request) -> Lease | None:
        if isinstance(request, Read):
            return self._lock.get()
        if request.resource_version is None:
            return self._lock.create(request.record)
        return self._lock.update(request.record, request.resource_version)

    def _failed(self, error: ApiError | ConnectionFailed) -> None:
        """Go on from there, and say it: a right that is missing is missed at every attempt."""
        with self._changed:
            self._election.failed(refused=isinstance(error, ApiError))
            leading = self._election.leading
        text = str(error)
        raced = is_conflict(error) or is_already_exists(error) or is_not_found(error)
        tell = _log.info if raced and not leading else _log.warning
        if text == self._trouble:
            tell = _log.debug
        tell("lease_not_renewed" if leading else "lease_not_acquired", error=text)

    def _answered(self, request: Request, lease: Lease | None, sent: float) -> None:
        with self._changed:
            before = self._election.leading
            now = self._clock.monotonic()
            self._election.answered(lease, request=request, sent=sent, now=now)
            begun = self._election.leading and not before and not self._stopped
            self._changed.notify_all()
        self._tell_leader()
        if begun:
            _log.info("leading", identity=self.identity)
            self._metrics.leading(True)
            self._begin("leaderelection-guard", self._guard)
            self._told.started_leading()
            # In a thread of its own: it must hold up no renewal.
            self._begin("leaderelection-event", partial(self._record, "became leader"))

    def _tell_leader(self) -> None:
        """Say who leads, whenever that is somebody else."""
        with self._changed:
            leader, before = self._election.holder, self._leader
            self._leader = leader
        if leader and leader not in {before, self.identity}:
            _log.info("standing_by", leader=leader)

    def _guard(self) -> None:
        """Wait for as long as we lead; then say that it is over, if we did not stop before."""
        with self._changed:
            while not self._stopped:
                now = self._clock.monotonic()
                self._election.expire(now)
                if self._election.lost:
                    break
                self._clock.wait_on(self._changed, self._election.left(now))
            why = self._election.lost
        if why:
            self._metrics.leading(False)
            self._told.stopped_leading(why)

    def _noticed(self, obj: Any) -> None:
        with self._changed:
            lease = Lease.of(obj) if obj else None
            if self._election.noticed(lease, self._clock.monotonic()):
                self._hurry = True
                self._changed.notify_all()
        self._tell_leader()

    def _let_go(self) -> None:
        """Say that nobody leads, unless somebody else does; until `stop` cuts it."""
        while True:
            try:
                lease = self._lock.get()
                if lease is None or lease.record.holder != self.identity:
                    return
                self._lock.update(released(lease.record, self._now()), lease.resource_version)
            except (ApiError, ConnectionFailed) as error:
                if is_conflict(error):
                    continue
                _log.warning("lease_not_released", error=str(error))
                return
            _log.info("lease_released")
            self._record("stopped leading")
            return

    def _record(self, what: str) -> None:
        try:
            self._lock.record_event(f"{self.identity} {what}", self._now())
        except (ApiError, ConnectionFailed) as error:
            _log.warning("event_not_sent", reason=LEADER_ELECTION, error=str(error))


def new_identity() -> str:
    """Return a name that no other program has, nor this one in another life."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"
