"""All checks together, on a cluster in memory."""

import io
import json
from collections.abc import Iterator
from typing import Any

from controller.inspection.apiservices import API_SERVICES
from controller.inspection.crd import CRDS
from controller.inspection.deployment import DEPLOYMENTS
from controller.inspection.doctor import examine, print_json, print_text
from controller.inspection.finding import Finding, Level
from controller.inspection.grants import REVIEWS, SELF_REVIEWS
from controller.inspection.patient import Patient
from controller.inspection.terminal import Progress
from controller.resources import ETCD_STORAGES, PODS
from hack.cluster import ports
from informers import ApiError, ConnectionFailed
from tests.support.bookshelf import Bookshelf
from tests.support.clock import FakeClock
from tests.support.objects import etcd_storage, pod
from tests.unit.controller.inspection.conftest import NOW
from tests.unit.controller.inspection.test_crd import installed
from tests.unit.controller.inspection.test_deployment import NAMESPACE, deployment
from tests.unit.controller.inspection.test_rows import status

CORE = f"--etcd-core-url=http://127.0.0.1:{ports.free(1)[0]}"
"""Without TLS, and nobody there: credentials and the core are tested apart."""


def healthy() -> Bookshelf:
    shelf = Bookshelf()
    shelf.time = NOW
    shelf.put(CRDS, installed())
    controller = deployment(CORE)
    controller["metadata"]["labels"] = {"app.kubernetes.io/name": "etcdproxy-controller"}
    shelf.put(DEPLOYMENTS, controller)
    shelf.put(ETCD_STORAGES, etcd_storage(status=status()))
    shelf.put(PODS, pod("a"))
    shelf.put(API_SERVICES)
    return shelf


def diagnosis(shelf: Bookshelf, *flags: str, namespace: str = NAMESPACE) -> list[Finding]:
    patient = Patient(shelf.client, namespace, flags, (), inside=False, now=NOW)
    return list(examine(patient, Progress(io.StringIO(), FakeClock())))


def not_ok(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.level.value, f.check) for f in findings if f.level is not Level.OK]


UNKNOWN_CORE = [("UNKNOWN", "core etcd"), ("UNKNOWN", "compaction")]


def test_a_healthy_cluster_fails_nothing() -> None:
    found = diagnosis(healthy())
    assert not_ok(found) == UNKNOWN_CORE
    assert [finding.check for finding in found] == [
        *("API server", "controller", "flags", "CRD", "rights", "credentials", "core etcd"),
        *("compaction", "images", "clock", "APIServices", "storages"),
    ]


def test_rights_are_asked_for_the_deployments_account() -> None:
    shelf = healthy()
    shelf.denied = {("create", "replicasets"), ("patch", "secrets")}
    rights = [finding for finding in diagnosis(shelf) if finding.check == "rights"]
    assert [finding.level for finding in rights] == [Level.FAIL] * 2
    assert "sa may not create replicasets.apps in kube-apiserver-storage" in rights[0].what
    assert {body["spec"]["user"] for body in shelf.asked} == {
        f"system:serviceaccount:{NAMESPACE}:sa"
    }


def test_who_may_not_ask_for_others_is_told_how_to() -> None:
    shelf = healthy()
    shelf.failing[REVIEWS] = ApiError(403, "Forbidden", "cannot create subjectaccessreviews")
    (rights,) = [finding for finding in diagnosis(shelf) if finding.check == "rights"]
    assert (rights.level, "auth can-i" in rights.todo) == (Level.UNKNOWN, True)


def test_a_storage_that_reclaims_takes_one_right_more() -> None:
    shelf = healthy()
    diagnosis(shelf)
    before = len(shelf.asked)
    shelf.put(ETCD_STORAGES, etcd_storage("b", status=status(), reclaimPolicy="Delete"))
    diagnosis(shelf)
    assert len(shelf.asked) == 2 * before + 1


def test_without_a_deployment_its_flags_can_be_given() -> None:
    found = diagnosis(healthy(), namespace="elsewhere")
    assert not_ok(found) == [
        ("WARN", "controller"),
        ("UNKNOWN", "rights"),
        ("UNKNOWN", "credentials"),
    ]
    shelf = healthy()
    given = diagnosis(shelf, CORE, "--leader-elect=false", namespace="elsewhere")
    assert not_ok(given) == [("UNKNOWN", "controller"), *UNKNOWN_CORE]
    assert {body["kind"] for body in shelf.asked} == {SELF_REVIEWS.kind}


def test_given_flags_stand_in_for_the_deployments() -> None:
    found = diagnosis(healthy(), CORE.replace("127.0.0.1", "127.0.0.2"))
    (flags,) = [finding for finding in found if finding.check == "flags"]
    assert "http://127.0.0.2" in flags.what


def test_a_server_that_is_away_is_one_line() -> None:
    shelf = healthy()
    shelf.away = ConnectionFailed(shelf.server, "Connection refused", refused=True)
    (only,) = diagnosis(shelf)
    assert (only.level, only.what) == (
        Level.FAIL,
        "https://api.example:6443: Connection refused",
    )


def test_credentials_that_are_not_taken_are_told_as_that() -> None:
    shelf = healthy()
    shelf.away = ApiError(401, "Unauthorized", "Unauthorized")
    (only,) = diagnosis(shelf)
    assert (only.level, only.what) == (
        Level.FAIL,
        "https://api.example:6443: Unauthorized (401 Unauthorized)",
    )
    assert "have ended" in only.todo
    shelf.away = ApiError(400, "BadRequest", "Client sent an HTTP request")
    (only,) = diagnosis(shelf)
    assert "an API server?" in only.todo


def test_a_cluster_without_the_crd_is_told_once() -> None:
    shelf = healthy()
    shelf.objects[CRDS] = []
    shelf.failing[ETCD_STORAGES] = ApiError(404, "NotFound", "the server could not find it")
    found = diagnosis(shelf)
    assert not_ok(found) == [("FAIL", "CRD"), *UNKNOWN_CORE]


def test_who_may_read_little_is_told_of_each_that_is_unknown() -> None:
    shelf = healthy()
    for resource in (CRDS, DEPLOYMENTS, ETCD_STORAGES, PODS, API_SERVICES):
        shelf.forbid(resource)
    found = diagnosis(shelf)
    assert not_ok(found) == [
        ("UNKNOWN", name)
        for name in (
            *("controller", "CRD", "rights", "credentials", "images", "APIServices"),
            "storages",
        )
    ]


def some() -> Iterator[Finding]:
    yield Finding(Level.OK, "clock", "they agree")
    yield Finding(Level.FAIL, "CRD", "is not installed", "kubectl apply")


def test_text_has_a_line_each_and_what_to_do_below() -> None:
    out = io.StringIO()
    assert print_text(some(), out, colour=False) == 1
    assert out.getvalue() == (
        "OK      clock: they agree\nFAIL    CRD: is not installed\n        -> kubectl apply\n"
    )
    painted = io.StringIO()
    print_text(some(), painted, colour=True)
    assert "\033[31mFAIL" in painted.getvalue()


def test_json_is_one_object() -> None:
    out = io.StringIO()
    assert print_json(some(), out) == 1
    told: Any = json.loads(out.getvalue())
    assert [one["level"] for one in told["findings"]] == ["OK", "FAIL"]
