"""A storage's authority and those before it, as they lie in its Secret, which no pod mounts."""

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from controller.pki.authority import Authority, Pair
from controller.pki.lifetime import life
from controller.pki.pem import (
    REMEMBERED,
    UNREADABLE,
    UNTOLD,
    UnreadableError,
    dump,
    is_key_of,
    is_signed_by,
    read_certificates,
)
from controller.pki.trust import Former, Signer, Trust
from controller.secretdata import decoded

CERT: Final = "tls.crt"
KEY: Final = "tls.key"
FORMERS: Final = "former.crt"
"""The certificate of each former authority, and behind it the cross if there is one."""

ROTATE: Final = "etcd.xmudrii.com/rotate"
LONGEST: Final = "etcd.xmudrii.com/longest-leaf"
UNLINKED_UNTIL: Final = "etcd.xmudrii.com/unlinked-until"
"""The annotations; the second in seconds, the third a time in RFC 3339 or ""."""

FORMERS_UNTIL: Final = "etcd.xmudrii.com/formers-until"
"""Where there is one that has such a time: by serial in hex, as `SERIAL=TIME SERIAL=TIME`."""

_CN_LENGTH: Final = 64
"""RFC 5280, ub-common-name."""

_LONGEST: Final = timedelta(days=365 * 300)
"""Longer than Go's durations get, and short enough to be added to a date."""


def authority_secret(storage: str) -> str:
    """Return the name of the Secret."""
    return f"etcd-ca-{storage}"


def common_name(storage: str, generation: str) -> str:
    """Return the CN of an authority of the storage; each generation has 8 characters of its own.

    OpenSSL finds an issuer by its name, so no two may have the same. Of a name that is too long
    the beginning stays, and a digest that no other storage's name can look like.
    """
    room = _CN_LENGTH - len(_stem("")) - 9
    if len(storage) > room:
        storage = f"{storage[: room - 9]}~{sha256(storage.encode()).hexdigest()[:8]}"
    return f"{_stem(storage)} {generation}"


def signed_by(certificate: x509.Certificate) -> str:
    """Return the CN of the authority that has signed it, one of ours."""
    (name,) = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def _stem(storage: str) -> str:
    return f"etcdstorage {storage}"


@lru_cache(maxsize=REMEMBERED)
def is_of(certificate: x509.Certificate, storage: str) -> bool:
    """Whether it looks like an authority that we made for the storage."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except UNTOLD:
        return False
    expected = [common_name(storage, str(name.value)[-8:]) for name in names]
    if len(names) != 1 or [name.value for name in names] != expected:
        return False
    return constraints.value.ca and is_signed_by(certificate, certificate)


def read(secret: Mapping[str, Any], storage: str) -> Trust:
    """Read the storage's Secret; raises UnreadableError, which names the key that is wrong."""
    data = secret.get("data")
    signer, formers = _read(*(decoded(data, key) for key in (CERT, KEY, FORMERS)), storage)
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    known = [signer.certificate, *(former.certificate for former in formers)]
    longest = seconds(annotations.get(LONGEST))
    if longest is None:
        # Nothing that they signed outlives them.
        longest = max(life(certificate) for certificate in known)
    token = str(annotations.get(ROTATE) or "")
    times = dict(_times(str(annotations.get(FORMERS_UNTIL) or "")))
    formers = tuple(replace(each, until=times.get(_serial(each))) for each in formers)
    return Trust(signer, formers, longest, token, _time(annotations.get(UNLINKED_UNTIL)))


def content(trust: Trust) -> tuple[dict[str, str], dict[str, str]]:
    """Return data and annotations of the Secret that `read` makes the same of."""
    pair = trust.signer.authority.pair
    data = {CERT: pair.cert_pem, KEY: pair.key_pem, FORMERS: dump(_blocks(trust.formers))}
    until = trust.unlinked_until
    annotations = {
        LONGEST: str(int(trust.longest.total_seconds())),
        ROTATE: trust.token,
        # What is left out is left as it was.
        UNLINKED_UNTIL: until.isoformat() if until else "",
    }
    times = [f"{_serial(each)}={each.until.isoformat()}" for each in trust.formers if each.until]
    if times:
        annotations[FORMERS_UNTIL] = " ".join(times)
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return encoded, annotations


def permitted_dns(certificate: x509.Certificate) -> Collection[str]:
    """Return the names about which an authority is believed; none if it has no such bounds."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except UNTOLD:
        return frozenset()
    return frozenset(str(name.value) for name in constraints.permitted_subtrees or ())


@lru_cache(maxsize=REMEMBERED)
def _read(
    cert_pem: bytes, key_pem: bytes, formers_pem: bytes, storage: str
) -> tuple[Signer, tuple[Former, ...]]:
    certificates = _named(CERT, cert_pem)
    if len(certificates) != 1:
        raise UnreadableError(f"{CERT} holds {len(certificates)} certificates instead of one")
    signer = certificates[0]
    try:
        own = is_key_of(key_pem, signer)
    except UnreadableError as error:
        raise UnreadableError(f"{KEY} {error}") from None
    if not own:
        raise UnreadableError(f"{KEY} is not the key of {CERT}")
    if not is_of(signer, storage):
        raise UnreadableError(f"{CERT} is no authority that was made for this storage")
    formers = _named(FORMERS, formers_pem) if formers_pem.strip() else ()
    pair = Pair(dump([signer]), key_pem)
    return Signer(Authority(pair), signer), _linked(signer, formers, storage)


def _named(key: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return read_certificates(pem)
    except UnreadableError as error:
        raise UnreadableError(f"{key} {error}") from None


def _linked(
    signer: x509.Certificate, certificates: Iterable[x509.Certificate], storage: str
) -> tuple[Former, ...]:
    found: list[Former] = []
    for certificate in certificates:
        if is_of(certificate, storage):
            found.append(Former(certificate, None))
            continue
        successor = found[-2].certificate if len(found) > 1 else signer
        if not found or found[-1].cross or not _crosses(certificate, found[-1], successor):
            raise UnreadableError(f"{FORMERS} holds something else than former authorities")
        found[-1] = Former(found[-1].certificate, certificate)
    return tuple(found)


def _crosses(cross: x509.Certificate, former: Former, successor: x509.Certificate) -> bool:
    try:
        same_name = cross.subject == successor.subject
        same_key = cross.public_key() == successor.public_key()
    except UNREADABLE:
        return False
    return same_name and same_key and is_signed_by(cross, former.certificate)


def _blocks(formers: Iterable[Former]) -> Iterable[x509.Certificate]:
    for former in formers:
        yield former.certificate
        if former.cross is not None:
            yield former.cross


def _serial(former: Former) -> str:
    return f"{former.certificate.serial_number:x}"


def _times(text: str) -> Iterator[tuple[str, datetime]]:
    for entry in text.split():
        serial, _, until = entry.partition("=")
        if time := _time(until):
            yield serial, time


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def seconds(text: object) -> timedelta | None:
    """Read the annotation `LONGEST`; None if it does not say."""
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal():
        return None
    found = int(text[:20])
    return timedelta(seconds=found) if found <= _LONGEST.total_seconds() else None
