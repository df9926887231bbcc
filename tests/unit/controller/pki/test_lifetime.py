"""When a certificate is to be replaced, and how long it counts."""

import datetime as dt

import pytest
from cryptography import x509

from controller.pki import Authority, Leaf
from controller.pki.lifetime import SLACK, gone, issued, leeway, life, renewal, whole

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


def certificate(authority: Authority, validity: dt.timedelta = 90 * DAY) -> x509.Certificate:
    made = authority.issue(Leaf(), validity=validity, now=NOW)
    return x509.load_pem_x509_certificate(made.cert_pem)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("ca", validity=900 * DAY, now=NOW)


def test_life_is_counted_from_the_making_not_from_the_beginning(authority: Authority) -> None:
    made = certificate(authority)
    assert SLACK > DAY
    assert made.not_valid_before_utc == NOW.replace(microsecond=0) - SLACK
    assert issued(made) == NOW.replace(microsecond=0)
    assert life(made) == 90 * DAY


def test_it_is_replaced_between_two_thirds_and_three_quarters(authority: Authority) -> None:
    made = [certificate(authority) for _ in range(20)]
    moments = {renewal(each) for each in made}
    assert len(moments) > 15
    assert all(issued(made[0]) + 60 * DAY <= at < issued(made[0]) + 67.5 * DAY for at in moments)
    assert renewal(made[0]) == renewal(made[0])


def test_what_ends_with_its_authority_stays_to_the_end(authority: Authority) -> None:
    by = x509.load_pem_x509_certificate(authority.cert_pem)
    assert renewal(certificate(authority, 900 * DAY), by) == by.not_valid_after_utc
    assert renewal(certificate(authority), by) < NOW + 68 * DAY


def test_what_lives_for_seconds_is_not_kept_for_a_day(authority: Authority) -> None:
    long, short = certificate(authority), certificate(authority, 10 * SECOND)
    assert gone(long) == long.not_valid_after_utc + SLACK
    assert gone(short) == short.not_valid_after_utc + 10 * SECOND
    assert leeway(-SECOND) == dt.timedelta(0)


def test_a_validity_is_in_whole_seconds_and_not_too_short_to_be_renewed() -> None:
    assert whole(dt.timedelta(seconds=90, milliseconds=700)) == 90 * SECOND
    assert whole(dt.timedelta(0)) == whole(-DAY) == 10 * SECOND
