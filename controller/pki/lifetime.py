"""How long a certificate that we made counts, read from the certificate itself.

Clocks differ: a certificate begins `SLACK` before it is made, so that it is good at once for
whoever has a clock of yesterday, and for us after ours was set back by a day.
"""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

SLACK: Final = timedelta(hours=25)
"""By how much less two clocks differ: a day, and what they were off before."""

NONE_YET: Final = "there was none yet"
"""Why something is issued that takes the place of nothing."""

_SHORTEST: Final = timedelta(seconds=10)
"""Of a validity: what is shorter, and an old CRD let in, could not be renewed in time."""

_RENEWED_AFTER: Final = 2 / 3
"""The share of its life after which a certificate is replaced."""

_JITTER: Final = 1 / 12
"""The share over which a fleet spreads its renewals, so that what was made in one minute is
replaced over a week or a month."""


def whole(validity: timedelta) -> timedelta:
    """Return a validity as a certificate can have it: in seconds."""
    return max(_SHORTEST, timedelta(seconds=int(validity.total_seconds())))


def issued(certificate: x509.Certificate) -> datetime:
    """Return when it was made, by the clock of who made it."""
    return certificate.not_valid_before_utc + SLACK


def life(certificate: x509.Certificate) -> timedelta:
    """Return for how long it was made."""
    return certificate.not_valid_after_utc - issued(certificate)


def renewal(certificate: x509.Certificate, by: x509.Certificate | None = None) -> datetime:
    """Return when it is to be replaced; `by` is the authority's that would sign the next one.

    The moment comes from the serial number, which is random, so every look finds the same one.
    What ends with its authority cannot be had any longer, and stays to the end.
    """
    end = certificate.not_valid_after_utc
    if by is not None and end >= by.not_valid_after_utc:
        return end
    share = _RENEWED_AFTER + _JITTER * (certificate.serial_number % 1000) / 1000
    return issued(certificate) + life(certificate) * share


def leeway(span: timedelta) -> timedelta:
    """Return how much longer than `span` something is kept, as clocks differ.

    What lives for seconds is not kept for a day.
    """
    return min(SLACK, max(span, timedelta(0)))


def gone(certificate: x509.Certificate) -> datetime:
    """Return when it is over by everybody's clock."""
    return certificate.not_valid_after_utc + leeway(life(certificate))
