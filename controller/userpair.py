"""The Secret with a storage's pair for the core: whether there can be one, and what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.core import Trust, TrustLook, user_name
from controller.dataplane.names import head
from controller.pki.coreuser import (
    AUTHORITY_CERT,
    OTHER_AUTHORITY,
    UNUSABLE,
    AuthorityLook,
    ClientAuthority,
    described,
    is_signed_by,
    issue,
    kept,
    needs_pair,
    read_authority,
)
from controller.resources import SECRETS
from controller.tenant import CORE_USER_PENDING

CORE_CLIENT_CA_UNTRUSTED: Final = "CoreClientCAUntrusted"
CORE_CLIENT_CA_UNPROVEN: Final = "CoreClientCAUnproven"

_TAKEN: Final = frozenset({Trust.FULL, Trust.PARTIAL, Trust.DIVIDED})
"""Some member takes what the authority signs."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PairLook:
    """The Secret as it should be, None while what is there, if anything, has to do.

    `problem` says why there is none, or what is wrong with the authority of the one there is; in
    `again` seconds look again.
    """

    secret: Json | None
    problem: Problem | None = None
    again: float | None = None


@dataclass(frozen=True, slots=True)
class PairMaker:
    """Signs with the authority in the Secret `authority_name`, and puts pairs in `namespace`."""

    namespace: str
    authority_name: str

    def authority(self, secret: Mapping[str, Any] | None, now: datetime) -> AuthorityLook:
        """Read the authority from its Secret, None if there is no such Secret."""
        return read_authority(_data(secret), self.authority_name, now)

    def look(
        self,
        storage: EtcdStorage,
        present: Mapping[str, Any] | None,
        by: ClientAuthority,
        trust: TrustLook,
        now: datetime,
    ) -> PairLook:
        """Return the storage's Secret, with the pair of `present` as long as that is good.

        `trust` is the core's in `by`. A good pair of another authority gives way only to one that
        every member takes. What is no good gives way to one that some member takes; what `by` has
        signed itself, to one that is taken wherever it is.
        """
        data = _data(present)
        reason = needs_pair(data, by, user_name(storage.name), now)
        problem = self._objection(trust, reason)
        if reason is None and data is not None:
            pair = kept(data, by, now)
        elif _may_replace(data, reason, by, trust.trust):
            pair = issue(by, user_name(storage.name), now)
        else:
            return PairLook(None, problem or self._unproven())
        return PairLook(self._secret(storage, pair.data), problem, pair.again)

    def _objection(self, trust: TrustLook, reason: str | None) -> Problem | None:
        """What the core has against the authority; `reason` is why a pair is needed, if one is."""
        asked = f"the authority in Secret {self.authority_name}"
        urls = ", ".join(trust.urls)
        if trust.trust in {Trust.REFUSED, Trust.DIVIDED}:
            return Problem(
                CORE_CLIENT_CA_UNTRUSTED,
                f"the core etcd at {urls} refuses certificates signed by {asked}: start it with"
                f" that {AUTHORITY_CERT} in the file of --trusted-ca-file as well, or put an"
                " authority that it trusts into the Secret. Pairs that are good stay in use; the"
                " core is asked again all the time",
            )
        if trust.trust is Trust.UNSIGNED:
            message = f"{asked} cannot sign: the controller's log says why (client_ca_cannot_sign)"
            return Problem(UNUSABLE, message)
        if trust.trust is Trust.PARTIAL and reason == OTHER_AUTHORITY:
            return Problem(
                CORE_CLIENT_CA_UNPROVEN,
                f"the core etcd at {urls} does not answer, so nobody knows whether it trusts"
                f" {asked}: pairs of the one before stay in use until it does. Start that member,"
                " or take its URL out of the controller's flags",
            )
        return None

    def _unproven(self) -> Problem:
        asked = f"the authority in Secret {self.authority_name}"
        message = f"the core is being asked whether it trusts {asked}"
        return Problem(CORE_USER_PENDING, message, passes=True)

    def _secret(self, storage: EtcdStorage, data: Mapping[str, str]) -> Json:
        return {
            **head(SECRETS, storage, self.namespace),
            "type": "kubernetes.io/tls",
            "data": dict(data),
        }


def told(secret: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what a status tells of the pair in its Secret: see `described`."""
    return described(_data(secret) or {})


def _may_replace(
    data: Mapping[str, str] | None, reason: str | None, by: ClientAuthority, trust: Trust
) -> bool:
    if reason == OTHER_AUTHORITY:
        return trust is Trust.FULL
    return trust in _TAKEN or (trust is not Trust.UNSIGNED and is_signed_by(data, by))


def _data(secret: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    return None if secret is None else secret.get("data") or {}
