"""Kubeconfig files, and plugins that answer as one wants."""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

V1 = "client.authentication.k8s.io/v1"


def kubeconfig(
    folder: Path,
    user: Mapping[str, Any] | None = None,
    *,
    cluster: Mapping[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Write a kubeconfig; `changes` replace top level keys."""
    cluster = cluster or {"server": "https://example.com:6443/"}
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": dict(cluster)}],
        "users": [{"name": "u", "user": dict(user or {})}],
        **changes,
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def exec_plugin(
    folder: Path, status: Mapping[str, Any] | None, version: str = V1
) -> dict[str, Any]:
    """Write a plugin that answers with `status`, or fails without one; returns its user.

    It writes what it was told, KUBERNETES_EXEC_INFO, to `info`, and its answer is in `answer`.
    """
    path = folder / "plugin"
    path.write_text(
        f'#!/bin/sh\nprintf %s "$KUBERNETES_EXEC_INFO" > {folder}/info\ncat {folder}/answer\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    if status is not None:
        answer(folder, status, version)
    return {"exec": {"apiVersion": version, "command": str(path), "interactiveMode": "Never"}}


def answer(folder: Path, status: Mapping[str, Any], version: str = V1) -> None:
    """Let the plugin answer so from now on."""
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    (folder / "answer").write_text(json.dumps(credential))
