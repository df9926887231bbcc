"""What the keeper of the users does, one thing at a time: by one thread, and nothing of threads.

A round asks the core how it stands and then gives each storage of the agenda its turn. Users that
somebody else changed are found by the core's own count of changes: it counts each one, so as long
as the count is what ours make it, nobody did anything, and no user has to be read. If it is not,
all are looked at once.
"""

import math
import random
import threading
from dataclasses import replace
from typing import Any, Final, Protocol

import structlog

from controller.api.conditions import Problem
from controller.core import users
from controller.core.agenda import Agenda, Order
from controller.core.compaction import PROBLEM as NOT_COMPACTED
from controller.core.compaction import History
from controller.core.errors import (
    AlreadyExistsError,
    ClosedError,
    CoreError,
    DeniedError,
    NotFoundError,
    UnreachableError,
)
from controller.core.identity import user_name
from controller.core.looks import AuthStatus, CoreLook, Listeners, Pace, UserLook, UserState
from workqueue import BucketRateLimiter, Clock, ItemExponentialFailureRateLimiter

_BACKOFF: Final = 1.0
_MAX_BACKOFF: Final = 30.0
"""Seconds from a failure of the core to the next try, doubled each time; up to a half less by
chance, so that two controllers do not come together."""

_log = structlog.get_logger("controller.core")


class Core(Protocol):
    """The calls that a round makes; `controller.core.client.CoreClient` has them."""

    def auth_status(self) -> AuthStatus: ...

    def find(self, name: str) -> users.Found: ...

    def take(self, step: users.Step) -> None: ...

    def revision(self) -> int: ...

    def is_kept(self, revision: int) -> bool: ...


class Rounds:
    """All but `look` and `stopping` is for one thread."""

    def __init__(
        self,
        agenda: Agenda,
        listeners: Listeners,
        *,
        clock: Clock,
        rng: random.Random,
        pace: Pace,
    ) -> None:
        self.look = CoreLook()
        self.stopping = threading.Event()
        """Once set, nothing more is changed in the core."""
        self._agenda = agenda
        self._listeners = listeners
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._changes = BucketRateLimiter(pace.changes, pace.burst, clock=clock)
        self._reads = BucketRateLimiter(pace.reads, max(1, int(pace.reads)), clock=clock)
        self._rested_at = -math.inf
        self._backoff = ItemExponentialFailureRateLimiter[None](_BACKOFF, _MAX_BACKOFF)
        self._history = History()
        self._core: Core | None = None
        self._poll_at = -math.inf
        self._audited_at = -math.inf
        self._revision: int | None = None
        """What the core's count of changes is if they are all ours. None: not known."""

    def use(self, core: Core) -> None:
        """Ask this core from now on; it may be another one, so all users are looked at."""
        self._core = core
        self._poll_at = self._audited_at = -math.inf
        self._revision = None

    def poll_soon(self) -> None:
        """Ask the core at once how it stands: it may be away."""
        self._poll_at = -math.inf

    def lose(self, problem: Problem) -> None:
        """There is no core to ask until the next `use`, and that is why."""
        self._core = None
        self._tell(replace(self.look, reachable=False, problem=problem))

    def advance(self) -> float | None:
        """Do the next thing; return the seconds until there is another, unless somebody asks.

        None: there is nothing without a core. Raises ClosedError if the core was closed.
        """
        if self._core is None:
            return None
        try:
            return self._advance(self._core)
        except ClosedError:
            raise
        except CoreError as error:
            return self._fail(error)

    def _advance(self, core: Core) -> float:
        wait = self._poll_at - self._clock.monotonic()
        if wait <= 0:
            self._poll(core)
        elif self.look.reachable and not self.look.problem and (order := self._agenda.next()):
            self._attend(core, order)
        else:
            return wait
        return 0.0

    def _poll(self, core: Core) -> None:
        status = core.auth_status()
        compaction = self._see_compaction(core)
        self._backoff.forget(None)
        now = self._clock.monotonic()
        self._poll_at = now + self._pace.poll
        self._agenda.retry()
        if status.revision != self._revision and now - self._audited_at >= self._pace.audit:
            self._audited_at = now
            self._revision = status.revision
            self._agenda.audit()
        self._tell(CoreLook(True, None, status.enabled, compaction))

    def _see_compaction(self, core: Core) -> Problem | None:
        now = self._clock.monotonic()
        self._history.note(now, core.revision())
        suspect = self._history.suspect(now)
        if suspect is None:
            return None
        if core.is_kept(suspect):
            return NOT_COMPACTED
        self._history.compacted(suspect)
        return None

    def _attend(self, core: Core, order: Order) -> None:
        """Look at the storage's user and role, and make them what is asked."""
        if not self._may_go_on(self._reads.when(None)):
            return
        try:
            self._bring(core, order)
        except (AlreadyExistsError, NotFoundError) as error:
            # Somebody was faster, or an answer was lost: it begins with a new look.
            _log.info("core_user_changed_meanwhile", key=order.storage, error=str(error))
            self._agenda.again(order)
        except (ClosedError, DeniedError, UnreachableError):
            self._agenda.again(order)
            raise
        except CoreError as error:
            message = f"the core etcd refuses {user_name(order.storage)}: {error}; tried again"
            self._settle(order, UserLook(UserState.FAILED, Problem("CoreUserRefused", message)))

    def _bring(self, core: Core, order: Order) -> None:
        found = core.find(user_name(order.storage))
        goal, steps = _decide(order, found)
        if steps and self._agenda.look(order.storage) == goal:
            # Seen here and nowhere else: somebody with root's rights reached for it.
            changes = [str(step) for step in steps]
            _log.warning("core_user_repaired", key=order.storage, changes=changes)
        for step in steps:
            rest = self._rested_at - self._clock.monotonic()
            delay = max(self._changes.when(None), rest)
            if not self._may_go_on(delay) or not self._agenda.is_current(order):
                return
            self._change(core, step)
        self._settle(order, goal)

    def _change(self, core: Core, step: users.Step) -> None:
        began = self._clock.monotonic()
        core.take(step)
        ended = self._clock.monotonic()
        self._rested_at = ended + (ended - began) * (1 / self._pace.share - 1)
        if self._revision is not None:
            self._revision += 1

    def _may_go_on(self, delay: float) -> bool:
        """Wait; False if the wait was ended by a stop."""
        return not self._clock.wait(self.stopping, max(0.0, delay))

    def _settle(self, order: Order, look: UserLook) -> None:
        if self._agenda.settle(order, look):
            self._listeners.on_change(order.storage)

    def _fail(self, error: CoreError) -> float:
        delay = self._backoff.when(None) * self._rng.uniform(0.5, 1.0)
        self._poll_at = self._clock.monotonic() + delay
        reachable = not isinstance(error, UnreachableError)
        self._tell(replace(self.look, reachable=reachable, problem=_explained(error)))
        return delay

    def _tell(self, look: CoreLook) -> None:
        """Keep the look; who listens is told only of what is news, and not of other words."""
        before, self.look = self.look, look
        if _gist(before) != _gist(look):
            _log.info("core_seen", **_gist(look))
            self._listeners.on_core_change()


def _decide(order: Order, found: users.Found) -> tuple[UserLook, list[users.Step]]:
    """Return how the storage stands once the steps are taken, and the steps."""
    if not order.wanted:
        return UserLook(UserState.GONE), users.remove(order.storage, found)
    if order.claimed:
        return UserLook(UserState.READY), users.keep(order.storage, found)
    if problem := users.conflict(order.storage, found):
        return UserLook(UserState.FAILED, problem), []
    return UserLook(UserState.FREE), []


def _gist(look: CoreLook) -> dict[str, Any]:
    problems = {"problem": look.problem, "compaction": look.compaction}
    reasons = {name: problem and problem.reason for name, problem in problems.items()}
    return {"reachable": look.reachable, "auth": look.auth, **reasons}


def _explained(error: CoreError) -> Problem:
    if isinstance(error, UnreachableError):
        return Problem(
            "CoreUnreachable",
            f"the core etcd does not answer: {error}. Check that it runs, that the controller "
            "reaches it (--etcd-core-controller-url gives another address), and that its "
            "certificate is of --etcd-core-ca-configmap; it is asked again all the time",
        )
    if isinstance(error, DeniedError):
        return Problem(
            "CoreAccessDenied",
            f"the core etcd checks users and does not take the controller for root: {error}. The "
            "certificate in --etcd-core-root-secret needs the common name root, and the core the "
            "flags --client-cert-auth and --trusted-ca-file",
        )
    return Problem("CoreFailed", f"the core etcd answers with an error: {error}; tried again")
