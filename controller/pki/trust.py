"""Whom the two sides of a storage's TLS believe: an authority, and those before it.

When an authority is replaced, its last act is to sign the key of the next one, and then its own
key is thrown away. What the next one signs is delivered with that certificate, the cross, so
whoever still believes the former alone believes it at once, and nobody has to wait for anybody.
The former itself stays in the bundle for as long as something that it signed may live.

Where a key was lost there can be no cross. Then the two are not linked: what the former signed
stays in use until the bundle with both has come to everybody.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final, Self

from cryptography import x509

from controller.pki.authority import Authority
from controller.pki.lifetime import gone, issued, leeway
from controller.pki.pem import dump, is_signed_by

MAX_FORMERS: Final = 16
"""Of the linked ones. Their crosses go with every handshake, 600 bytes each; those of older ones
are kept in the Secret, as they tell by when the last leaf of each was signed."""


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority that has been found fit to sign."""

    authority: Authority
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Former:
    """An authority whose key is no more, with the cross by which it signed the one after it.

    Without a cross nothing leads from it to the present one. One that has signed after its
    successor was made is believed `until` all of that has ended; None: it has not.
    """

    certificate: x509.Certificate
    cross: x509.Certificate | None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """The authority of a storage and those before it: first the linked ones, newest first.

    `longest` is the longest life that a leaf was ever given, `token` the request for a rotation
    that was honoured last. By `unlinked_until` every leaf of one that was lost has ended; None:
    nobody knows.
    """

    signer: Signer
    formers: tuple[Former, ...]
    longest: timedelta
    token: str
    unlinked_until: datetime | None = None

    def bundle(self, now: datetime) -> bytes:
        """Return in PEM whom to believe: the signer first."""
        return dump(self.trusted(now))

    def chain(self, now: datetime) -> bytes:
        """Return in PEM the crosses that a leaf of the signer is delivered with, b'' if none."""
        return dump(former.cross for former in self._crossed(now) if former.cross is not None)

    def trusted(self, now: datetime) -> tuple[x509.Certificate, ...]:
        """Return the signer, and the formers of which a leaf may live."""
        formers = (former.certificate for former, until in self.trusted_until() if now < until)
        return self.signer.certificate, *formers

    def linked(self, now: datetime) -> tuple[Former, ...]:
        """Return the formers from which a way leads to the signer, and that are not over.

        No way leads through what was signed by a clock that was ahead, and has not begun.
        """
        return tuple(takewhile(lambda former: _has_begun(former.cross, now), self._crossed(now)))

    def leads_since(self, now: datetime) -> datetime | None:
        """Return when the first one was made from which a way leads to the signer.

        Whoever knows older ones only has to read the bundle again. None: no such is trusted.
        """
        ways = [self.signer.certificate, *(former.certificate for former in self.linked(now))]
        cut_off = any(each not in ways or not _has_begun(each, now) for each in self.trusted(now))
        full = len(ways) > MAX_FORMERS
        return min(map(issued, ways)) if cut_off or full else None

    def retired_at(self, now: datetime) -> datetime:
        """Return when the signer alone is trusted."""
        return max((until for _, until in self.trusted_until() if now < until), default=now)

    def changes(self, now: datetime) -> Iterator[datetime]:
        """Yield the moments after `now` at which something of this is another by time alone."""
        for former, until in self.trusted_until():
            made = (each for each in (former.certificate, former.cross) if each is not None)
            begins = (each.not_valid_before_utc for each in made)
            yield from (at for at in (until, gone(former.certificate), *begins) if at > now)

    def issuer_of(self, leaf: x509.Certificate) -> x509.Certificate | None:
        """Return who of these has signed the leaf."""
        known = (self.signer.certificate, *(former.certificate for former in self.formers))
        return next((by for by in known if is_signed_by(leaf, by)), None)

    def succeeded(self, by: Signer, token: str) -> Self:
        """Return the trust under a new authority, with this one's signer as its newest former."""
        former = self.signer.certificate
        certificates = (former, *(each.certificate for each in self._linkable()))
        # To the end of the last of them, however soon the successor itself ends.
        until = max(certificate.not_valid_after_utc for certificate in certificates)
        cross = None
        if until > by.certificate.not_valid_before_utc:
            cross = self.signer.authority.cross_sign(by.certificate, until=until)
        return replace(
            self,
            signer=by,
            formers=(Former(former, cross), *self.formers),
            token=token,
            # A clock that is ahead may have it that this one is over, and it is not.
            unlinked_until=self.unlinked_until if cross else None,
        )

    def without_the_useless(self, now: datetime, delivered: Collection[x509.Certificate]) -> Self:
        """Return it without the formers that serve nobody.

        One that is still in the delivered bundle is kept until that is another: so nothing was
        ever delivered that is not known here, wherever one of us stopped.
        """
        linked = self._crossed(now)
        kept: list[Former] = []
        for former, until in reversed([*self.trusted_until()]):
            # The cross of an older one leads to this one, and says until when that one signed.
            followed = bool(kept) and kept[-1].cross is not None
            needed = now < until or former.certificate in delivered
            if needed or followed or former in linked:
                kept.append(former)
        return replace(self, formers=tuple(reversed(kept)))

    def _crossed(self, now: datetime) -> tuple[Former, ...]:
        found = [*self._linkable()]
        # One that is over may stand between the signer and an older one that is not.
        while found and gone(found[-1].certificate) <= now:
            found.pop()
        return tuple(found)

    def _linkable(self) -> Iterator[Former]:
        return takewhile(lambda former: former.cross is not None, self.formers[:MAX_FORMERS])

    def trusted_until(self) -> Iterator[tuple[Former, datetime]]:
        """Yield each former, and when no leaf of it lives any more."""
        successor = self.signer.certificate
        for former in self.formers:
            until, ended = gone(former.certificate), self.unlinked_until
            if former.cross is not None:
                # Once for the clock of who signed its last leaf, once for the present one.
                ended = issued(successor) + self.longest + 2 * leeway(self.longest)
            if ended is not None:
                until = min(until, max(ended, former.until or ended))
            yield former, until
            successor = former.certificate


def _has_begun(certificate: x509.Certificate | None, now: datetime) -> bool:
    return certificate is not None and certificate.not_valid_before_utc <= now
