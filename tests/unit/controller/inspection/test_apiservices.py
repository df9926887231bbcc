import base64
from datetime import timedelta
from typing import Any

from controller.inspection.apiservices import findings
from controller.inspection.finding import Level
from tests.unit.controller.inspection.conftest import NOW, authority_of

UNTRUSTED = "Get https://x: tls: failed to verify certificate: x509: signed by unknown authority"


def api_service(
    *, available: str = "True", message: str = "", bundle: bytes = b"", local: bool = False
) -> dict[str, Any]:
    condition = {
        "type": "Available",
        "status": available,
        "reason": "FailedDiscoveryCheck",
        "message": message,
    }
    spec = {
        "service": None if local else {"namespace": "wardle", "name": "api"},
        "caBundle": base64.b64encode(bundle).decode(),
    }
    return {
        "metadata": {"name": "v1.wardle.example.com"},
        "spec": spec,
        "status": {"conditions": [condition]},
    }


def test_those_that_are_available_and_those_of_the_server_itself_are_fine() -> None:
    (only,) = findings([api_service(), api_service(local=True, available="False")], NOW)
    assert (only.level, only.what) == (Level.OK, "all 1 aggregated APIs are available")


def test_a_wrong_authority_is_named() -> None:
    (only,) = findings([api_service(available="False", message=UNTRUSTED)], NOW)
    assert only.level is Level.FAIL
    assert "v1.wardle.example.com is not available (FailedDiscoveryCheck)" in only.what
    assert only.todo == (
        "put the authority that signed the certificate of wardle/api into spec.caBundle"
    )


def test_a_bundle_that_is_over_is_told_before_the_server_notices() -> None:
    old = authority_of(1, now=NOW - timedelta(days=9)).cert_pem
    (only,) = findings([api_service(bundle=old)], NOW)
    assert (only.level, "caBundle ended at" in only.what) == (Level.FAIL, True)
    good = authority_of().cert_pem
    (fine,) = findings([api_service(bundle=good)], NOW)
    assert fine.level is Level.OK


def test_one_that_is_away_leads_to_its_service() -> None:
    (only,) = findings([api_service(available="False", message="no endpoints")], NOW)
    assert "Service wardle/api" in only.todo
    unseen = api_service()
    del unseen["status"]
    (first,) = findings([unseen], NOW)
    assert "not looked at yet" in first.what
