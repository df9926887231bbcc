"""What the cluster itself knows of a core's URL."""

from typing import Any

import pytest

from controller.inspection.cluster import Unread
from controller.inspection.coreservice import (
    ServiceAddress,
    compaction_findings,
    pods_behind,
    retention,
    service_finding,
    service_of,
)
from controller.inspection.finding import Level

URL = "https://etcd-svc-1.etcd.svc:2379"
AT = ServiceAddress("etcd-svc-1", "etcd", 2379)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (URL, AT),
        ("http://etcd-svc-1.etcd.svc.cluster.local", AT),
        ("https://core-0.etcd-svc-1.etcd.svc:2380", ServiceAddress("etcd-svc-1", "etcd", 2380)),
        ("https://etcd.example.org:2379", None),
        ("https://10.0.0.1:2379", None),
        ("https://etcd.svc:2379", None),
    ],
)
def test_a_url_by_the_clusters_dns_leads_to_a_service(
    url: str, found: ServiceAddress | None
) -> None:
    assert service_of(url) == found


def service(*ports: int, **spec: Any) -> dict[str, Any]:
    return {"spec": {"ports": [{"port": port} for port in ports], **spec}}


def slices(*ready: bool | None) -> list[Any]:
    endpoints = [
        {"conditions": {"ready": one}, "targetRef": {"kind": "Pod", "name": f"core-{index}"}}
        for index, one in enumerate(ready)
    ]
    return [{"endpoints": endpoints}, {"endpoints": None}]


@pytest.mark.parametrize(
    ("found", "behind", "words"),
    [
        (None, [], "does not exist"),
        (service(2380), slices(True), "has no port 2379, but 2380"),
        (service(2379), slices(), "has no pod that is ready"),
        (service(2379), slices(False), "has no pod that is ready"),
        (service(2379), slices(False, True), None),
        (service(2379), slices(None), None),
        (service(2379), Unread("forbidden"), None),
        (Unread("forbidden"), [], None),
        (service(type="ExternalName"), [], None),
    ],
)
def test_what_is_wrong_with_it(found: Any, behind: Any, words: str | None) -> None:
    finding = service_finding(URL, AT, found, behind)
    if words is None:
        assert finding is None
        return
    assert finding
    assert (finding.level, words in finding.what, URL in finding.what) == (Level.FAIL, True, True)


def test_its_pods_are_found() -> None:
    assert list(pods_behind(slices(True, False))) == ["core-0", "core-1"]


def pod(*words: str, **container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"command": list(words), **container}]}}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (pod("/usr/local/bin/etcd", "--auto-compaction-retention=5m"), "5m"),
        (pod("etcd", args=["--auto-compaction-retention", "1"]), "1"),
        (pod("etcd", env=[{"name": "ETCD_AUTO_COMPACTION_RETENTION", "value": "8h"}]), "8h"),
        (pod("etcd", "--auto-compaction-retention=0"), ""),
        (pod("etcd", "--name=core"), ""),
        (pod("/bin/sh", "-c", "etcd --name=core"), None),
        (pod(), None),
    ],
)
def test_how_a_core_in_a_pod_was_started(found: dict[str, Any], told: str | None) -> None:
    assert retention(found) == told


def test_a_pod_that_does_not_compact_is_named() -> None:
    (bad,) = compaction_findings({"core-0": "5m", "core-1": ""})
    assert (bad.level, "core-1" in bad.what) == (Level.FAIL, True)
    (good,) = compaction_findings({"core-0": "5m", "core-1": None})
    assert (good.level, "5m" in good.what) == (Level.OK, True)
    assert list(compaction_findings({"core-0": None})) == []
