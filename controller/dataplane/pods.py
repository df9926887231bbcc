"""The pods of a storage: the gate in front of everything and, in mode Proxy, grpc-proxy behind it.

The gate's whole configuration travels with the pod, as annotations that a volume turns into files:
a pod always runs the configuration of its own revision, and there is no object more to keep.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from controller.api.storage import EtcdStorage
from controller.dataplane import gate as gates
from controller.dataplane import grpcproxy
from controller.dataplane.core import CA_KEY, CERT_KEY, KEY_KEY, CoreEtcd
from controller.dataplane.gate import Folders, Gate, Ports
from controller.dataplane.interface import (
    ISOLATED_BY_CORE,
    ISOLATED_BY_GATE,
    ISOLATION_LABEL,
    REVISION_LABEL,
    Facts,
    Json,
)
from controller.dataplane.names import labels, object_name, selector, serving_secret
from controller.resources import SECRETS

GATE: Final = "gate"
PROXY: Final = "etcdproxy"
"""The containers; the second has had this name since the first controller."""

CONFIG_ANNOTATIONS: Final = "gate.etcd.xmudrii.com/"
"""What follows is the name of a file of the gate's configuration, which is the value."""

DRAIN_TOKEN_ANNOTATION: Final = "etcd.xmudrii.com/drain-token"  # noqa: S105 - the name of one

_DRAIN_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
"""What one of ours looks like."""

PORTS: Final = Ports()
FOLDERS: Final = Folders()

GRACE: Final = gates.DRAIN_SECONDS + 20
"""Seconds from the order to end until the kill: the drain, and twice what a busy node needs to end
the gate and then grpc-proxy."""

_USER: Final = 65532
"""The user `nonroot` of distroless images; any that is not root would do."""

_CONTAINER_SECURITY: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Images:
    """With `/usr/local/bin/envoy`, and with `/usr/local/bin/etcd`."""

    gate: str
    etcd: str


def pod_template(storage: EtcdStorage, facts: Facts, core: CoreEtcd, images: Images) -> Json:
    """Return the template of the storage's pods, labelled with the hash of itself."""
    gate = Gate(
        storage=storage.name,
        mode="Direct" if storage.mode == "Direct" else "Proxy",
        auth=facts.auth,
        core_urls=core.urls,
        drain_token=facts.drain_token,
        tls=facts.tls,
    )
    files = gates.files(gate)
    # Empty maps and lists are left out: the server drops them, and that would be a drift.
    proxies = {} if gate.direct else {"initContainers": [_proxy(gate, images.etcd)]}
    template = {
        "metadata": {
            "labels": {
                **labels(storage),
                ISOLATION_LABEL: ISOLATED_BY_CORE if facts.auth else ISOLATED_BY_GATE,
            },
            "annotations": {
                DRAIN_TOKEN_ANNOTATION: facts.drain_token,
                **{f"{CONFIG_ANNOTATIONS}{name}": text for name, text in files.items()},
            },
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [_spread(storage)],
            **proxies,
            "containers": [_gate(gate, images.gate, core)],
            "volumes": [
                _config(files),
                *([_core(storage, facts, core)] if core.tls else ()),
                *([_serving(storage)] if facts.tls else ()),
            ],
        },
    }
    return _with_revision(template)


def drain_token(replica_set: Mapping[str, Any]) -> str:
    """Return the drain token of the pods that `replica_set` makes, '' if that is not ours."""
    annotations = replica_set["spec"]["template"]["metadata"].get("annotations") or {}
    token: str = annotations.get(DRAIN_TOKEN_ANNOTATION, "")
    return token if _DRAIN_TOKEN.fullmatch(token) else ""


def uses_pair(replica_set: Mapping[str, Any], secret_name: str) -> bool:
    """Whether the pods that `replica_set` makes show the pair of this Secret to the core."""
    volumes = replica_set["spec"]["template"]["spec"].get("volumes") or ()
    sources = [s for v in volumes for s in (v.get("projected") or {}).get("sources") or ()]
    return any((source.get("secret") or {}).get("name") == secret_name for source in sources)


def _gate(gate: Gate, image: str, core: CoreEtcd) -> Json:
    drain = {"path": gates.drain_path(gate.drain_token), "port": "probe", "scheme": "HTTP"}
    return {
        "name": GATE,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/local/bin/envoy"],
        "args": gates.arguments(gate),
        "ports": [
            {"name": "etcd", "containerPort": PORTS.ingress, "protocol": "TCP"},
            {"name": "probe", "containerPort": PORTS.probe, "protocol": "TCP"},
        ],
        # What the gate last saw of its own reads through to the core, so a pod that cannot serve
        # takes no connections. Asking costs the core nothing, and a roll waits for the answer.
        # One slow moment of the core must not take all endpoints away, hence the number.
        "readinessProbe": _probe(gates.READY_PATH, period=2, timeout=3, failures=10),
        "livenessProbe": _probe(gates.LIVE_PATH, period=10, timeout=5, failures=6),
        "lifecycle": {"preStop": {"httpGet": drain}},
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": f"{gates.MEMORY_LIMIT_MIB}Mi"},
        },
        "securityContext": {**_CONTAINER_SECURITY},
        "volumeMounts": _mounts(gate, core),
    }


def _proxy(gate: Gate, image: str) -> Json:
    """Return grpc-proxy as a sidecar: it starts before the gate and ends after it."""
    return {
        "name": PROXY,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["/usr/local/bin/etcd"],
        "args": grpcproxy.arguments(gate),
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            # Its cache is bounded in entries, not in bytes: large lists would take the node.
            "limits": {"memory": "512Mi"},
        },
        "livenessProbe": _proxy_probe(),
        "securityContext": {**_CONTAINER_SECURITY},
    }


def _proxy_probe() -> Json:
    """Ask the gate: grpc-proxy is bound to loopback, and takes the core's faults for its own.

    Where no gate answers it is restarted too, which costs nothing then. The gate starts after it,
    and its image may have to be fetched first.
    """
    probe = _probe(gates.PROXY_LIVE_PATH, period=10, timeout=5, failures=6)
    return {**probe, "initialDelaySeconds": 300}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Json:
    # The gate's port, whose name means nothing in the other container.
    return {
        "httpGet": {"path": path, "port": PORTS.probe, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _spread(storage: EtcdStorage) -> Json:
    """Keep a node from having all pods of a storage, where there is another one.

    Pods of one revision are counted apart: those that a roll replaces will not be there any more.
    """
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(storage)},
        "matchLabelKeys": [REVISION_LABEL],
    }


def _mounts(gate: Gate, core: CoreEtcd) -> list[Json]:
    mounts = {
        "config": FOLDERS.config,
        **({"core": FOLDERS.core} if core.tls else {}),
        **({"serving": FOLDERS.serving} if gate.tls else {}),
    }
    return [{"name": n, "mountPath": path, "readOnly": True} for n, path in mounts.items()]


def _config(files: Mapping[str, str]) -> Json:
    annotations = f"metadata.annotations['{CONFIG_ANNOTATIONS}"
    items = [
        {"path": name, "fieldRef": {"apiVersion": "v1", "fieldPath": f"{annotations}{name}']"}}
        for name in files
    ]
    return {"name": "config", "downwardAPI": {"items": items, "defaultMode": 0o444}}


def _core(storage: EtcdStorage, facts: Facts, core: CoreEtcd) -> Json:
    ca = {"name": core.ca_config_map, "items": [{"key": CA_KEY, "path": CA_KEY}]}
    sources = [{"configMap": ca}, {"secret": _core_pair(storage, facts, core)}]
    return {"name": "core", "projected": {"sources": sources, "defaultMode": 0o440}}


def _serving(storage: EtcdStorage) -> Json:
    # By name: as long as one is missing the kubelet starts no gate, and leaves a running one its
    # last files.
    items = [{"key": key, "path": key} for key in (gates.PAIR_FILE, gates.CLIENTS_FILE)]
    secret = {"secretName": serving_secret(storage.name), "items": items, "defaultMode": 0o440}
    return {"name": "serving", "secret": secret}


def _core_pair(storage: EtcdStorage, facts: Facts, core: CoreEtcd) -> Json:
    """Return the Secret that the gate shows to the core, under the names of its files."""
    name, cert, key = core.certs_secret, CERT_KEY, KEY_KEY
    if facts.users:
        name, cert, key = object_name(SECRETS, storage.name), "tls.crt", "tls.key"
    items = [{"key": cert, "path": "tls.crt"}, {"key": key, "path": "tls.key"}]
    return {"name": name, "items": items}


def _with_revision(template: Json) -> Json:
    content = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    revision = hashlib.sha256(content).hexdigest()[:10]
    metadata = template["metadata"]
    marked = {**metadata, "labels": {**metadata["labels"], REVISION_LABEL: revision}}
    return {**template, "metadata": marked}
