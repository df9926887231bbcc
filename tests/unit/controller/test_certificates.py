"""What a storage's two Secrets should hold, and who gets what of it."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.certificates import (
    CA,
    DELIVERED,
    CertificateLook,
    Found,
    deliveries,
    left,
    listed,
    look,
    remembering,
)
from controller.consumers.consumer import BUNDLE, Consumer, Content, Data, dump, load
from controller.dataplane.gate import CLIENTS_FILE, PAIR_FILE
from controller.pki.lifetime import renewal
from controller.pki.pem import is_signed_by, read_certificates
from controller.secretdata import decoded
from tests.support.objects import NAMESPACE, read

Json = dict[str, Any]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)
MAP = Consumer("ConfigMap", "a", "bundle")
PAIR = Consumer("Secret", "a", "pair")
GONE = Consumer("Secret", "b", "gone")
IPS = ("10.0.0.7",)
LISTS: Any = {
    "caCertConfigMap": [{"namespace": "a", "name": "bundle"}],
    "clientCertSecret": [{"namespace": "a", "name": "pair"}],
}
STORAGE = read(**LISTS)


def decide(found: Found, *delivered: Consumer, now: datetime = NOW) -> CertificateLook:
    return look(STORAGE, NAMESPACE, found, delivered, now)


def found_after(seen: CertificateLook, **fields: Any) -> Found:
    """Return what is there once everything is written."""
    return replace(Found(seen.authority, seen.serving, IPS), **fields)


@pytest.fixture(scope="module")
def first() -> CertificateLook:
    return decide(Found(None, None, IPS))


def test_both_secrets_are_made_and_looking_again_finds_the_same(first: CertificateLook) -> None:
    again = decide(found_after(first))
    assert (again.authority, again.serving) == (first.authority, first.serving)
    assert (again.made, again.problem) == ("", None)
    assert again.leaf is not None
    assert again.leaf.issued == ""
    assert again.again is not None
    assert 0 < again.again <= (90 * DAY).total_seconds()
    assert not again.awaits_service


def test_a_look_shows_no_key(first: CertificateLook) -> None:
    assert first.authority is not None
    key = first.authority["data"]["tls.key"]
    assert key not in repr(first)
    assert decoded(first.authority["data"], "tls.key").decode() not in repr(first)
    assert key not in repr(found_after(first))


def test_what_gates_serve_by_is_in_files_of_one_secret(first: CertificateLook) -> None:
    assert first.serving is not None
    data = first.serving["data"]
    assert first.serving["type"] == "kubernetes.io/tls"
    assert set(data) == {"tls.crt", "tls.key", CA, PAIR_FILE, CLIENTS_FILE}
    assert decoded(data, "tls.crt") in decoded(data, PAIR_FILE)
    assert decoded(data, "tls.key") in decoded(data, PAIR_FILE)
    clients = json.loads(decoded(data, CLIENTS_FILE))
    assert "etcdstorage://etcd-name/a/pair" in json.dumps(clients)
    assert json.dumps(decoded(data, CA).decode()) in json.dumps(clients)
    (signer,) = read_certificates(decoded(data, CA))
    assert is_signed_by(read_certificates(decoded(data, "tls.crt"))[0], signer)


@pytest.mark.parametrize("longer", ["serving", "client"])
def test_the_longest_life_of_a_leaf_is_known(longer: str) -> None:
    storage = read(**LISTS, **{f"{longer}CertificateValidity": "5000h"})
    seen = look(storage, NAMESPACE, Found(None, None, IPS), (), NOW)
    assert seen.trust is not None
    assert seen.trust.longest == timedelta(hours=5000)


def test_before_there_is_a_service_there_is_an_authority_alone() -> None:
    seen = decide(Found(None, None, None))
    assert seen.authority is not None
    assert seen.serving is None
    assert seen.awaits_service


def test_without_its_service_a_pair_keeps_its_addresses_and_is_renewed(
    first: CertificateLook,
) -> None:
    assert decide(found_after(first, ips=None)).serving == first.serving
    assert first.leaf is not None
    late = renewal(first.leaf.certificate)
    renewed = decide(found_after(first, ips=None), now=late)
    assert renewed.leaf is not None
    assert renewed.leaf.issued
    settled = decide(found_after(renewed), now=late)
    assert settled.serving == renewed.serving


def test_the_next_look_is_at_the_first_renewal(first: CertificateLook) -> None:
    again = first.again
    assert first.leaf is not None
    assert again == (renewal(first.leaf.certificate) - NOW).total_seconds()
    short = look(
        read(**LISTS, signingCertificateValidity="2160h"),
        NAMESPACE,
        Found(None, None, IPS),
        (),
        NOW,
    )
    assert short.trust is not None
    assert short.leaf is not None
    signer = renewal(short.trust.signer.certificate)
    assert short.again == min((signer - NOW).total_seconds(), short.leaf.again)


def test_who_may_have_something_is_written_down_with_who_is_to_get_it(
    first: CertificateLook,
) -> None:
    def remembered(seen: CertificateLook) -> set[Consumer]:
        assert seen.serving is not None
        return set(load(seen.serving["metadata"]["annotations"][DELIVERED]))

    assert remembered(first) == {MAP, PAIR}
    assert remembered(decide(found_after(first), GONE)) == {MAP, PAIR, GONE}


def test_an_unusable_authority_changes_nothing_but_who_is_let_in(first: CertificateLook) -> None:
    broken: Json = {"metadata": {}, "data": {}}
    seen = look(
        read(caCertConfigMap=LISTS["caCertConfigMap"]),
        NAMESPACE,
        found_after(first, authority=broken),
        (PAIR,),
        NOW,
    )
    assert seen.problem is not None
    assert seen.problem.reason == "AuthorityUnusable"
    assert (seen.authority, seen.trust, seen.leaf) == (None, None, None)
    assert seen.serving is not None
    assert set(seen.serving["data"]) == {CLIENTS_FILE}
    assert b"a/pair" not in decoded(seen.serving["data"], CLIENTS_FILE)
    assert set(load(seen.serving["metadata"]["annotations"][DELIVERED])) == {MAP, PAIR}
    assert "type" not in seen.serving


@pytest.mark.parametrize("bundle", ["", "AAAA", base64.b64encode(b"-----BEGIN").decode()])
def test_with_a_spoilt_bundle_as_well_nothing_is_written(
    first: CertificateLook, bundle: str
) -> None:
    assert first.serving is not None
    spoilt = {**first.serving, "data": {**first.serving["data"], CA: bundle}}
    seen = decide(found_after(first, authority={"metadata": {}}, serving=spoilt))
    assert (seen.authority, seen.serving) == (None, None)


def serving_with(*consumers: Consumer) -> Json:
    return {"metadata": {"annotations": {DELIVERED: dump(consumers)}}}


def test_who_left_is_who_may_have_something_and_is_listed_no_more() -> None:
    assert listed(STORAGE) == (MAP, PAIR)
    assert left(STORAGE, serving_with(MAP, PAIR, GONE)) == (GONE,)
    assert set(left(read(), serving_with(MAP, GONE))) == {MAP, GONE}


@pytest.mark.parametrize(
    "serving",
    [None, {}, {"metadata": {}}, {"metadata": {"annotations": {DELIVERED: "?"}}}],
)
def test_where_nothing_is_remembered_nobody_has_left(serving: Json | None) -> None:
    assert left(STORAGE, serving) == ()


def test_of_lists_that_cannot_be_read_nobody_has_left() -> None:
    assert left(read(clientCertSecret=["x"]), serving_with(MAP, GONE)) == ()


def test_without_tls_only_who_is_left_is_remembered() -> None:
    secret = remembering(read(), NAMESPACE, [GONE])
    assert load(secret["metadata"]["annotations"][DELIVERED]) == (GONE,)
    assert "data" not in secret
    assert "type" not in secret


def contents(seen: CertificateLook, present: Data | None = None) -> dict[Consumer, Content]:
    assert seen.trust is not None
    found = deliveries(STORAGE, seen.trust, NOW, taken=True, first=False)
    return {delivery.consumer: delivery.content(present) for delivery in found}


def test_a_config_map_gets_the_bundle_and_a_secret_a_pair_of_its_own(
    first: CertificateLook,
) -> None:
    assert first.trust is not None
    signer = first.trust.signer.certificate
    found = contents(first)
    assert set(found) == {MAP, PAIR}
    assert found[MAP].data == {BUNDLE: first.trust.bundle(NOW).decode()}
    assert found[MAP].signed.serial == signer.serial_number
    (leaf,) = read_certificates(decoded(found[PAIR].data, "tls.crt"))
    assert is_signed_by(leaf, signer)
    assert found[PAIR].signed.serial == leaf.serial_number
    assert found[MAP].signed.by == found[PAIR].signed.by
    assert found[PAIR].again == (renewal(leaf, signer) - NOW).total_seconds()


def test_a_good_pair_that_is_there_is_kept(first: CertificateLook) -> None:
    pair = contents(first)[PAIR]
    kept = contents(first, pair.data)[PAIR]
    assert (kept.data, kept.issued) == (pair.data, "")


def test_a_delivery_is_another_with_another_bundle_validity_or_belief_of_the_gates(
    first: CertificateLook,
) -> None:
    def versions(seen: CertificateLook, *, taken: bool = True, **spec: Any) -> set[str]:
        assert seen.trust is not None
        found = deliveries(read(**LISTS, **spec), seen.trust, NOW, taken=taken, first=False)
        return {delivery.version for delivery in found if delivery.consumer == PAIR}

    same = versions(first)
    assert versions(decide(found_after(first), now=NOW + DAY)) == same
    token = {"annotations": {"etcd.xmudrii.com/rotate": "now"}}
    rotated = look(read(**LISTS, meta=token), NAMESPACE, found_after(first), (), NOW)
    others = (
        versions(rotated),
        versions(first, taken=False),
        versions(first, clientCertificateValidity="1h"),
    )
    assert len({*same}.union(*others)) == 4
