"""What the tests of the inspection share."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from controller.inspection.finding import Finding, Level
from controller.pki import Authority, Leaf, Pair
from tests.support.sockets import sockets_soon_closed

_no_stray_sockets = pytest.fixture(autouse=True)(sockets_soon_closed)

NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)


def pair(days: float = 100.0, *, cn: str | None = None, now: datetime = NOW) -> Pair:
    """Return a pair that is good for so many days from `now` on."""
    authority = authority_of(now=now)
    return authority.issue(Leaf(cn=cn), validity=timedelta(days=days), now=now)


def authority_of(days: float = 3650.0, *, now: datetime = NOW) -> Authority:
    return Authority.create("core etcd", validity=timedelta(days=days), now=now)


def levels(findings: list[Finding]) -> list[str]:
    """Return the level of each."""
    return [finding.level.value for finding in findings]


def only(findings: list[Finding], level: Level) -> Finding:
    """Return the one finding of this level."""
    (found,) = [finding for finding in findings if finding.level is level]
    return found
