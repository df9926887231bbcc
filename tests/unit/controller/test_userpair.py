"""The Secret with a storage's pair, by a real authority."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from controller.resources import SECRETS
from controller.userpair import PairMaker
from tests.support.objects import CLIENT_CA, NAMESPACE, client_ca, read

MAKER = PairMaker(NAMESPACE, CLIENT_CA)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
AUTHORITY = client_ca(NOW)


def common_name(secret: dict[str, Any]) -> str:
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def test_a_pair_is_made_for_the_storages_user_and_kept() -> None:
    first = MAKER.look(read("tenant"), None, AUTHORITY, NOW)
    assert first.secret is not None
    metadata = first.secret["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("etcd-user-tenant", NAMESPACE)
    assert (first.secret["apiVersion"], first.secret["kind"]) == (SECRETS.api_version, "Secret")
    assert first.secret["type"] == "kubernetes.io/tls"
    assert common_name(first.secret) == "etcdstorage:tenant"
    again = MAKER.look(read("tenant"), first.secret, AUTHORITY, NOW + timedelta(days=30))
    assert again.secret == first.secret
    assert 0 < (again.again or 0) < (first.again or 0)


def test_a_pair_of_another_storage_or_an_old_one_is_replaced() -> None:
    first = MAKER.look(read("tenant"), None, AUTHORITY, NOW).secret
    for name, now in (("other", NOW), ("tenant", NOW + timedelta(days=300))):
        look = MAKER.look(read(name), first, AUTHORITY, now)
        assert look.secret is not None
        assert first is not None
        assert look.secret["data"] != first["data"]


def test_an_authority_of_no_use_is_named_and_makes_nothing() -> None:
    for authority in (None, {"data": None}, {"data": {"ca.pem": "eA=="}}):
        look = MAKER.look(read(), None, authority, NOW)
        assert look.secret is None
        assert look.problem is not None
        assert look.problem.reason == "CoreClientCAUnusable"
        assert CLIENT_CA in look.problem.message
