"""What stands around a storage's pods: who finds them, who may reach them, how many may be away.

Pure functions from a storage to the Service, the network policy and the disruption budget.
"""

from typing import Final

from controller.api.storage import EtcdStorage
from controller.dataplane.interface import Json
from controller.dataplane.names import head, selector
from controller.dataplane.pods import PORTS
from controller.resources import DISRUPTION_BUDGETS, NETWORK_POLICIES, SERVICES

PORT: Final = 2379
"""Of the Service, whatever the pods listen on: it is part of every endpoint."""

METRICS_LABEL: Final = "etcd.xmudrii.com/metrics"
"""On a namespace whose pods may read the gates' metrics; the value is `true`."""

_CONTROLLER: Final = {"app.kubernetes.io/name": "etcdproxy-controller"}
"""On the controller's pods; artifacts/deployment has it."""

_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""The API server puts this label on every namespace, with its name."""


def service(storage: EtcdStorage, namespace: str) -> Json:
    """Return the Service that the endpoint names."""
    return {
        **head(SERVICES, storage, namespace),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(storage),
            "ports": [{"name": "etcd", "port": PORT, "targetPort": "etcd", "protocol": "TCP"}],
        },
    }


def disruption_budget(storage: EtcdStorage, namespace: str) -> Json:
    """Return the budget: a node that is drained takes one pod at a time.

    One that is not ready serves nobody, and so never keeps a node from being drained.
    """
    return {
        **head(DISRUPTION_BUDGETS, storage, namespace),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(storage)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def network_policy(storage: EtcdStorage, namespace: str) -> Json:
    """Return the policy: the consumers' namespaces, who reads metrics, and the controller.

    Where no consumers are listed anybody may be one, as with the Service alone. The kubelet's
    probes need no rule: a pod's own node may always reach it (NetworkPolicy's documentation,
    "traffic to and from the node where a Pod is running is always allowed"). What the pods may
    reach is not limited: a policy that named the core's address would break with it.
    """
    clients = [_from(_NAMESPACE_NAME, name) for name in _consumers(storage)]
    # Of this very namespace. It looks at which certificates are served.
    controller = {"podSelector": {"matchLabels": {**_CONTROLLER}}}
    return {
        **head(NETWORK_POLICIES, storage, namespace),
        "spec": {
            "podSelector": {"matchLabels": selector(storage)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [_port(PORTS.ingress)], **({"from": clients} if clients else {})},
                {
                    "ports": [_port(PORTS.probe)],
                    "from": [_from(METRICS_LABEL, "true"), controller],
                },
            ],
        },
    }


def _consumers(storage: EtcdStorage) -> list[str]:
    references = (*storage.ca_cert_config_maps, *storage.client_cert_secrets)
    return sorted({reference.namespace for reference in references})


def _from(label: str, value: str) -> Json:
    return {"namespaceSelector": {"matchLabels": {label: value}}}


def _port(number: int) -> Json:
    return {"port": number, "protocol": "TCP"}
