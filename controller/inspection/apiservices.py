"""Aggregated APIs that the API server cannot use: one alone keeps every namespace from ending."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from controller.api.conditions import find_condition
from controller.inspection.finding import Finding, Level
from controller.inspection.table import shortened
from controller.pki.pairs import look_at_bundle
from controller.secretdata import decoded
from informers import Resource

Json = Mapping[str, Any]

CHECK: Final = "APIServices"
API_SERVICES: Final = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False
)

_SHOWN: Final = 300
_BUNDLE: Final = "caBundle"


def findings(services: Iterable[Json], now: datetime) -> Iterator[Finding]:
    """Name each aggregated API that is not available, and why."""
    aggregated = [one for one in services if one["spec"].get("service")]
    bad = [finding for one in aggregated if (finding := _finding(one, now))]
    yield from bad
    if not bad:
        yield Finding(Level.OK, CHECK, f"all {len(aggregated)} aggregated APIs are available")


def _finding(service: Json, now: datetime) -> Finding | None:
    name, spec = service["metadata"]["name"], service["spec"]
    at = f"{spec['service'].get('namespace')}/{spec['service'].get('name')}"
    bundle = decoded(spec, _BUNDLE)
    looked = look_at_bundle(bundle, now) if bundle else None
    if looked and looked.problem:
        what = f"{name}: its {_BUNDLE} {looked.problem}"
        return Finding(Level.FAIL, CHECK, what, _todo(name, at, wrong_ca=True))
    available = find_condition(service.get("status") or {}, "Available") or {}
    if available.get("status") == "True":
        return None
    reason = available.get("reason", "not looked at yet")
    message = shortened(available.get("message", ""), _SHOWN)
    what = f"{name} is not available ({reason}): {message}"
    todo = _todo(name, at, wrong_ca="x509" in message)
    return Finding(Level.FAIL, CHECK, what, todo)


def _todo(name: str, at: str, *, wrong_ca: bool) -> str:
    if wrong_ca:
        return f"put the authority that signed the certificate of {at} into spec.{_BUNDLE}"
    return f"look at the pods behind Service {at}; delete APIService {name} if nobody needs it"
