"""Keeps what storages have in the core etcd as it is wanted, users, roles and keys: one thread."""

import random
import threading
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from controller.api.conditions import Problem
from controller.core import keys
from controller.core.agenda import PENDING, Agenda, Order
from controller.core.errors import ClosedError, UnreachableError
from controller.core.keys import Keys
from controller.core.looks import (
    Access,
    Candidate,
    CoreLook,
    Listeners,
    Pace,
    PurgeLook,
    Trust,
    TrustLook,
    UserLook,
)
from controller.core.rounds import Core, Rounds
from controller.core.trust import Member, Proof
from workqueue import REAL_CLOCK, Clock

STOP: Final = 2.0
"""Seconds that a stop may take; a call that waits is ended."""

_log = structlog.get_logger("controller.core")


class ClosableCore(Core, keys.Core, Member, Protocol):
    """A core whose `close`, by any thread, ends a call that waits, with ClosedError."""


class UserKeeper:
    """All methods may be called by any thread, and none waits for the core but `stop`.

    A storage is told to the keeper in this order: `want` unclaimed until the look is FREE, then
    the mark in the object that its user has to be removed (a finalizer), then `want` claimed until
    it is READY; in the end `drop` until it is GONE, and `forget`. Nothing is made in the core for
    a storage that is not claimed, nothing removed but for one that is dropped. Keys are counted
    and purged apart from that, for storages without a user as well.

    It opens no connection before it has something to ask: gRPC takes 22 MiB of memory.
    """

    def __init__(
        self,
        connect: Callable[[Access], ClosableCore],
        listeners: Listeners,
        *,
        rng: random.Random,
        clock: Clock = REAL_CLOCK,
        pace: Pace | None = None,
    ) -> None:
        """Start nothing. `connect` returns at once, and raises ValueError for URLs that are none.

        `pace` is `Pace()` unless given.
        """
        self._connect = connect
        self._listeners = listeners
        self._clock = clock
        self._agenda = Agenda()
        pace = pace or Pace()
        self._rounds = Rounds(self._agenda, listeners, clock=clock, rng=rng, pace=pace)
        self._keys = Keys(listeners.on_change, clock=clock, rng=rng, pace=pace)
        self._proof = Proof(connect, listeners.on_core_change, clock=clock, rng=rng)
        self._wake = threading.Condition()
        self._woken = False
        self._needed = False
        """Whether anybody has asked for something that only the core can tell, or do."""
        self._access: Access | Problem | None = None
        """What the connection is to be made of."""
        self._connected: Access | Problem | None = None
        self._client: ClosableCore | None = None
        self._thread = threading.Thread(target=self._run, name="core-users", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = STOP) -> bool:
        """End the thread and the call that it waits for; True if it has ended in time."""
        self._rounds.stopping.set()
        with self._wake:
            client = self._client
        if client is not None:
            client.close()
        self._proof.close()
        self._notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def use(self, access: Access | Problem) -> None:
        """Reach the core this way from now on, or not at all, for this reason."""
        with self._wake:
            self._access = access
        self._notify()

    def core(self) -> CoreLook:
        """Return how the core stands, and go on finding that out."""
        if not self._needed:
            self._need()
        return self._rounds.look

    def trust(self, candidate: Candidate) -> TrustLook:
        """Return whether the core trusts `candidate`, and find that out, in place of any other."""
        look = self._proof.look(candidate)
        if look.trust is Trust.UNKNOWN:
            self._need()
        return look

    def want(self, storage: str, *, claimed: bool) -> UserLook:
        """Keep the storage's user and role from now on; return how they stand.

        As long as it is not claimed, they are only looked at: FREE, or FAILED with the problem
        CoreUserConflict if there are some that we would not make so.
        """
        return self._ask(Order(storage, wanted=True, claimed=claimed))

    def drop(self, storage: str) -> UserLook:
        """Remove the storage's user and role; return how they stand."""
        return self._ask(Order(storage, wanted=False, claimed=True))

    def count(self, storage: str, last: int | None = None) -> int | None:
        """Return how many keys the storage has, and count them now and then; None: not known.

        `last` is what was told of it before this program could count them, which is believed for
        as long as a number of our own is. If they were being purged, that ends.
        """
        due = self._keys.due()
        keys = self._keys.count(storage, last)
        if self._keys.due() != due:
            self._notify()  # The thread waits for somebody who is later, or for nobody.
        return keys

    def purge(self, storage: str) -> PurgeLook:
        """Remove all keys of the storage; return how that stands.

        Raises ValueError if the name is none that a storage can have.
        """
        look = self._keys.purge(storage)
        if not look.done:
            self._need()
        return look

    def forget(self, storage: str) -> None:
        """The storage is gone: do nothing for it any more."""
        self._agenda.forget(storage)
        self._keys.forget(storage)

    def _ask(self, order: Order) -> UserLook:
        look = self._agenda.ask(order)
        if look == PENDING:
            self._need()
        return look

    def _need(self) -> None:
        self._needed = True
        self._notify()

    def _notify(self) -> None:
        with self._wake:
            self._woken = True
            self._wake.notify()

    def _run(self) -> None:
        try:
            while not self._rounds.stopping.is_set():
                self._turn()
        except BaseException as failure:  # noqa: BLE001 - nothing may end the thread unseen
            _log.exception("core_users_thread_died")
            self._listeners.on_death(failure)
        finally:
            self._close()

    def _turn(self) -> None:
        try:
            wait = self._advance()
        except ClosedError:
            # By `stop`.
            return
        with self._wake:
            if wait != 0 and not self._woken:
                self._clock.wait_on(self._wake, wait)
            self._woken = False

    def _advance(self) -> float | None:
        """Do the next thing of each kind; return the seconds until there is another, or None."""
        due = self._keys.wait()
        if not self._needed and due != 0:
            return due
        self._needed = True
        self._reconnect()
        waits = [self._proof.advance(), self._rounds.advance(), self._keys.age()]
        look, client = self._rounds.look, self._client
        if client is not None and look.reachable and look.problem is None:
            try:
                waits.append(self._keys.advance(client))
            except UnreachableError:
                self._rounds.poll_soon()
                return 0.0
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def _reconnect(self) -> None:
        """Make the connection that is asked for, unless it is the one there is."""
        with self._wake:
            access = self._access
        if access == self._connected or access is None:
            return
        self._connected = access
        self._close()
        self._proof.use(None if isinstance(access, Problem) else access)
        if isinstance(access, Problem):
            self._rounds.lose(access)
            return
        try:
            client = self._connect(access)
        except ValueError as error:
            self._proof.use(None)
            self._rounds.lose(Problem("CoreAccessUnusable", str(error)))
            return
        with self._wake:
            self._client = client
        self._rounds.use(client)
        if self._rounds.stopping.is_set():
            # `stop` may have looked for a connection just before this one was made.
            self._close()

    def _close(self) -> None:
        with self._wake:
            client, self._client = self._client, None
        if client is not None:
            client.close()
