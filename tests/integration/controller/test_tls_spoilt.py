"""What somebody did to the Secrets with a storage's certificates: told, survived, mended."""

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from controller.api.conditions import find_condition
from controller.certificates import DELIVERED
from controller.consumers import Consumer, load
from controller.ownership import STORAGE_LABEL
from controller.pki.pem import is_signed_by
from controller.resources import ETCD_STORAGES, REPLICA_SETS, SECRETS
from tests.integration.controller.lives import Lives
from tests.integration.controller.tlsstorages import Json, decoded, issued, rotating

pytestmark = pytest.mark.long


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _truncated(authority: Json, _: Json) -> Json:
    return {"tls.crt": encoded(decoded(authority, "tls.crt")[:300])}


def _emptied(authority: Json, _: Json) -> Json:
    return dict.fromkeys(authority["data"])


def _of_another(_: Json, other: Json) -> Json:
    data: Json = other["data"]
    return data


def _without_its_key(_: Json, other: Json) -> Json:
    return {"tls.key": other["data"]["tls.key"]}


def _of_two(authority: Json, other: Json) -> Json:
    both = decoded(authority, "tls.crt") + decoded(other, "tls.crt")
    return {"tls.crt": encoded(both)}


def _with_an_rsa_key(_authority: Json, _: Json) -> Json:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {"tls.key": encoded(key)}


SPOILERS: list[Callable[[Json, Json], Json]] = [
    _truncated,
    _emptied,
    _of_another,
    _without_its_key,
    _of_two,
    _with_an_rsa_key,
]


def test_an_authority_that_is_no_good_is_told_and_all_goes_on_with_what_was_delivered(
    lives: Lives,
) -> None:
    name, other = lives.create(), lives.create()
    lives.settle(name)
    lives.settle(other)
    before = lives.delivered(name)
    stranger = lives.delivered(other).authority
    secret, status = f"etcd-ca-{name}", [f"PATCH etcdstorages/{name}/status"]
    for spoil in SPOILERS:
        patch = {"data": spoil(before.authority, stranger)}
        lives.api.patch(SECRETS, secret, patch, namespace=lives.namespace)
        with lives.begin() as life:
            assert life.settle(name) == status, spoil
            assert life.poll(name) == []
        for type_ in ("CertificatesReady", "Degraded"):
            assert told(lives, name, type_)[1] == "AuthorityUnusable", spoil
        found = lives.read(name)
        assert found.storage.status["certificates"] == before.storage.status["certificates"]
        assert (found.serving, found.pairs) == (before.serving, before.pairs)
        # Put back what was there, all is well again and nothing is new.
        content = {"data": before.authority["data"]}
        lives.api.patch(SECRETS, secret, content, namespace=lives.namespace)
        assert lives.settle(name) == status
        assert lives.delivered(name).serials == before.serials


def test_an_authority_that_is_no_good_from_the_start_makes_no_pod(lives: Lives) -> None:
    name = lives.create()
    secret = f"etcd-ca-{name}"
    labels = {STORAGE_LABEL: name}
    lives.api.create(SECRETS, _secret(secret, labels=labels), lives.namespace)
    lives.settle(name)
    assert told(lives, name, "Deployed") == ("False", "AuthorityUnusable")
    assert not lives.exists(REPLICA_SETS, f"etcd-rs-{name}")
    lives.api.delete(SECRETS, secret, namespace=lives.namespace)
    lives.settle(name)
    lives.delivered(name)


def test_a_lost_authority_is_followed_by_one_that_waits_for_its_bundle(
    lives: Lives, tmp_path: Path
) -> None:
    name = lives.create(servingCertificateValidity="30h", clientCertificateValidity="30h")
    lives.settle(name)
    old = lives.delivered(name)
    lives.api.delete(SECRETS, f"etcd-ca-{name}", namespace=lives.namespace)
    with lives.begin() as life:
        written = life.reconcile(name)
        assert f"PATCH secrets/etcd-serving-{name}" in written
        found = lives.read(name)
        assert [former.certificate for former in found.trust.formers] == [old.signer]
        # What is shown is of the old one as long as that lasts.
        assert life.poll(name) == []
        assert found.leaves == old.leaves
        for consumer in lives.consumers:
            found.shake_hands(tmp_path, consumer, as_of=old)
        lives.ahead += timedelta(hours=24)
        life.settle(name)
        found = lives.read(name)
        assert is_signed_by(found.leaves[0], found.signer)
        # Nobody has seen a gate that takes what it signs.
        assert found.leaves[1:] == old.leaves[1:]
        for consumer in lives.consumers:
            found.shake_hands(tmp_path, consumer)
        assert life.poll(name) == []
        reasons = [event.reason for event in life.events]
        assert reasons == ["AuthorityRotated", "CertificateRenewed"]
    assert lives.settle(name) == []


def test_nothing_is_delivered_of_an_authority_that_cannot_be_stored(lives: Lives) -> None:
    name = lives.create()
    lives.settle(name)
    old = lives.delivered(name)
    secret, namespace = f"etcd-ca-{name}", lives.namespace
    lives.api.patch(SECRETS, secret, {"immutable": True}, namespace=namespace)
    lives.api.patch(ETCD_STORAGES, name, rotating("now"))
    assert {*lives.settle(name)} == {f"PATCH etcdstorages/{name}/status"}
    assert told(lives, name, "Deployed") == ("False", "ObjectImmutable")
    assert lives.read(name).certificates == old.certificates
    lives.api.delete(SECRETS, secret, namespace=namespace)
    held = {"metadata": {"finalizers": ["example.org/held"]}}
    lives.settle(name)
    lives.api.patch(SECRETS, secret, held, namespace=namespace)
    lives.api.delete(SECRETS, secret, namespace=namespace)
    lives.api.patch(ETCD_STORAGES, name, rotating("again"))
    kept = lives.read(name)
    assert {*lives.settle(name)} == {f"PATCH etcdstorages/{name}/status"}
    assert told(lives, name, "Deployed") == ("False", "AwaitingDeletion")
    assert lives.read(name).certificates == kept.certificates
    free = {"metadata": {"finalizers": None}}
    lives.api.patch(SECRETS, secret, free, namespace=namespace)
    lives.settle(name)
    assert told(lives, name, "Deployed") == ("True", "EtcdProxyDeployed")


def test_a_serving_secret_that_is_gone_or_damaged_is_mended_with_one_new_pair(
    lives: Lives,
) -> None:
    name, other = lives.create(), lives.create()
    lives.settle(name)
    lives.settle(other)
    stranger = lives.delivered(other).serving["data"]
    secret, namespace = f"etcd-serving-{name}", lives.namespace
    spoilt: list[Json | None] = [
        None,
        {"tls.crt": encoded(b"-----BEGIN")},
        {"tls.crt": stranger["tls.crt"], "tls.key": stranger["tls.key"]},
        {"tls.key": stranger["tls.key"]},
    ]
    before = lives.delivered(name)
    for data in spoilt:
        if data is None:
            lives.api.delete(SECRETS, secret, namespace=namespace)
        else:
            lives.api.patch(SECRETS, secret, {"data": data}, namespace=namespace)
        lives.stored.clear()
        lives.settle(name)
        found = lives.delivered(name)
        assert issued(lives.stored) == {f"{namespace}/{secret}": [found.leaves[0].serial_number]}
        assert found.leaves[1:] == before.leaves[1:]
    # What is made from the pair needs no other one.
    serials = lives.delivered(name).serials
    for key in ("ca.crt", "clients.json", "pair.pb"):
        lives.api.patch(SECRETS, secret, {"data": {key: None}}, namespace=namespace)
        lives.settle(name)
        assert lives.delivered(name).serials == serials


def test_secrets_of_somebody_else_under_our_names_are_left_alone(lives: Lives) -> None:
    for stem in ("etcd-ca", "etcd-serving"):
        name = lives.create()
        theirs = _secret(f"{stem}-{name}", data={"tls.crt": encoded(b"theirs")})
        before = lives.api.create(SECRETS, theirs, lives.namespace)
        written = lives.settle(name)
        assert written[-1] == f"PATCH etcdstorages/{name}/status"
        # One that is not looked for before it is to be made lets what comes before it be made.
        assert not [write for write in written if "replicasets" in write or "-pair" in write]
        assert told(lives, name, "Deployed") == ("False", "NameConflict")
        assert lives.api.get(SECRETS, f"{stem}-{name}", lives.namespace) == before


def test_who_cannot_be_emptied_is_told_and_tried_again_also_without_tls(lives: Lives) -> None:
    name = lives.create()
    lives.settle(name)
    pair, (first, second) = f"{name}-pair", lives.consumers
    lives.api.patch(SECRETS, pair, {"immutable": True}, namespace=first)
    immutable = Consumer("Secret", first, pair)
    lives.withdraw_first(name)
    with lives.begin() as life:
        life.reconcile(name)
        assert told(lives, name, "CertificatesReady") == ("False", "ConsumerImmutable")
        left = {Consumer("ConfigMap", second, f"{name}-ca"), Consumer("Secret", second, pair)}
        assert delivered_to(lives, name) == {immutable, *left}
        lives.patch(name, {"spec": {"caCertConfigMap": [], "clientCertSecret": []}})
        life.reconcile(name)
        assert told(lives, name, "Degraded") == ("True", "ConsumerImmutable")
        assert delivered_to(lives, name) == {immutable}
        assert life.again is not None
        assert life.again < 3
        lives.api.delete(SECRETS, pair, namespace=first)
        life.clock.step(1000)
        assert f"PATCH secrets/etcd-serving-{name}" in life.reconcile(name)
        assert told(lives, name, "Degraded")[0] == "False"
        assert delivered_to(lives, name) == set()


def delivered_to(lives: Lives, name: str) -> set[Consumer]:
    serving = lives.api.get(SECRETS, f"etcd-serving-{name}", lives.namespace)
    return {*load(serving["metadata"]["annotations"][DELIVERED])}


def told(lives: Lives, name: str, type_: str) -> tuple[str, str]:
    condition = find_condition(lives.api.get(ETCD_STORAGES, name)["status"], type_) or {}
    return condition["status"], condition["reason"]


def _secret(name: str, data: Json | None = None, **metadata: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **metadata},
        "data": data or {},
    }
