"""The certificates of one storage: what its two Secrets should hold, and who gets what of it.

Pure functions. The authority's Secret is written before the one that gates serve by, and that one
before anything is delivered: so wherever one of us stopped, nothing was shown to anybody that is
not known here.
"""

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.api.times import rfc3339
from controller.consumers import Consumer, Content, Delivery, Signed, dump, load
from controller.consumers.consumer import BUNDLE, Data, client_secrets, config_maps
from controller.dataplane.gate import (
    CLIENTS_FILE,
    PAIR_FILE,
    clients_file,
    clients_version,
    pair_file,
)
from controller.dataplane.names import head, object_name, serving_secret
from controller.pki import rotation
from controller.pki.leaves import (
    LeafLook,
    addresses_in,
    client_leaf,
    client_uri,
    leaf_pair,
    service_dns,
    serving_leaf,
)
from controller.pki.lifetime import SLACK
from controller.pki.pem import Certificate, UnreadableError, read_certificates
from controller.pki.rotation import Terms
from controller.pki.trust import Trust
from controller.pki.trustsecret import (
    CERT,
    KEY,
    LONGEST,
    authority_secret,
    seconds,
    signed_by,
)
from controller.resources import SECRETS, SERVICES
from controller.secretdata import decoded

CLOCK_BEHIND: Final = "ClockBehind"

DELIVERED: Final = "etcd.xmudrii.com/delivered"
"""On the Secret that gates serve by: who may have something of this storage's, as JSON.

With the Secret it is forgotten who is still to be withdrawn. The gates let them in no more anyway.
"""

CA: Final = "ca.crt"
"""In that Secret: the bundle that was given out last."""

_CLOCK_POLL: Final = 60.0
"""Seconds after which a clock that was wrong is looked at again."""

Json = dict[str, Any]

Stamp = tuple[datetime, str]
"""When the API server made an object, and which."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look goes by.

    The two Secrets, the cluster's addresses of the Service, None without one, the serial of the
    authority whose bundle has been seen in every consumer's ConfigMap, and the youngest object
    of the storage. An authority that is `fixed` can be replaced by no other one now.
    """

    authority: Mapping[str, Any] | None = field(repr=False)
    serving: Mapping[str, Any] | None = field(repr=False)
    ips: tuple[str, ...] | None
    everywhere: int | None = None
    youngest: Stamp | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class CertificateLook:
    """How a storage's certificates should be.

    `authority` and `serving` are the Secrets as they should be, None where what is there has to
    do. `clients` tells the list of who is let in from all others. `made` says why the authority
    is new, '' if it is not. In `again` seconds something of this is another by time alone.
    """

    authority: Json | None = field(default=None, repr=False)
    serving: Json | None = field(default=None, repr=False)
    trust: Trust | None = None
    leaf: LeafLook | None = None
    clients: str = ""
    problem: Problem | None = None
    made: str = ""
    again: float | None = None

    @property
    def awaits_service(self) -> bool:
        """Whether all is well, and there is no serving pair yet for want of the Service."""
        return self.trust is not None and self.leaf is None


def look(
    storage: EtcdStorage,
    namespace: str,
    found: Found,
    delivered: Collection[Consumer],
    now: datetime,
) -> CertificateLook:
    """Decide on both Secrets; `delivered` are those that are still to be withdrawn.

    Before there is a Service there is no serving pair: its addresses will be part of it. By a
    clock that is known to be behind nothing is made: it might be over already.
    """
    there = (found.serving or {}).get("data")
    if found.youngest is not None and now + SLACK < found.youngest[0]:
        shut = letting_in(storage, namespace, there, delivered)
        return CertificateLook(serving=shut, problem=_behind(found.youngest), again=_CLOCK_POLL)
    dns = service_dns(object_name(SERVICES, storage.name), namespace)
    kept = seconds(_annotations(found.serving).get(LONGEST))
    # What was issued while the authority's Secret could not be written is told by `kept` alone.
    longest = max(storage.serving_validity, storage.client_validity, kept or timedelta(0))
    terms = Terms(storage.name, dns, storage.signing_validity, longest, storage.rotate)
    bundle = decoded(there, CA)
    seen = rotation.look(found.authority, bundle, terms, now, kept, fixed=found.fixed)
    trust = seen.trust
    if trust is None:
        shut = letting_in(storage, namespace, there, delivered)
        return CertificateLook(serving=shut, problem=seen.problem, again=seen.again)
    common = partial(
        CertificateLook,
        authority=_authority(storage, namespace, seen),
        trust=trust,
        problem=seen.problem,
        made=seen.made,
    )
    # A Service that is away for a moment comes back, mostly with the addresses that it had.
    ips = addresses_in(there) if found.ips is None else found.ips
    if ips is None:
        return common(again=seen.again)
    leaf = leaf_pair(
        there,
        trust,
        serving_leaf(dns, ips),
        storage.serving_validity,
        now,
        may_switch=found.everywhere == trust.signer.certificate.serial_number,
    )
    serving = {
        **remembering(storage, namespace, {*listed(storage), *delivered}),
        "type": "kubernetes.io/tls",
        "data": _serving_data(storage, trust, leaf, now),
    }
    # Beside the bundle, for when the authority's Secret is lost.
    serving["metadata"]["annotations"][LONGEST] = (seen.annotations or {})[LONGEST]
    times = [leaf.again, *([seen.again] if seen.again is not None else ())]
    clients = clients_version(_uris(storage))
    return common(serving=serving, leaf=leaf, clients=clients, again=min(times))


def listed(storage: EtcdStorage) -> tuple[Consumer, ...]:
    """Return who is to get something."""
    maps, secrets = storage.ca_cert_config_maps, storage.client_cert_secrets
    return (*config_maps(maps), *client_secrets(secrets))


def left(storage: EtcdStorage, serving: Mapping[str, Any] | None) -> tuple[Consumer, ...]:
    """Return who may have got something and is to have nothing any more.

    Of a list that cannot be read nobody is taken to have left it.
    """
    if storage.unreadable_fields:
        return ()
    wanted = {*listed(storage)}
    return tuple(c for c in load(_annotations(serving).get(DELIVERED, "")) if c not in wanted)


def _annotations(secret: Mapping[str, Any] | None) -> Mapping[str, str]:
    return ((secret or {}).get("metadata") or {}).get("annotations") or {}


def remembering(storage: EtcdStorage, namespace: str, delivered: Collection[Consumer]) -> Json:
    """Return the serving Secret but for its data: all there is to say of it without TLS."""
    secret = head(SECRETS, storage, namespace, serving_secret(storage.name))
    secret["metadata"]["annotations"] = {DELIVERED: dump(delivered)}
    return secret


def letting_in(
    storage: EtcdStorage,
    namespace: str,
    there: Mapping[str, str] | None,
    delivered: Collection[Consumer],
) -> Json | None:
    """Return the serving Secret with another list of those who are let in, and no other change.

    None if there is no such Secret, or its bundle is spoilt.
    """
    bundle = decoded(there, CA)
    try:
        read_certificates(bundle)
    except UnreadableError:
        return None
    secret = remembering(storage, namespace, {*listed(storage), *delivered})
    return {**secret, "data": _encoded({CLIENTS_FILE: _clients(storage, bundle)})}


def deliveries(
    storage: EtcdStorage, trust: Trust, now: datetime, *, taken: bool, first: bool
) -> tuple[Delivery, ...]:
    """Return what goes to whom.

    `taken`: every gate has been seen to take clients of the signer. `first`: nobody has got
    anything yet.
    """
    bundle = trust.bundle(now)
    maps = (
        Delivery(consumer, _digest(bundle), partial(_bundle, trust, bundle), first)
        for consumer in config_maps(storage.ca_cert_config_maps)
    )
    version = f"{_digest(bundle + trust.chain(now))} {storage.client_validity} {taken}"
    pairs = (
        Delivery(consumer, version, partial(_pair, storage, trust, consumer, now, taken), first)
        for consumer in client_secrets(storage.client_cert_secrets)
    )
    return (*maps, *pairs)


def _bundle(trust: Trust, bundle: bytes, _: Data | None) -> Content:
    certificate = trust.signer.certificate
    return Content({BUNDLE: bundle.decode()}, signed(certificate))


def _pair(
    storage: EtcdStorage,
    trust: Trust,
    consumer: Consumer,
    now: datetime,
    taken: bool,  # noqa: FBT001 - for partial
    present: Data | None,
) -> Content:
    uri = client_uri(storage.name, consumer.namespace, consumer.name)
    leaf = leaf_pair(
        present, trust, client_leaf(uri), storage.client_validity, now, may_switch=taken
    )
    return Content(leaf.data, signed(leaf.certificate), leaf.issued, leaf.again)


def signed(certificate: Certificate) -> Signed:
    """Return what is told of a certificate."""
    serial, end = certificate.serial_number, certificate.not_valid_after_utc
    return Signed(serial, end, signed_by(certificate))


def _authority(storage: EtcdStorage, namespace: str, seen: rotation.TrustLook) -> Json:
    secret = head(SECRETS, storage, namespace, authority_secret(storage.name))
    secret["metadata"]["annotations"] = dict(seen.annotations or {})
    return {**secret, "type": "Opaque", "data": dict(seen.data or {})}


def _serving_data(
    storage: EtcdStorage, trust: Trust, leaf: LeafLook, now: datetime
) -> dict[str, str]:
    bundle = trust.bundle(now)
    pair = pair_file(decoded(leaf.data, CERT), decoded(leaf.data, KEY))
    files = {CA: bundle, PAIR_FILE: pair, CLIENTS_FILE: _clients(storage, bundle)}
    return {**leaf.data, **_encoded(files)}


def _clients(storage: EtcdStorage, bundle: bytes) -> bytes:
    return clients_file(_uris(storage), bundle)


def _uris(storage: EtcdStorage) -> tuple[str, ...]:
    clients = client_secrets(storage.client_cert_secrets)
    return tuple(client_uri(storage.name, c.namespace, c.name) for c in clients)


def _behind(youngest: Stamp) -> Problem:
    at, what = youngest
    return Problem(
        CLOCK_BEHIND,
        f"by the controller's clock {what}, which the API server made at {rfc3339(at)},"
        " is made more than a day from now: set the clock right, or, if that of the API server"
        " was wrong then, make the object anew; until then no certificate is made",
    )


def _encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(content).decode() for name, content in files.items()}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
