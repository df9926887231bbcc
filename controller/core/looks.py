"""What the keeper of the users is told and tells."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from controller.api.conditions import Problem
from controller.pki import Pair


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the core as root: its client URLs, all `http` or all `https`, and PEM.

    Without TLS the three are None.
    """

    urls: tuple[str, ...]
    ca_pem: bytes | None = None
    cert_pem: bytes | None = None
    key_pem: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AuthStatus:
    """Whether the core checks users, and how many changes of users and roles it has seen."""

    enabled: bool
    revision: int


class UserState(Enum):
    """How a storage's user and role stand in the core."""

    PENDING = "Pending"
    """Not known yet, or being made or removed."""
    FREE = "Free"
    """Asked for unclaimed: none are there, or exactly as they would be made. Claim the name."""
    READY = "Ready"
    """Both are there, as they should be."""
    GONE = "Gone"
    """Neither is there any more."""
    FAILED = "Failed"
    """The problem says why; what may pass by itself is tried again."""


@dataclass(frozen=True, slots=True)
class UserLook:
    """How the user and role of one storage stand."""

    state: UserState
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class PurgeLook:
    """How the removal of a storage's keys stands."""

    done: bool = False
    """No key of it was left, as a whole look at them told."""
    problem: Problem | None = None
    """Why it takes long, or does not go on; it is tried again."""


@dataclass(frozen=True, slots=True)
class CoreLook:
    """How the core stands, as of the last time that it was asked."""

    reachable: bool = False
    problem: Problem | None = None
    """Why no user can be looked at or changed; None also as long as the core was never asked."""
    auth: bool | None = None
    """Whether the core checks users. None: not known yet; stays as it was while unreachable."""
    compaction: Problem | None = None
    """That nobody compacts the core, which hinders no user."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An authority that is to sign the pairs of users, if the core trusts it.

    `sign` makes a pair of it that is good for minutes, and of no user; any thread may call it.
    """

    fingerprint: bytes
    """Of its certificate: two candidates with one are the same."""
    sign: Callable[[], Pair] = field(compare=False, repr=False)


class Trust(Enum):
    """Whether the core takes certificates that a candidate has signed."""

    UNKNOWN = "Unknown"
    """No member has answered yet."""
    PARTIAL = "Partial"
    """Every member that answers does; some do not answer."""
    FULL = "Full"
    """Every member does."""
    DIVIDED = "Divided"
    """Some members do, and some do not."""
    REFUSED = "Refused"
    """Some members do not, and nobody does."""
    UNSIGNED = "Unsigned"
    """Nobody was asked, as it could not sign what to show them."""


@dataclass(frozen=True, slots=True)
class TrustLook:
    """How a candidate stands, as of the last time that a member answered."""

    trust: Trust = Trust.UNKNOWN
    urls: tuple[str, ...] = ()
    """Of the members that refuse it, or, where it is PARTIAL, do not answer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the keeper goes; seconds, and changes a second."""

    changes: float = 25.0
    """Each makes the core compute every user's permissions anew, and fails the requests that it
    is working on with "revision of auth store is old", which Go's client repeats 25 ms later: at
    50 a second one put in fifty, at 25 less than one in a hundred. A storage takes 5. What others
    feel is measured by hack/bench/authchurn.py."""
    burst: int = 25
    """Changes that wait for nothing: five storages made by hand are there at once."""
    share: float = 0.1
    """Of the time, at most, in which the core is at work on a change: one takes the longer the
    more users there are, 1 ms at first and 11 at 3,000, and the slower the disk is."""
    poll: float = 30.0
    """Between two questions whether auth is on and whether anybody else changed users."""
    audit: float = 600.0
    """At least, between two audits of all users. One is two reads a user, and each read is an
    entry in the core's log."""
    reads: float = 100.0
    """Users looked at a second, at most."""
    count: float = 600.0
    """Between two counts of a storage's keys, about."""
    page: int = 500
    """Keys removed at once: 96,000 went in 28 s, while another tenant's put took 2.9 ms (p99; 1.1
    otherwise). More of them would be quicker, but the core reads their values to name them."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom the keeper tells; all are called by its thread, and must not block."""

    on_change: Callable[[str], None]
    """The look of this storage's user changed."""
    on_core_change: Callable[[], None]
    """The core is or is not reachable any more, checks users or does not, has another problem;
    or the candidate of the last who asked stands otherwise."""
    on_death: Callable[[BaseException], None]
    """The thread ended by this defect: from now on nothing changes any more."""
