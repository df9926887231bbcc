"""The pods' template, against what the gate and grpc-proxy are told."""

import dataclasses
import json
from typing import Any

import pytest

from controller.api.storage import EtcdStorage
from controller.dataplane import CoreEtcd, Facts
from controller.dataplane import gate as gates
from controller.dataplane.pods import (
    CONFIG_ANNOTATIONS,
    DRAIN_TOKEN_ANNOTATION,
    FOLDERS,
    GRACE,
    PORTS,
    drain_token,
    pod_template,
    uses_pair,
)
from tests.support.objects import CORE, FACTS, IMAGES, desired_of, read

Json = dict[str, Any]

PLAIN = dataclasses.replace(CORE, urls=("http://a:2379", "http://b:2379"))
USERS = dataclasses.replace(FACTS, users=True)


def template(
    core: CoreEtcd = CORE, storage: EtcdStorage | None = None, facts: Facts = FACTS
) -> Json:
    return pod_template(storage or read(), facts, core, IMAGES)


def containers(of: Json) -> dict[str, Json]:
    spec = of["spec"]
    return {c["name"]: c for c in (*spec.get("initContainers", ()), *spec["containers"])}


def volumes(of: Json) -> dict[str, Json]:
    return {volume["name"]: volume for volume in of["spec"]["volumes"]}


def test_proxy_is_a_sidecar_behind_the_gate_and_direct_has_none() -> None:
    proxied, direct = template(), template(storage=read(mode="Direct"))
    (sidecar,) = proxied["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert (sidecar["name"], sidecar["image"]) == ("etcdproxy", IMAGES.etcd)
    assert sidecar["command"] == ["/usr/local/bin/etcd"]
    assert sidecar["args"][:2] == ["grpc-proxy", "start"]
    assert "ports" not in sidecar
    for found in (proxied, direct):
        (gate,) = found["spec"]["containers"]
        assert (gate["name"], gate["image"]) == ("gate", IMAGES.gate)
    assert "initContainers" not in direct["spec"]


def test_each_file_of_the_gate_is_an_annotation_and_a_file_of_the_volume() -> None:
    found = template()
    gate = gates.Gate("etcd-name", "Proxy", False, CORE.urls, FACTS.drain_token)
    files = gates.files(gate)
    annotations = found["metadata"]["annotations"]
    for name, text in files.items():
        assert annotations[f"{CONFIG_ANNOTATIONS}{name}"] == text
        json.loads(text)
    items = volumes(found)["config"]["downwardAPI"]["items"]
    assert {item["path"]: item["fieldRef"]["fieldPath"] for item in items} == {
        name: f"metadata.annotations['{CONFIG_ANNOTATIONS}{name}']" for name in files
    }
    assert containers(found)["gate"]["args"] == gates.arguments(gate)


@pytest.mark.parametrize("facts", [FACTS, dataclasses.replace(USERS, auth=True)])
def test_the_gate_is_told_whether_the_core_checks_users(facts: Facts) -> None:
    gate = gates.Gate("etcd-name", "Proxy", facts.auth, CORE.urls, FACTS.drain_token)
    annotations = template(facts=facts)["metadata"]["annotations"]
    assert (
        annotations[f"{CONFIG_ANNOTATIONS}{gates.CONFIG_FILE}"]
        == (gates.files(gate)[gates.CONFIG_FILE])
    )


def test_annotations_of_the_longest_name_fit() -> None:
    """The API server takes 256 KiB of annotations."""
    urls = tuple(f"https://member-{n}.core.example.org:2379" for n in range(7))
    long = template(dataclasses.replace(CORE, urls=urls), read("a" * 58))
    assert sum(map(len, long["metadata"]["annotations"].values())) < 100_000


def test_every_folder_that_the_gate_reads_is_mounted() -> None:
    found = template()
    mounts = {m["name"]: m["mountPath"] for m in containers(found)["gate"]["volumeMounts"]}
    assert mounts == {"config": FOLDERS.config, "core": FOLDERS.core}
    assert set(volumes(found)) == set(mounts)
    assert all(mount["readOnly"] for mount in containers(found)["gate"]["volumeMounts"])


@pytest.mark.parametrize(
    ("facts", "secret", "keys"),
    [
        (FACTS, "etcd-coreserving-cert", ["client.pem", "client-key.pem"]),
        (USERS, "etcd-user-etcd-name", ["tls.crt", "tls.key"]),
    ],
)
def test_the_pair_is_the_shared_one_or_the_storages_own(
    facts: Facts, secret: str, keys: list[str]
) -> None:
    config_map, pair = volumes(template(facts=facts))["core"]["projected"]["sources"]
    assert config_map["configMap"] == {
        "name": CORE.ca_config_map,
        "items": [{"key": "ca.pem", "path": "ca.pem"}],
    }
    assert pair["secret"]["name"] == secret
    assert [item["key"] for item in pair["secret"]["items"]] == keys
    assert [item["path"] for item in pair["secret"]["items"]] == ["tls.crt", "tls.key"]


@pytest.mark.parametrize("core", [CORE, PLAIN])
def test_with_tls_the_gate_reads_the_serving_pair_and_its_clients(core: CoreEtcd) -> None:
    found = template(core, facts=dataclasses.replace(FACTS, tls=True))
    mounts = {m["name"]: m["mountPath"] for m in containers(found)["gate"]["volumeMounts"]}
    assert mounts["serving"] == FOLDERS.serving
    assert set(volumes(found)) == set(mounts)
    secret = volumes(found)["serving"]["secret"]
    assert secret["secretName"] == "etcd-serving-etcd-name"
    # Whoever gets into the container finds no more than the gate needs.
    assert {item["key"] for item in secret["items"]} == {"pair.pb", "clients.json"}
    assert all(item["key"] == item["path"] for item in secret["items"])
    gate = gates.Gate(
        "etcd-name", "Proxy", False, core.urls, FACTS.drain_token, tls=True, folders=FOLDERS
    )
    config = found["metadata"]["annotations"][f"{CONFIG_ANNOTATIONS}{gates.CONFIG_FILE}"]
    assert config == gates.files(gate)[gates.CONFIG_FILE]


def test_a_core_without_tls_needs_no_certificates() -> None:
    found = template(PLAIN)
    assert set(volumes(found)) == {"config"}
    assert [m["name"] for m in containers(found)["gate"]["volumeMounts"]] == ["config"]


def test_ports_and_probes_meet() -> None:
    gate = containers(template())["gate"]
    assert {p["name"]: p["containerPort"] for p in gate["ports"]} == {
        "etcd": PORTS.ingress,
        "probe": PORTS.probe,
    }
    ready, live = gate["readinessProbe"], gate["livenessProbe"]
    assert (ready["httpGet"]["path"], live["httpGet"]["path"]) == ("/ready", "/live")
    drain = gate["lifecycle"]["preStop"]["httpGet"]
    assert drain["path"] == f"/drain/{FACTS.drain_token}"
    assert drain["port"] == "probe"
    assert {probe["httpGet"]["port"] for probe in (ready, live)} == {PORTS.probe}


def test_the_gate_is_asked_after_its_sidecar() -> None:
    probe = containers(template())["etcdproxy"]["livenessProbe"]
    assert (probe["httpGet"]["path"], probe["httpGet"]["port"]) == ("/live/etcdproxy", PORTS.probe)
    # It has to be started before there is a gate to ask.
    assert probe["initialDelaySeconds"] >= 120


def test_the_drain_has_time() -> None:
    assert template()["spec"]["terminationGracePeriodSeconds"] == GRACE > gates.DRAIN_SECONDS + 10


def test_the_pod_has_no_privileges_and_no_token() -> None:
    found = template()
    spec = found["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(found).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_pods_of_a_storage_are_spread_over_nodes_where_there_are_several() -> None:
    (spread,) = template()["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert spread["labelSelector"]["matchLabels"] == {"etcd.xmudrii.com/storage": "etcd-name"}


def test_pods_that_a_roll_replaces_do_not_count_for_the_spread() -> None:
    found = template()
    (spread,) = found["spec"]["topologySpreadConstraints"]
    (key,) = spread["matchLabelKeys"]
    assert found["metadata"]["labels"][key] == desired_of().revision
    # The server refuses one that is selected by as well.
    assert key not in spread["labelSelector"]["matchLabels"]


def test_the_token_can_be_read_back_if_it_is_one_of_ours() -> None:
    replica_set = desired_of().replica_set
    assert drain_token(replica_set) == FACTS.drain_token
    annotations = replica_set["spec"]["template"]["metadata"]["annotations"]
    annotations[DRAIN_TOKEN_ANNOTATION] = "somebody's"
    assert drain_token(replica_set) == ""
    del replica_set["spec"]["template"]["metadata"]["annotations"]
    assert drain_token(replica_set) == ""


def test_whose_pair_is_used_can_be_read_back() -> None:
    assert uses_pair(desired_of(facts=USERS).replica_set, "etcd-user-etcd-name")
    assert not uses_pair(desired_of().replica_set, "etcd-user-etcd-name")
    older = desired_of().replica_set
    del older["spec"]["template"]["spec"]["volumes"]
    assert not uses_pair(older, "etcd-user-etcd-name")
