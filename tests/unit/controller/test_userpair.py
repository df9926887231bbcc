"""The Secret with a storage's pair, by a real authority."""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from controller.core import Trust, TrustLook
from controller.resources import SECRETS
from controller.userpair import PairLook, PairMaker, told
from tests.support.objects import CLIENT_CA, NAMESPACE, client_ca, read

Json = dict[str, Any]

MAKER = PairMaker(NAMESPACE, CLIENT_CA)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
AUTHORITY = client_ca(NOW)
OTHER = client_ca(NOW)
URLS = ("https://one", "https://two")


def look(
    present: Json | None,
    trust: Trust = Trust.FULL,
    now: datetime = NOW,
    *,
    name: str = "tenant",
    authority: Json = AUTHORITY,
) -> PairLook:
    by = MAKER.authority(authority, now).by
    assert by is not None
    return MAKER.look(read(name), present, by, TrustLook(trust, URLS), now)


def made(**of: Any) -> Json:
    secret = look(None, **of).secret
    assert secret is not None
    return secret


def common_name(secret: Json) -> str:
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def test_a_pair_is_made_for_the_storages_user_and_kept() -> None:
    first = look(None)
    assert first.secret is not None
    metadata = first.secret["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("etcd-user-tenant", NAMESPACE)
    assert (first.secret["apiVersion"], first.secret["kind"]) == (SECRETS.api_version, "Secret")
    assert first.secret["type"] == "kubernetes.io/tls"
    assert common_name(first.secret) == "etcdstorage:tenant"
    again = look(first.secret, now=NOW + timedelta(days=30))
    assert again.secret == first.secret
    assert 0 < (again.again or 0) < (first.again or 0)


def test_a_pair_of_another_storage_or_an_old_one_is_replaced() -> None:
    first = made()
    for name, now in (("other", NOW), ("tenant", NOW + timedelta(days=300))):
        found = look(first, now=now, name=name).secret
        assert found is not None
        assert found["data"] != first["data"]


def test_an_authority_of_no_use_is_named() -> None:
    for authority in (None, {"data": None}, {"data": {"ca.pem": "eA=="}}):
        found = MAKER.authority(authority, NOW)
        assert found.by is None
        assert found.problem is not None
        assert found.problem.reason == "CoreClientCAUnusable"
        assert CLIENT_CA in found.problem.message


SPOILT: Json = {"data": {"tls.crt": "spoilt", "tls.key": ""}}
UNTRUSTED, UNPROVEN = "CoreClientCAUntrusted", "CoreClientCAUnproven"
PENDING, UNUSABLE = "CoreUserPending", "CoreClientCAUnusable"


MISMATCHED: Json = {"data": {**made()["data"], "tls.key": made()["data"]["tls.key"]}}
"""Of this authority, and nobody has the key of its certificate."""


@pytest.mark.parametrize(
    ("present", "trust", "replaced", "reason"),
    [
        # A pair of this authority that is good stays, whatever the core says.
        (made(), Trust.FULL, False, None),
        (made(), Trust.PARTIAL, False, None),
        (made(), Trust.UNKNOWN, False, None),
        (made(), Trust.DIVIDED, False, UNTRUSTED),
        (made(), Trust.REFUSED, False, UNTRUSTED),
        (made(), Trust.UNSIGNED, False, UNUSABLE),
        # One of another authority stays until every member trusts this one.
        (made(authority=OTHER), Trust.FULL, True, None),
        (made(authority=OTHER), Trust.PARTIAL, False, UNPROVEN),
        (made(authority=OTHER), Trust.UNKNOWN, False, PENDING),
        (made(authority=OTHER), Trust.DIVIDED, False, UNTRUSTED),
        (made(authority=OTHER), Trust.REFUSED, False, UNTRUSTED),
        (made(authority=OTHER), Trust.UNSIGNED, False, UNUSABLE),
        # What replaces nothing good needs some member that takes it: a storage with a pair that
        # one member refuses is better off than one with none.
        *(
            row
            for present in (None, SPOILT)
            for row in (
                (present, Trust.FULL, True, None),
                (present, Trust.PARTIAL, True, None),
                (present, Trust.UNKNOWN, False, PENDING),
                (present, Trust.DIVIDED, True, UNTRUSTED),
                (present, Trust.REFUSED, False, UNTRUSTED),
                (present, Trust.UNSIGNED, False, UNUSABLE),
            )
        ),
        # What this authority has signed is replaced by what is taken wherever that was.
        (MISMATCHED, Trust.FULL, True, None),
        (MISMATCHED, Trust.PARTIAL, True, None),
        (MISMATCHED, Trust.UNKNOWN, True, None),
        (MISMATCHED, Trust.DIVIDED, True, UNTRUSTED),
        (MISMATCHED, Trust.REFUSED, True, UNTRUSTED),
        (MISMATCHED, Trust.UNSIGNED, False, UNUSABLE),
    ],
)
def test_nothing_good_gives_way_to_what_the_core_may_refuse(
    present: Json | None, trust: Trust, *, replaced: bool, reason: str | None
) -> None:
    found = look(present, trust)
    new = found.secret is not None and found.secret["data"] != (present or SPOILT)["data"]
    assert new is replaced
    assert (found.problem and found.problem.reason) == reason
    if found.problem:
        assert found.problem.passes is (reason == PENDING)
        assert CLIENT_CA in found.problem.message
        named = reason in {UNTRUSTED, UNPROVEN}
        assert (", ".join(URLS) in found.problem.message) is named


@pytest.mark.parametrize("days", [300, 400])
def test_a_pair_at_its_end_gives_way_to_another_of_its_authority_whoever_takes_that(
    days: int,
) -> None:
    first, now = made(), NOW + timedelta(days=days)
    for trust in Trust:
        replaced = look(first, trust, now).secret is not None
        assert replaced is (trust is not Trust.UNSIGNED)


def test_one_of_another_authority_that_has_expired_is_no_better_than_none() -> None:
    first, now = made(authority=OTHER), NOW + timedelta(days=400)
    taken = [trust for trust in Trust if look(first, trust, now).secret is not None]
    assert taken == [Trust.PARTIAL, Trust.FULL, Trust.DIVIDED]


def test_a_status_tells_which_key_has_signed_the_pair() -> None:
    """As `openssl x509 -ext subjectKeyIdentifier` shows it: two authorities may have one name."""
    first, second = told(made()), told(made(authority=OTHER))
    assert first["notAfter"] == "2027-01-02T00:00:00Z"
    assert re.fullmatch("[0-9a-f]{1,40}", first["serial"])
    for authority, shown in ((AUTHORITY, first), (OTHER, second)):
        pem = base64.b64decode(authority["data"]["ca.pem"])
        certificate = x509.load_pem_x509_certificate(pem)
        named = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert shown["signedBy"] == named.value.digest.hex(":").upper()
    assert first["signedBy"] != second["signedBy"]
    assert told(None) == told(SPOILT) == {}
