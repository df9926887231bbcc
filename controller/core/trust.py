"""Whether the core trusts an authority for clients: found out by a certificate that it signed.

Each member is asked, as each has a bundle of its own and reads it only when it starts. One that
answers root, and nobody who shows a pair of the authority, refuses that. One that answers neither
is away, which says nothing. What was proven is remembered for the present way to the core, and not
across a restart.
"""

import math
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import structlog

from controller.core.errors import ClosedError
from controller.core.looks import Access, Candidate, Trust, TrustLook
from workqueue import Clock, ItemExponentialFailureRateLimiter

_BACKOFF: Final = 1.0
_MAX_BACKOFF: Final = 30.0
"""Seconds until members are asked again that refused or were away, doubled each time; up to a half
less by chance."""

_log = structlog.get_logger("controller.core")


class Member(Protocol):
    """A client of one member; `close`, by any thread, ends a call, with ClosedError."""

    def answers(self) -> bool: ...

    def close(self) -> None: ...


class Proof:
    """Of one candidate at a time. `look` and `close` are for any thread, the rest is for one."""

    def __init__(
        self,
        connect: Callable[[Access], Member],
        on_change: Callable[[], None],
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._connect = connect
        self._on_change = on_change
        self._clock = clock
        self._rng = rng
        self._backoff = ItemExponentialFailureRateLimiter[None](_BACKOFF, _MAX_BACKOFF)
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._candidate: Candidate | None = None
        self._look = TrustLook()
        self._due = -math.inf
        self._member: Member | None = None
        """The one that is being asked."""
        self._closed = False

    def look(self, candidate: Candidate) -> TrustLook:
        """Return how `candidate` stands, and prove it from now on, in place of any other."""
        with self._lock:
            if candidate != self._candidate:
                self._candidate = candidate
                self._begin_anew_locked()
            return self._look

    def use(self, access: Access | None) -> None:
        """Ask by this way from now on, with root's pair in it; None: there is nobody to ask."""
        with self._lock:
            if access != self._access:
                self._access = access
                self._begin_anew_locked()

    def advance(self) -> float | None:
        """Ask all members if it is time; return the seconds until it is, None if it never is.

        Raises ClosedError if `close` was called.
        """
        with self._lock:
            access, candidate, proven = self._access, self._candidate, self._look.trust
            wait = self._due - self._clock.monotonic()
        if access is None or candidate is None or proven is Trust.FULL:
            return None
        if wait > 0:
            return wait
        return self._settle(access, candidate, self._ask_all(access, candidate))

    def close(self) -> None:
        """End the call that waits, and make no further one."""
        with self._lock:
            self._closed = True
            member = self._member
        if member is not None:
            member.close()

    def _begin_anew_locked(self) -> None:
        self._look = TrustLook()
        self._due = -math.inf
        self._backoff.forget(None)

    def _ask_all(self, access: Access, candidate: Candidate) -> TrustLook:
        try:
            pair = candidate.sign()
        except Exception as error:  # noqa: BLE001 - whatever it is, users are kept all the same
            _log.warning("client_ca_cannot_sign", error=repr(error))
            return TrustLook(Trust.UNSIGNED)
        shown = replace(access, cert_pem=pair.cert_pem, key_pem=pair.key_pem)
        found = {url: self._ask(url, access, shown) for url in access.urls}
        refusing = tuple(url for url, trusts in found.items() if trusts is False)
        away = tuple(url for url, trusts in found.items() if trusts is None)
        if refusing:
            taken = len(refusing) + len(away) < len(found)
            return TrustLook(Trust.DIVIDED if taken else Trust.REFUSED, refusing)
        if len(away) == len(found):
            return TrustLook()
        return TrustLook(Trust.PARTIAL, away) if away else TrustLook(Trust.FULL)

    def _ask(self, url: str, root: Access, shown: Access) -> bool | None:
        """Whether the member takes the pair in `shown`; None if it does not answer root either."""
        if not self._answers(url, root):
            return None
        if self._answers(url, shown):
            return True
        # It may have gone away since it answered.
        return False if self._answers(url, root) else None

    def _answers(self, url: str, access: Access) -> bool:
        # A connection for each question: TLS asks for the certificate but once.
        member = self._connect(replace(access, urls=(url,)))
        try:
            with self._lock:
                if self._closed:
                    raise ClosedError("nothing more is asked of the core etcd")
                self._member = member
            return member.answers()
        finally:
            with self._lock:
                self._member = None
            member.close()

    def _settle(self, access: Access, candidate: Candidate, found: TrustLook) -> float | None:
        with self._lock:
            if access != self._access or candidate != self._candidate:
                return 0.0
            # That nobody answers now takes nothing back.
            news = found.trust is not Trust.UNKNOWN and found != self._look
            if news:
                self._look = found
            delay = self._backoff.when(None) * self._rng.uniform(0.5, 1.0)
            self._due = self._clock.monotonic() + delay
        if news:
            _log.info("client_ca_seen", trust=found.trust.value, urls=found.urls)
            self._on_change()
        return None if found.trust is Trust.FULL else delay
