"""The ConfigMap and the Secrets by which the core is reached: pure functions of these objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from controller.dataplane.core import CA_KEY, CERT_KEY, KEY_KEY
from controller.inspection.cluster import Unread
from controller.inspection.finding import Finding, Level
from controller.inspection.rows import time_left
from controller.options import Options
from controller.pki.coreuser import AUTHORITY_CERT, AUTHORITY_KEY
from controller.pki.pairs import Looked, look_at_bundle, look_at_pair
from controller.secretdata import absent, decoded

Read = Mapping[str, Any] | Unread | None

CHECK: Final = "credentials"

WARNED_BEFORE: Final = timedelta(days=30)
"""Nothing renews these but the operator."""

_ROOT: Final = "root"
"""etcd's administrator."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A Secret that has to hold a certificate and its key, `cn` '' where any name will do."""

    name: str
    cert: str = CERT_KEY
    key: str = KEY_KEY
    cn: str = ""


def pairs(options: Options) -> tuple[Pair, ...]:
    """Return the Secrets that a controller with these flags reads."""
    secrets = options.user_secrets
    if secrets:
        authority = Pair(secrets.client_ca, AUTHORITY_CERT, AUTHORITY_KEY)
        return Pair(secrets.root, cn=_ROOT), authority
    return (Pair(options.core.certs_secret),) if options.core.tls else ()


def bundle_finding(name: str, namespace: str, found: Read, now: datetime) -> Finding:
    """Say how the ConfigMap with the core's CA stands."""
    what = f"ConfigMap {name}"
    create = f"kubectl create configmap {name} --from-file={CA_KEY} -n {namespace}"
    if isinstance(found, Unread):
        return Finding(Level.UNKNOWN, CHECK, found.why, "ask as somebody who may read it")
    if found is None:
        return Finding(Level.FAIL, CHECK, f"{what} is missing", create)
    pem = str((found.get("data") or {}).get(CA_KEY) or "")
    if not pem.strip():
        return Finding(Level.FAIL, CHECK, f"{what} has no key {CA_KEY}, or it is empty", create)
    return _judged(f"{what}: {CA_KEY}", look_at_bundle(pem.encode(), now), now)


def pair_finding(pair: Pair, namespace: str, found: Read, now: datetime) -> Finding:
    """Say how a Secret with a pair stands."""
    what = f"Secret {pair.name}"
    create = (
        f"kubectl create secret generic {pair.name} --from-file={pair.cert}"
        f" --from-file={pair.key} -n {namespace}"
    )
    if isinstance(found, Unread):
        return Finding(Level.UNKNOWN, CHECK, found.why, "ask as somebody who may read it")
    if found is None:
        return Finding(Level.FAIL, CHECK, f"{what} is missing", create)
    data = found.get("data")
    if missing := absent(data, (pair.cert, pair.key)):
        keys = " and no key ".join(missing)
        return Finding(Level.FAIL, CHECK, f"{what} has no key {keys}, or it is empty", create)
    looked = look_at_pair(decoded(data, pair.cert), decoded(data, pair.key), now)
    if not looked.problem and pair.cn and looked.cn != pair.cn:
        said = f"{what}: {pair.cert} is of {looked.cn or 'nobody'}, and has to be of {pair.cn}"
        return Finding(Level.FAIL, CHECK, said, "put a pair of etcd's administrator into it")
    return _judged(f"{what}: {pair.cert}", looked, now)


def findings(options: Options, found: Mapping[str, Read], now: datetime) -> Iterator[Finding]:
    """Say how all of them stand; `found` is by name."""
    if not options.core.tls:
        yield Finding(Level.OK, CHECK, "none are used: the core's URL is http")
        return
    bundle = options.core.ca_config_map
    yield bundle_finding(bundle, options.namespace, found[f"ConfigMap {bundle}"], now)
    for pair in pairs(options):
        yield pair_finding(pair, options.namespace, found[f"Secret {pair.name}"], now)


def _judged(what: str, looked: Looked, now: datetime) -> Finding:
    if looked.problem:
        return Finding(Level.FAIL, CHECK, f"{what} {looked.problem}", "put in one that is good")
    left = (looked.end or now) - now
    if left < WARNED_BEFORE:
        todo = "put in a new one in time: nothing renews it"
        return Finding(Level.WARN, CHECK, f"{what} ends in {time_left(left)}", todo)
    return Finding(Level.OK, CHECK, f"{what} is good for {time_left(left)}")
