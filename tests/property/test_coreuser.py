"""The pair of a core user through any history of looks, authorities and spoilt Secrets."""

import base64
import datetime as dt
from functools import cache
from typing import Any

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.pki import Authority
from controller.pki.coreuser import ClientAuthority, keep_or_issue, read_authority

START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
CN = "etcdstorage:name"
LIVES = (1, 30, 200, 400, 3650)
"""Days that an authority lives: shorter and longer than the pairs it signs."""


@cache
def authority(name: str, days: int, age: int) -> Any:
    """Return the Secret's data of an authority that was made `age` days after the start."""
    now = START + dt.timedelta(days=age)
    pair = Authority.create(name, validity=dt.timedelta(days=days), now=now).pair
    values = {"ca.pem": pair.cert_pem, "ca-key.pem": pair.key_pem}
    return {name: base64.b64encode(value).decode() for name, value in values.items()}


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["at the time", "before", "late", "authority", "spoilt"]),
        st.floats(0, 1),
        st.sampled_from(LIVES),
        st.sampled_from(["one", "two"]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(LOOKS, st.integers(0, 10**6))
def test_the_pair_kept_is_always_good_now_and_of_the_present_authority(
    looks: list[tuple[str, float, int, str]], microseconds: int
) -> None:
    now = START + dt.timedelta(microseconds=microseconds)
    current, data, wait = authority("one", 400, 0), None, 0.0
    for what, share, days, name in looks:
        match what:
            case "at the time":
                now += dt.timedelta(seconds=wait)
            case "before":
                now += dt.timedelta(seconds=wait * share)
            case "late":
                now += dt.timedelta(seconds=wait + share * 10**7)
            case "authority":
                current = authority(name, days, (now - START).days)
            case "spoilt":
                data = {**(data or {}), "tls.crt": "spoilt"}
        by = read_authority(current, "ca", now)
        if not isinstance(by, ClientAuthority):
            continue  # It has ended: nothing can be issued, and the status says so.
        before = data
        pair = keep_or_issue(data, by, CN, now)
        data, wait = dict(pair.data), pair.again
        assert bool(pair.issued) == (before != data)
        check(data, by, now, wait)


def check(data: dict[str, str], by: ClientAuthority, now: dt.datetime, wait: float) -> None:
    """What is kept is good now, and a look at the time it asks for comes before its end."""
    made = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
    assert made.not_valid_before_utc <= now < made.not_valid_after_utc
    assert made.not_valid_after_utc <= by.certificate.not_valid_after_utc
    assert made.subject.rfc4514_string() == f"CN={CN}"
    made.verify_directly_issued_by(by.certificate)
    left = (made.not_valid_after_utc - now).total_seconds()
    ends_with_it = made.not_valid_after_utc == by.certificate.not_valid_after_utc
    assert wait >= 1
    assert wait <= max(1, left) if ends_with_it else wait < left
    assert keep_or_issue(data, by, CN, now).data == data
