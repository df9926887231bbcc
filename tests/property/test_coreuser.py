"""The pair of a core user through any history of looks, authorities, trust and spoilt Secrets."""

import base64
import datetime as dt
from functools import cache
from typing import Any

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import Trust, TrustLook
from controller.pki import Authority
from controller.pki.coreuser import ClientAuthority
from controller.userpair import PairMaker
from tests.support.objects import CLIENT_CA, NAMESPACE, read

START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
CN = "etcdstorage:name"
LIVES = (1, 30, 200, 400, 3650)
"""Days that an authority lives: shorter and longer than the pairs it signs."""
MAKER = PairMaker(NAMESPACE, CLIENT_CA)
STORAGE = read("name")


@cache
def authority(name: str, days: int, age: int) -> Any:
    """Return the Secret of an authority that was made `age` days after the start."""
    now = START + dt.timedelta(days=age)
    pair = Authority.create(name, validity=dt.timedelta(days=days), now=now).pair
    values = {"ca.pem": pair.cert_pem, "ca-key.pem": pair.key_pem}
    return {"data": {name: base64.b64encode(value).decode() for name, value in values.items()}}


LOOKS = st.lists(
    st.tuples(
        st.sampled_from(["at the time", "before", "late", "authority", "spoilt"]),
        st.floats(0, 1),
        st.sampled_from(LIVES),
        st.sampled_from(["one", "two"]),
        st.sampled_from([Trust.FULL, *Trust]),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(LOOKS, st.integers(0, 10**6))
def test_the_pair_kept_is_good_and_of_the_present_authority_once_the_core_trusts_that(
    looks: list[tuple[str, float, int, str, Trust]], microseconds: int
) -> None:
    now = START + dt.timedelta(microseconds=microseconds)
    current, secret, wait = authority("one", 400, 0), None, 0.0
    for what, share, days, name, trust in looks:
        match what:
            case "at the time":
                now += dt.timedelta(seconds=wait)
            case "before":
                now += dt.timedelta(seconds=wait * share)
            case "late":
                now += dt.timedelta(seconds=wait + share * 10**7)
            case "authority":
                current = authority(name, days, (now - START).days)
            case "spoilt" if secret is not None:
                secret = {"data": {**secret["data"], "tls.crt": "spoilt"}}
        by = MAKER.authority(current, now).by
        if by is None:
            continue  # It has ended: nothing can be issued, and the status says so.
        look = MAKER.look(STORAGE, secret, by, TrustLook(trust, ("https://core",)), now)
        if changed(secret, look.secret):
            check_may_change(secret, by, trust, now)
        if look.secret is not None:
            secret, wait = look.secret, look.again or 0.0
            check(secret, by, now, wait)
        else:
            assert look.problem is not None
        assert (look.secret is None) <= (trust is not Trust.FULL)
        # Once more: nothing is made twice.
        again = MAKER.look(STORAGE, secret, by, TrustLook(Trust.FULL), now).secret
        assert changed(secret, again) == (look.secret is None)


def changed(before: Any, after: Any) -> bool:
    return after is not None and (before is None or before["data"] != after["data"])


def check_may_change(secret: Any, by: ClientAuthority, trust: Trust, now: dt.datetime) -> None:
    """A pair that was good for the core until now gives way only to one that surely is."""
    if trust is Trust.FULL:
        return
    made = load(secret) if secret and secret["data"]["tls.crt"] != "spoilt" else None
    good = made is not None and now < made.not_valid_after_utc
    if made and (good or trust not in {Trust.PARTIAL, Trust.DIVIDED}):
        made.verify_directly_issued_by(by.certificate)
        assert trust is not Trust.UNSIGNED
    else:
        assert trust in {Trust.PARTIAL, Trust.DIVIDED}


def check(secret: Any, by: ClientAuthority, now: dt.datetime, wait: float) -> None:
    """What is kept is good now, and a look at the time it asks for comes before its end."""
    made = load(secret)
    assert made.not_valid_before_utc <= now < made.not_valid_after_utc
    assert made.not_valid_after_utc <= by.certificate.not_valid_after_utc
    assert made.subject.rfc4514_string() == f"CN={CN}"
    made.verify_directly_issued_by(by.certificate)
    left = (made.not_valid_after_utc - now).total_seconds()
    ends_with_it = made.not_valid_after_utc == by.certificate.not_valid_after_utc
    assert wait >= 1
    assert wait <= max(1, left) if ends_with_it else wait < left


def load(secret: Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
