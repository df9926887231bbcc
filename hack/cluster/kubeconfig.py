"""Kubeconfig files that carry everything in themselves."""

import base64
import json
from pathlib import Path
from typing import Any

from controller.pki import Pair
from hack.cluster.pki import write_secret

NAME = "etcdproxy"
"""Of the cluster, the user and the context: each file knows one of each."""


def kubeconfig(server: str, ca_pem: bytes, client: Pair, *, namespace: str = "default") -> Any:
    """Return the configuration of one client of one server, `https://host:port`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": NAME,
                "cluster": {"server": server, "certificate-authority-data": _base64(ca_pem)},
            }
        ],
        "users": [
            {
                "name": NAME,
                "user": {
                    "client-certificate-data": _base64(client.cert_pem),
                    "client-key-data": _base64(client.key_pem),
                },
            }
        ],
        "contexts": [
            {
                "name": NAME,
                "context": {"cluster": NAME, "user": NAME, "namespace": namespace},
            }
        ],
        "current-context": NAME,
    }


def write(path: Path, content: Any) -> Path:
    """Write it, readable by the owner only; JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_secret(path, json.dumps(content, indent=2).encode())
    return path


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
