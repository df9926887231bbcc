"""What a storage's status tells of its certificates: pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from controller.api.conditions import Condition, Problem
from controller.api.storage import EtcdStorage
from controller.api.times import rfc3339
from controller.certificates import CertificateLook, signed
from controller.certifier import Carried
from controller.consumers import Outcome, Signed
from controller.gatecerts import Served
from controller.pki.lifetime import NONE_YET, issued
from controller.pki.pem import Certificate
from controller.plan import Create, Patch, Write
from controller.resources import SECRETS

SIGNING: Final = "signing"
SERVING: Final = "serving"
CLIENT: Final = "client"
"""The kinds of certificates: a storage's authority, its gates', and its consumers'."""

CERTIFICATES_READY: Final = "CertificatesReady"
CERTIFICATES_DELIVERED: Final = "CertificatesDelivered"
CERTIFICATES_PENDING: Final = "CertificatesPending"
DELIVERING: Final = "Delivering"
ROTATING: Final = "Rotating"
NOT_SERVED: Final = "NotServed"
SERVING_NEW_CERTIFICATES: Final = "ServingNewCertificates"

PATIENCE: Final = timedelta(minutes=10)
"""A kubelet brings a changed Secret to its pods within a minute or two."""

_SERVED_FIELDS: Final = ("servedSerial", "servedNotAfter")

_SERVING: Final = "Serving"
_RETIRING: Final = "Retiring"

_STAGES: Final = {
    DELIVERING: "a new authority is on its way to the consumers",
    _SERVING: "a new authority has come to every consumer, and not yet to every gate",
    _RETIRING: "a new authority is known everywhere; those before are trusted until {retired},"
    " as pairs of theirs may be in use",
}

News = tuple[str, str]
"""The kind of a certificate that took the place of another, and what there is to tell of it."""


@dataclass(frozen=True, slots=True)
class Certified:
    """What one reconcile saw of a storage's certificates; `look` None: nothing was decided."""

    look: CertificateLook | None
    carried: Carried


def problems(certified: Certified, now: datetime) -> tuple[Problem, ...]:
    """Return everything that keeps a certificate from being where it should be."""
    look, carried = certified.look, certified.carried
    own = look.problem if look else None
    outcomes = (*carried.outcomes, *carried.withdrawals, *carried.restarts)
    at = overdue_at(certified)
    late = at is not None and at <= now
    served = Problem(NOT_SERVED, f"{behind(certified)}: look at the kubelets of their nodes")
    found = (own, *(outcome.problem for outcome in outcomes), served if late else None)
    return tuple(problem for problem in found if problem is not None)


def ready(certified: Certified, now: datetime) -> Condition:
    """Whether every pair and bundle is where it should be, and the gates let in who is listed.

    Gates that could not be asked, now or ever, are believed to do so.
    """
    if found := problems(certified, now):
        message = "; ".join(dict.fromkeys(problem.message for problem in found))
        return Condition(CERTIFICATES_READY, False, found[0].reason, message)
    look = certified.look
    if look is None or look.trust is None or look.leaf is None:
        message = "nothing can be issued yet: see the condition Deployed"
        return Condition(CERTIFICATES_READY, False, CERTIFICATES_PENDING, message)
    if count := sum(
        1 for seen in certified.carried.served if seen and seen.clients != look.clients
    ):
        message = (
            f"{count} pods go by an older list of those who are let in: the kubelets bring the new"
            " one in a minute or two"
        )
        return Condition(CERTIFICATES_READY, False, DELIVERING, message)
    reason, message = CERTIFICATES_DELIVERED, "every bundle and pair is delivered"
    if stage := _stage(certified, now):
        reason = ROTATING
        message = _STAGES[stage].format(retired=rfc3339(look.trust.retired_at(now)))
    if since := look.trust.leads_since(now):
        message += (
            f"; who was started before {rfc3339(since)} and reads the authorities only then has to"
            " be started again"
        )
    return Condition(CERTIFICATES_READY, True, reason, message)


def behind(certified: Certified) -> str:
    """Say how many pods were seen to serve another pair than the issued one, '' if none."""
    leaf = certified.look.leaf if certified.look else None
    if leaf is None:
        return ""
    serial = leaf.certificate.serial_number
    count = sum(1 for seen in certified.carried.served if seen and seen.serial != serial)
    return f"{count} pods do not serve the new certificate yet" if count else ""


def late(leaf: Certificate) -> datetime:
    """Return when every pod should have had a pair for long."""
    return issued(leaf) + PATIENCE


def overdue_at(certified: Certified) -> datetime | None:
    """Return when a pod that does not serve the new pair is worth telling; None: all do."""
    leaf = certified.look.leaf if certified.look else None
    return late(leaf.certificate) if leaf and behind(certified) else None


def certificates(certified: Certified, now: datetime) -> dict[str, Any]:
    """Return `status.certificates`: serials in hex, nothing that changes by time alone."""
    look = certified.look
    if look is None or look.trust is None:
        return {}
    told: dict[str, Any] = {SIGNING: _certificate(look.trust.signer.certificate)}
    if look.leaf:
        told[SERVING] = {**_certificate(look.leaf.certificate), **_served(certified)}
    if clients := list(_clients(certified.carried.outcomes)):
        told["clients"] = clients
    if stage := _stage(certified, now):
        told["rotation"] = stage
    return told


def with_last(told: Mapping[str, Any], storage: EtcdStorage) -> dict[str, Any]:
    """Return `told` with what the status has and this look could not see.

    Of gates nothing is seen right after a start, of consumers only what can be read.
    """
    last: Mapping[str, Any] = storage.status.get("certificates") or {}
    if not told:
        return dict(last)
    full = {**told}
    if SERVING in told:
        before = last.get(SERVING) or {}
        seen = {name: before[name] for name in _SERVED_FIELDS if name in before}
        full[SERVING] = {**seen, **told[SERVING]}
    clients = {_whose(one): one for each in (last, told) for one in each.get("clients", ())}
    wanted = [(to.namespace, to.name) for to in storage.client_cert_secrets]
    if found := [clients[whose] for whose in wanted if whose in clients]:
        full["clients"] = found
    return full


def _whose(entry: Mapping[str, str]) -> tuple[str, str]:
    return entry["namespace"], entry["name"]


def stored_news(look: CertificateLook, write: Write) -> Iterator[News]:
    """Tell of what is new now that something is written, which may be one of the two Secrets."""
    if _is_of(write, look.authority) and look.trust and _replaces(look.made):
        told = _serial(signed(look.trust.signer.certificate))
        yield SIGNING, f"the authority is a new one, {told}: {look.made}"
    if _is_of(write, look.serving) and look.leaf and _replaces(look.leaf.issued):
        told = _serial(signed(look.leaf.certificate))
        yield SERVING, f"the serving certificate is a new one, {told}: {look.leaf.issued}"


def delivered_news(outcomes: Sequence[Outcome]) -> Iterator[News]:
    """Tell of the pairs that have just been delivered in the place of others."""
    for outcome in outcomes:
        if outcome.signed and _replaces(outcome.issued):
            told = _serial(outcome.signed)
            yield CLIENT, f"{outcome.consumer} has a new certificate, {told}: {outcome.issued}"


def _is_of(write: Write, secret: Mapping[str, Any] | None) -> bool:
    if secret is None or not isinstance(write, Create | Patch) or write.resource != SECRETS:
        return False
    name = write.obj["metadata"]["name"] if isinstance(write, Create) else write.name
    return bool(secret["metadata"]["name"] == name)


def _replaces(reason: str) -> bool:
    return reason not in {"", NONE_YET}


def _serial(told: Signed) -> str:
    return f"serial {told.serial:x}, good until {rfc3339(told.not_after)}"


def _stage(certified: Certified, now: datetime) -> str:
    """How far the newest authority has come, '' if there is no other one left."""
    look, carried = certified.look, certified.carried
    if look is None or look.trust is None or len(look.trust.trusted(now)) == 1:
        return ""
    newest = signed(look.trust.signer.certificate).by
    # Who has a problem may have had the newest before it came up.
    lacking = [
        o for o in carried.outcomes if o.problem and (not o.signed or o.signed.by != newest)
    ]
    if lacking or (look.leaf and look.leaf.waits):
        return DELIVERING
    return _SERVING if behind(certified) else _RETIRING


def _certificate(certificate: Certificate) -> dict[str, str]:
    end = certificate.not_valid_after_utc
    return {"serial": f"{certificate.serial_number:x}", "notAfter": rfc3339(end)}


def _served(certified: Certified) -> dict[str, str]:
    """Of what the pods show, that which ends first; nothing if none was seen."""
    seen = [pod for pod in certified.carried.served if pod is not None]
    if not seen:
        return {}
    first = min(seen, key=_end)
    told = f"{first.serial:x}", rfc3339(first.not_after)
    return dict(zip(_SERVED_FIELDS, told, strict=True))


def _end(seen: Served) -> tuple[datetime, int]:
    return seen.not_after, seen.serial


def _clients(outcomes: Sequence[Outcome]) -> Iterator[Mapping[str, str]]:
    for outcome in outcomes:
        consumer, signed = outcome.consumer, outcome.signed
        if consumer.kind == SECRETS.kind and signed:
            yield {
                "namespace": consumer.namespace,
                "name": consumer.name,
                "serial": f"{signed.serial:x}",
                "notAfter": rfc3339(signed.not_after),
            }
