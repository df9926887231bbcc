"""The objects of mode Proxy, as a pure function of a storage and the core's bundle."""

import dataclasses
from typing import Any

import pytest

from controller.api.storage import EtcdStorage
from controller.dataplane.interface import REVISION_LABEL
from controller.dataplane.proxy import CA_HASH_ANNOTATION, ProxyDataPlane
from controller.ownership import STORAGE_LABEL
from tests.support.objects import CA, CORE, IMAGE, NAMESPACE, PLANE, read

PLAIN = ProxyDataPlane(
    NAMESPACE, IMAGE, dataclasses.replace(CORE, urls=("http://a:2379", "http://b:2379"))
)


def template(
    plane: ProxyDataPlane = PLANE, storage: EtcdStorage | None = None, ca: str = CA
) -> dict[str, Any]:
    found: dict[str, Any] = plane.desired(storage or read(), ca).replica_set["spec"]["template"]
    return found


def container(plane: ProxyDataPlane = PLANE) -> dict[str, Any]:
    (only,) = template(plane)["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def empty_fields(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        inner = [
            found for key, item in value.items() for found in empty_fields(item, f"{path}.{key}")
        ]
        return inner if value else [path]
    if isinstance(value, list):
        inner = [found for item in value for found in empty_fields(item, f"{path}[]")]
        return inner if value else [path]
    return [path] if value is None else []


def test_the_names_and_the_endpoint_are_the_originals() -> None:
    desired = PLANE.desired(read(), CA)
    assert desired.replica_set["metadata"]["name"] == "etcd-rs-etcd-name"
    assert desired.service["metadata"]["name"] == "etcd-etcd-name"
    assert desired.endpoint == "http://etcd-etcd-name.kube-apiserver-storage.svc:2379"
    for obj in (desired.replica_set, desired.service):
        assert obj["metadata"]["namespace"] == NAMESPACE


def test_the_selectors_are_the_storage_label_alone_and_the_pods_carry_it() -> None:
    desired = PLANE.desired(read("tenant"), CA)
    only = {STORAGE_LABEL: "tenant"}
    assert desired.replica_set["spec"]["selector"] == {"matchLabels": only}
    assert desired.service["spec"]["selector"] == only
    labels = desired.replica_set["spec"]["template"]["metadata"]["labels"]
    assert labels[STORAGE_LABEL] == "tenant"
    assert labels["app.kubernetes.io/managed-by"] == "etcdproxy-controller"


def test_two_storages_share_no_selector_no_name_and_no_prefix() -> None:
    one, other = PLANE.desired(read("a"), CA), PLANE.desired(read("a-b"), CA)
    assert one.service["spec"]["selector"] != other.service["spec"]["selector"]
    prefixes = [
        argument
        for desired in (one, other)
        for argument in desired.replica_set["spec"]["template"]["spec"]["containers"][0]["args"]
        if argument.startswith("--namespace=")
    ]
    assert prefixes == ["--namespace=/a/", "--namespace=/a-b/"]


def test_the_proxy_is_started_as_the_original_started_it() -> None:
    assert container()["command"] == ["/usr/local/bin/etcd", "grpc-proxy", "start"]
    assert container()["args"] == [
        "--endpoints=https://etcd-svc-1.etcd.svc:2379",
        "--namespace=/etcd-name/",
        "--listen-addr=0.0.0.0:2379",
        "--cacert=/etc/certs/ca/ca.pem",
        "--cert=/etc/certs/client/client.pem",
        "--key=/etc/certs/client/client-key.pem",
    ]


def test_every_file_it_is_told_to_read_is_mounted() -> None:
    spec = template()["spec"]
    mounted = {m["name"]: m["mountPath"] for m in container()["volumeMounts"]}
    sources = {v["name"]: v.get("configMap") or v.get("secret") for v in spec["volumes"]}
    assert mounted == {"core-ca": "/etc/certs/ca", "core-certs": "/etc/certs/client"}
    assert sources["core-ca"]["name"] == CORE.ca_config_map
    assert sources["core-certs"]["secretName"] == CORE.certs_secret
    assert all(mount["readOnly"] for mount in container()["volumeMounts"])


def test_a_core_without_tls_needs_no_volumes() -> None:
    assert container(PLAIN)["args"] == [
        "--endpoints=http://a:2379,http://b:2379",
        "--namespace=/etcd-name/",
        "--listen-addr=0.0.0.0:2379",
    ]
    assert "volumes" not in template(PLAIN)["spec"]
    assert "volumeMounts" not in container(PLAIN)
    assert "annotations" not in template(PLAIN)["metadata"]


def test_port_probe_and_service_meet() -> None:
    (port,) = container()["ports"]
    (exposed,) = PLANE.desired(read(), CA).service["spec"]["ports"]
    assert (port["containerPort"], exposed["port"]) == (2379, 2379)
    assert (
        port["name"] == exposed["targetPort"] == container()["readinessProbe"]["httpGet"]["port"]
    )


def test_the_pod_has_no_privileges_and_no_token() -> None:
    spec = template()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container()["resources"]["limits"]["memory"]
    assert set(container()["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.parametrize("plane", [PLANE, PLAIN])
def test_no_field_is_empty_or_null_which_the_server_would_drop(plane: ProxyDataPlane) -> None:
    desired = plane.desired(read(), CA)
    assert empty_fields([desired.replica_set, desired.service]) == []


def test_replicas_are_asked_for_as_in_the_spec() -> None:
    assert PLANE.desired(read(replicas=5), CA).replica_set["spec"]["replicas"] == 5


def test_it_is_a_pure_function_and_its_results_are_not_shared() -> None:
    one, other = PLANE.desired(read(), CA), PLANE.desired(read(), CA)
    assert one == other
    one.replica_set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].clear()
    one.service["spec"]["selector"].clear()
    assert PLANE.desired(read(), CA) == other


def test_the_revision_moves_with_the_template_and_with_nothing_else() -> None:
    def revision(plane: ProxyDataPlane = PLANE, ca: str = CA, **spec: Any) -> str:
        return plane.desired(read(**spec), ca).revision

    assert revision() == revision(replicas=9) == revision(generation=5)
    others = [
        revision(ca="another bundle"),
        revision(dataclasses.replace(PLANE, image="other")),
        revision(dataclasses.replace(PLANE, core=dataclasses.replace(CORE, urls=("https://b",)))),
        revision(dataclasses.replace(PLANE, core=dataclasses.replace(CORE, certs_secret="s"))),
        revision(PLAIN),
    ]
    assert len({revision(), *others}) == 6
    # A label holds 63 characters of these.
    assert all(other.isalnum() and len(other) <= 63 for other in others)


def test_a_core_without_tls_does_not_roll_when_a_bundle_appears() -> None:
    assert PLAIN.desired(read(), "").revision == PLAIN.desired(read(), CA).revision


def test_the_bundle_itself_is_not_in_the_template() -> None:
    annotations = template()["metadata"]["annotations"]
    assert set(annotations) == {CA_HASH_ANNOTATION}
    assert CA not in str(template())


def test_only_the_template_carries_the_revision() -> None:
    desired = PLANE.desired(read(), CA)
    assert REVISION_LABEL not in desired.replica_set["metadata"]["labels"]
    assert REVISION_LABEL not in str(desired.replica_set["spec"]["selector"])
    assert REVISION_LABEL not in str(desired.service)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"mode": "Direct"}, "mode Direct"),
        ({"caCertConfigMap": [{"name": "a", "namespace": "b"}]}, "TLS"),
        ({"clientCertSecret": [{"name": "a", "namespace": "b"}]}, "TLS"),
        ({"reclaimPolicy": "Delete"}, "reclaimPolicy Delete"),
    ],
)
def test_what_it_cannot_do_is_refused_and_never_done_in_part(
    spec: dict[str, Any], says: str
) -> None:
    assert says in (PLANE.unsupported(read(**spec)) or "supported")


def test_what_it_can_do() -> None:
    assert PLANE.unsupported(read()) is None
    assert PLANE.unsupported(read(serverCACert=[{"name": "a"}])) is None
