"""Names of Services inside pods: CoreDNS as a process on the node, behind the usual Service."""

from pathlib import Path
from typing import Any

from hack.cluster.arguments import CLUSTER_DOMAIN
from hack.cluster.network import DNS_ADDRESS, NODE_ADDRESS

COREDNS = "coredns"

_COREFILE = """\
.:53 {{
  errors
  ready 127.0.0.1:8181
  kubernetes {domain} in-addr.arpa {{
    kubeconfig {kubeconfig} {context}
    ttl 5
  }}
}}
"""
_NAMESPACE = "kube-system"
_NAME = "kube-dns"
_PORTS = [{"name": f"dns-{p.lower()}", "port": 53, "protocol": p} for p in ("UDP", "TCP")]


def coredns(folder: Path, kubeconfig: Path, context: str) -> list[str]:
    """Write the Corefile and return the flags."""
    path = folder / "Corefile"
    path.write_text(
        _COREFILE.format(domain=CLUSTER_DOMAIN, kubeconfig=kubeconfig, context=context)
    )
    return ["-conf", str(path)]


def objects() -> dict[str, Any]:
    """Return the Service and its one endpoint, the node, as a List."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE},
        "spec": {"clusterIP": DNS_ADDRESS, "ports": _PORTS},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": _NAME,
            "namespace": _NAMESPACE,
            "labels": {"kubernetes.io/service-name": _NAME},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": _PORTS,
    }
    return {"apiVersion": "v1", "kind": "List", "items": [service, endpoints]}
