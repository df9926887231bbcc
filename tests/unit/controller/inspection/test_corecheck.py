"""The core as the cluster and its credentials show it; nobody answers at its URL here."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from controller.core.looks import Access
from controller.inspection import corestate
from controller.inspection.corecheck import check_core, check_credentials
from controller.inspection.coreservice import ENDPOINT_SLICES, SERVICE_NAME_LABEL
from controller.inspection.corestate import CoreState, Member
from controller.inspection.deployment import Setup, read_flags
from controller.inspection.finding import Finding, Level
from controller.inspection.patient import Patient
from controller.resources import CONFIG_MAPS, PODS, SECRETS, SERVICES
from tests.support.bookshelf import Bookshelf
from tests.unit.controller.inspection.conftest import NOW, authority_of, pair

NAMESPACE = "ns"


@pytest.fixture(autouse=True)
def core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers: to look a name up in the cluster's DNS is not for a test."""

    def ask(access: Access) -> CoreState:
        return CoreState(tuple(Member(url, error="DNS failed") for url in access.urls))

    monkeypatch.setattr(corestate, "ask", ask)


URL = "https://core.etcd.svc:2379"


def examined(
    shelf: Bookshelf,
    url: str = URL,
    *,
    core_urls: tuple[str, ...] = (),
    deployment: str | None = None,
) -> Patient:
    flags = (f"--etcd-core-url={url}",)
    setup = Setup(flags, read_flags(flags, NAMESPACE), deployment)
    return Patient(shelf.client, NAMESPACE, (), core_urls, inside=False, now=NOW, setup=setup)


def shelf_with_credentials() -> Bookshelf:
    shelf = Bookshelf()
    made = pair()
    content = {"client.pem": made.cert_pem, "client-key.pem": made.key_pem}
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    bundle = {"ca.pem": authority_of().cert_pem.decode()}
    shelf.put(CONFIG_MAPS, _named("etcd-coreserving-ca", NAMESPACE, data=bundle))
    shelf.put(SECRETS, _named("etcd-coreserving-cert", NAMESPACE, data=data))
    return shelf


def with_core(shelf: Bookshelf, *flags: str) -> Bookshelf:
    """Add a core in the cluster: a Service, its endpoints, and a pod started with `flags`."""
    shelf.put(SERVICES, _named("core", "etcd", spec={"ports": [{"port": 2379}]}))
    target = {"kind": "Pod", "name": "core-0"}
    behind = _named("core-x", "etcd", endpoints=[{"targetRef": target}])
    behind["metadata"]["labels"] = {SERVICE_NAME_LABEL: "core"}
    shelf.put(ENDPOINT_SLICES, behind)
    container = {"command": ["/usr/local/bin/etcd", *flags]}
    shelf.put(PODS, _named("core-0", "etcd", spec={"containers": [container]}))
    return shelf


def _named(name: str, namespace: str, **content: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **content}


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level.value, finding.check) for finding in findings]


def test_credentials_are_looked_at_by_the_flags_names() -> None:
    found = list(check_credentials(examined(shelf_with_credentials())))
    assert told(found) == [("OK", "credentials"), ("OK", "credentials")]
    missing = list(check_credentials(examined(Bookshelf())))
    assert told(missing) == [("FAIL", "credentials"), ("FAIL", "credentials")]


def test_a_core_of_the_cluster_that_is_not_reached_from_here_is_unknown() -> None:
    shelf = with_core(shelf_with_credentials(), "--auto-compaction-retention=5m")
    patient = examined(shelf, deployment="controller")
    asked, compaction = check_core(patient)
    assert (asked.level, asked.check) == (Level.UNKNOWN, "core etcd")
    # That pod knows its flags.
    there = "kubectl exec -n ns deploy/controller -- etcdproxy-controller doctor"
    assert asked.todo == there
    given, _ = check_core(replace(patient, flags=("--workers=1",)))
    assert given.todo == f"{there} -- --workers=1"
    assert (compaction.level, compaction.check) == (Level.OK, "compaction")
    (elsewhere, _) = check_core(examined(shelf))
    assert elsewhere.todo == (
        "kubectl port-forward -n etcd service/core 2379, and doctor"
        " --etcd-core-url=https://127.0.0.1:2379"
    )


def test_a_wrong_url_is_named_even_so() -> None:
    shelf = with_core(shelf_with_credentials())
    first, *_ = check_core(examined(shelf, "https://core.etcd.svc:2380"))
    assert first.level is Level.FAIL
    assert "https://core.etcd.svc:2380" in first.what
    other, *_ = check_core(examined(shelf, "https://cord.etcd.svc:2379"))
    assert "Service cord in namespace etcd does not exist" in other.what


def test_a_core_that_does_not_compact_is_named_by_its_pod() -> None:
    shelf = with_core(shelf_with_credentials(), "--name=core-0")
    *_, compaction = check_core(examined(shelf))
    assert (compaction.level, "core-0" in compaction.what) == (Level.FAIL, True)


def test_without_credentials_nobody_is_asked() -> None:
    asked, compaction = check_core(examined(with_core(Bookshelf(), "--name=c"), core_urls=(URL,)))
    assert (asked.level, asked.todo) == (Level.UNKNOWN, "see the credentials above")
    assert compaction.check == "compaction"
    shelf = shelf_with_credentials()
    shelf.forbid(SECRETS)
    unread, *_ = check_core(examined(shelf, "https://elsewhere:2379"))
    assert unread.todo == "see the credentials above"


def test_where_it_is_said_to_be_reached_from_here_silence_is_wrong() -> None:
    here = "http://127.0.0.1:2379"
    patient = examined(Bookshelf(), "http://core:2379", core_urls=(here,))
    asked, compaction = check_core(patient)
    assert (asked.level, here in asked.what) == (Level.FAIL, True)
    assert (compaction.level, compaction.check) == (Level.UNKNOWN, "compaction")


def test_without_flags_neither_is_known() -> None:
    patient = Patient(Bookshelf().client, NAMESPACE, (), (), inside=False, now=NOW)
    assert told(list(check_credentials(patient))) == [("UNKNOWN", "credentials")]
    assert list(check_core(patient)) == []
