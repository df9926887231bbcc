"""What the controller lacks, a right or a CRD: logged once, however many storages miss it."""

import re
import threading
from typing import Final

import structlog

from controller.discovery import OutdatedCrdError
from controller.resources import ETCD_STORAGES
from informers import ApiError

_FORBIDDEN: Final = 403

_REFUSAL: Final = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)
"""What the server says of a right; by the same code admission refuses, which is none."""

_OWNER_REFUSAL: Final = "refers to a resource you can't set finalizers on"
"""What it says of an owner reference, where it asks for a right on the owner
(OwnerReferencesPermissionEnforcement)."""

_ON_OWNERS: Final = {
    "verb": "update",
    "resource": f"{ETCD_STORAGES.plural}/finalizers",
    "group": ETCD_STORAGES.group,
}

_log = structlog.get_logger("controller.rights")


class MissingRights:
    """Remembers which it has named; thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: set[frozenset[tuple[str, str]]] = set()

    def name(self, error: Exception) -> bool:
        """Log the right that is missing, if that is the error and nobody has yet.

        Returns whether it is one. Where the CRD is too old for a status, that is named.
        """
        if isinstance(error, OutdatedCrdError):
            self._once("crd_outdated", error=error.message)
            return True
        if not isinstance(error, ApiError) or error.code != _FORBIDDEN:
            return False
        right = _right(error.message)
        if not right:
            return False
        self._once("right_missing", **right)
        return True

    def _once(self, event: str, **what: str) -> None:
        with self._lock:
            known = frozenset(what.items()) in self._named
            self._named.add(frozenset(what.items()))
        if not known:
            _log.warning(event, **what)


def _right(refusal: str) -> dict[str, str]:
    """Return what a Role would have to say; nothing if the refusal is about no right."""
    if _OWNER_REFUSAL in refusal:
        return {**_ON_OWNERS}
    found = _REFUSAL.search(refusal)
    named = found.groupdict() if found else {}
    return {name: text for name, text in named.items() if text is not None}
