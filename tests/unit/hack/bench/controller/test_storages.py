from typing import Any

from controller.api.storage import read_storage
from hack.bench.controller.storages import AllDeployed, is_deployed, manifest


def stored(number: int, *, tls: bool, **conditions: str) -> dict[str, Any]:
    obj = manifest(number, tls=tls)
    told = [
        {"type": type_, "status": status, "reason": "It", "message": ""}
        for type_, status in conditions.items()
    ]
    return {**obj, "status": {"conditions": told}} if told else obj


def test_storages_are_plain_or_have_a_consumer_of_each_kind() -> None:
    made = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    for tls in (False, True):
        obj = manifest(7, tls=tls)
        storage = read_storage({**obj, "metadata": {**obj["metadata"], **made}})
        assert storage.tls is tls
        assert len(storage.client_cert_secrets) == len(storage.ca_cert_config_maps) == tls


def test_with_tls_the_certificates_count_too() -> None:
    assert is_deployed(stored(0, tls=False, Deployed="True"))
    assert not is_deployed(stored(0, tls=False, Deployed="False"))
    assert not is_deployed(stored(0, tls=False))
    assert not is_deployed(stored(0, tls=True, Deployed="True"))
    assert is_deployed(stored(0, tls=True, Deployed="True", CertificatesReady="True"))


def test_the_last_one_counts() -> None:
    waiting = AllDeployed(["storage-0000", "storage-0001"])
    waiting.on_add(stored(0, tls=False, Deployed="True"), False)
    waiting.on_update({}, stored(1, tls=False, Deployed="False"))
    waiting.on_update({}, stored(0, tls=False, Deployed="True"))
    assert waiting.wait(0) is None
    assert waiting.left == 1
    waiting.on_update({}, stored(1, tls=False, Deployed="True"))
    at = waiting.wait(0)
    assert at is not None
    waiting.on_update({}, stored(1, tls=False, Deployed="True"))
    assert waiting.wait(0) == at
