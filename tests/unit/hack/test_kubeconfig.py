import base64
from pathlib import Path

import yaml

from controller.pki import Pair
from hack.cluster import kubeconfig


def test_what_is_written_is_what_clients_read(tmp_path: Path) -> None:
    content = kubeconfig.kubeconfig(
        "https://127.0.0.1:6443", b"ca", Pair(b"cert", b"key"), namespace="mine"
    )
    path = kubeconfig.write(tmp_path / "sub" / "admin.kubeconfig", content)
    assert path.stat().st_mode & 0o777 == 0o600
    read = yaml.safe_load(path.read_text())
    context = next(c["context"] for c in read["contexts"] if c["name"] == read["current-context"])
    cluster = next(c["cluster"] for c in read["clusters"] if c["name"] == context["cluster"])
    user = next(u["user"] for u in read["users"] if u["name"] == context["user"])
    assert context["namespace"] == "mine"
    assert cluster["server"] == "https://127.0.0.1:6443"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"ca"
    assert base64.b64decode(user["client-certificate-data"]) == b"cert"
    assert base64.b64decode(user["client-key-data"]) == b"key"
