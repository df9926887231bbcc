"""When a storage's authority is made, kept and replaced: a pure look at what lies there.

The Secret is written first, and only then anything that says something new by it: the bundle,
and certificates that the authority signs. So a stop anywhere leaves nothing that is not known.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509

from controller.api.conditions import Problem
from controller.pki.authority import Authority
from controller.pki.lifetime import NONE_YET, gone, issued, leeway, renewal, whole
from controller.pki.pem import UnreadableError, read_certificates
from controller.pki.trust import MAX_FORMERS, Former, Signer, Trust
from controller.pki.trustsecret import (
    CERT,
    FORMERS,
    ROTATE,
    authority_secret,
    common_name,
    content,
    is_of,
    permitted_dns,
    read,
)

UNUSABLE: Final = "AuthorityUnusable"
PUT_OFF: Final = "RotationPutOff"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a storage asks of its authority: `dns` are the names of its Service.

    `signing` is the validity of the authority, `leaf` the longest of a leaf; `token` is what the
    annotation `etcd.xmudrii.com/rotate` says, "" without one.
    """

    storage: str
    dns: tuple[str, ...]
    signing: timedelta
    leaf: timedelta
    token: str = ""


@dataclass(frozen=True, slots=True)
class TrustLook:
    """What was found; `trust` counts once the Secret holds `data` and `annotations`.

    Without a trust nothing is to be written or issued, and all that is delivered stays. `made`
    says why there is a new authority, "" if it is the one that was there. In `again` seconds
    something of this is another by time alone; None: never.
    """

    trust: Trust | None
    data: Mapping[str, str] | None = field(default=None, repr=False)
    annotations: Mapping[str, str] | None = None
    problem: Problem | None = None
    made: str = ""
    again: float | None = None


def look(
    present: Mapping[str, Any] | None,
    bundle: bytes,
    terms: Terms,
    now: datetime,
    longest: timedelta | None = None,
    *,
    fixed: bool = False,
) -> TrustLook:
    """Decide on the authority.

    `present` is its Secret, None if there is none, and `bundle` what the Secret of the serving
    pair has as its bundle now, b"" if there is none. Beside it stands the `longest` life that a
    leaf was ever given, for when the authority is lost; None: it does not. While the Secret is
    `fixed` no other authority can take the place of the one in it, which goes on if it is fit.
    """
    delivered = _delivered(bundle, terms.storage)
    try:
        if present is None:
            trust, made = _made(bundle, terms, now, longest)
            return replace(_settled(trust, delivered, terms, now), made=made)
        trust = _caught_up(read(present, terms.storage), delivered, now, longest)
        trust = _confirmed(trust, delivered, now, longest)
    except UnreadableError as error:
        return TrustLook(None, problem=_unusable(terms.storage, str(error)))
    made, problem = _due(trust, terms, now) if not fixed else ("", None)
    if fixed and _unfit(trust.signer.certificate, terms, now):
        return TrustLook(None)
    if made:
        trust = trust.succeeded(_create(terms, now), terms.token or trust.token)
    return replace(_settled(trust, delivered, terms, now), made=made, problem=problem)


def _settled(
    trust: Trust, delivered: Collection[x509.Certificate], terms: Terms, now: datetime
) -> TrustLook:
    trust = trust.without_the_useless(now, delivered)
    trust = replace(trust, longest=max(trust.longest, whole(terms.leaf)))
    data, annotations = content(trust)
    signer = trust.signer.certificate
    times = (renewal(signer), signer.not_valid_after_utc, *trust.changes(now))
    next_ = min(at for at in times if now < at)
    return TrustLook(trust, data, annotations, again=(next_ - now).total_seconds())


def _due(trust: Trust, terms: Terms, now: datetime) -> tuple[str, Problem | None]:
    """Say why there has to be a new authority, or why one that is asked for has to wait."""
    signer = trust.signer.certificate
    if made := _unfit(signer, terms, now):
        return made, None
    if now >= renewal(signer):
        return "most of the life of the one before was over", None
    if terms.token in {"", trust.token}:
        return "", None
    if len(trust.trusted(now)) > MAX_FORMERS:
        return "", Problem(
            PUT_OFF,
            f"{ROTATE} asks for a new authority, but certificates of {MAX_FORMERS} former ones"
            " may still be in use: it is made when the first of them no longer counts",
            passes=True,
        )
    return f"the annotation {ROTATE} asks for it", None


def _unfit(certificate: x509.Certificate, terms: Terms, now: datetime) -> str:
    """Why an authority can sign no more; what it signs before it begins nobody believes."""
    if now >= certificate.not_valid_after_utc:
        return "the one before had expired"
    if now < certificate.not_valid_before_utc:
        return "the one before begins in the future, as it was made by a clock that was ahead"
    if permitted_dns(certificate) != {*terms.dns}:
        return "the one before was made for other names"
    return ""


def _made(
    bundle: bytes, terms: Terms, now: datetime, longest: timedelta | None
) -> tuple[Trust, str]:
    """Make an authority where there is none; what was delivered of a lost one stays believed."""
    formers: tuple[Former, ...] = ()
    if bundle.strip():
        try:
            found = read_certificates(bundle)
        except UnreadableError as error:
            raise UnreadableError(
                f"is missing, and the bundle of the serving pair {error}"
            ) from None
        formers = tuple(Former(each, None) for each in found if is_of(each, terms.storage))
        if not formers:
            raise UnreadableError("is missing, and the bundle of the serving pair is not of it")
    made = "the one before was deleted" if formers else NONE_YET
    kept = max(longest or timedelta(0), whole(terms.leaf))
    until = _last_leaf(longest, now) if formers else None
    return Trust(_create(terms, now), formers, kept, terms.token, until), made


def _last_leaf(longest: timedelta | None, now: datetime) -> datetime | None:
    """Return when everything has ended that whoever is lost now may have signed."""
    if longest is None:
        return None
    # Once for the clock of who signed the last leaf, once for the present one.
    return now.replace(microsecond=0) + timedelta(seconds=1) + longest + 2 * leeway(longest)


def _create(terms: Terms, now: datetime) -> Signer:
    authority = Authority.create(
        common_name(terms.storage, secrets.token_hex(4)),
        validity=whole(terms.signing),
        now=now,
        permitted_dns=terms.dns,
    )
    return Signer(authority, read_certificates(authority.cert_pem)[0])


def _delivered(bundle: bytes, storage: str) -> tuple[x509.Certificate, ...]:
    """Return those of a bundle that are ours; of a spoilt one, which is mended, none."""
    try:
        found = read_certificates(bundle)
    except UnreadableError:
        return ()
    return tuple(each for each in found if is_of(each, storage))


def _caught_up(
    trust: Trust,
    delivered: Sequence[x509.Certificate],
    now: datetime,
    longest: timedelta | None,
) -> Trust:
    """Return the trust with what formers may have signed since their successors were made.

    They have where an old Secret was restored, and a newer one in its turn. The bundle tells: by
    it another one signs, which is first in it, than the signer, and not just before a rotation.
    """
    span = max(trust.longest, longest or timedelta(0))
    enough = now + span + leeway(span)
    late = {each.certificate for each, until in trust.trusted_until() if until < enough}
    known = {trust.signer.certificate, *(each.certificate for each in trust.formers)}
    signing = delivered[0] if delivered else trust.signer.certificate
    if signing in known - late:
        return trust
    last = _last_leaf(longest, now)
    return replace(
        trust,
        formers=tuple(
            replace(each, until=min(gone(each.certificate), last or gone(each.certificate)))
            if each.certificate in late.intersection(delivered)
            else each
            for each in trust.formers
        ),
    )


def _confirmed(
    trust: Trust,
    delivered: Collection[x509.Certificate],
    now: datetime,
    longest: timedelta | None,
) -> Trust:
    """Return the trust with whoever is delivered and newer: an old Secret may be restored.

    Raises UnreadableError if it cannot be what was delivered from.
    """
    signer = trust.signer.certificate
    known = {signer, *(former.certificate for former in trust.formers)}
    counting = [each for each in delivered if now < gone(each)]
    unknown = [each for each in counting if each not in known]
    if unknown and len(unknown) == len(counting):
        raise UnreadableError(f"{CERT} is none of the authorities that are delivered")
    if any(issued(each) < issued(signer) for each in unknown):
        raise UnreadableError(f"{FORMERS} lacks authorities that are delivered")
    if not unknown:
        return trust
    formers = (Former(each, None) for each in sorted(unknown, key=issued, reverse=True))
    unlinked = any(former.cross is None for former in trust.formers)
    known_until = trust.unlinked_until if unlinked else now
    until = _last_leaf(longest, now)
    return replace(
        trust,
        formers=(*trust.formers, *formers),
        longest=max(trust.longest, longest or timedelta(0)),
        unlinked_until=max(until, known_until) if until and known_until else None,
    )


def _unusable(storage: str, what: str) -> Problem:
    return Problem(
        UNUSABLE,
        f"Secret {authority_secret(storage)}: {what}: restore it, or delete it to have a new"
        " authority made; until then nothing that is delivered changes, and nothing is renewed",
    )
