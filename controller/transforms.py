"""What the caches keep of objects: no more than somebody reads.

The gate's configuration is the largest part of every pod and every ReplicaSet. Pods are kept
without it. A ReplicaSet keeps the digest of each file, which tells a change as well as the file.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from controller.dataplane.pods import CONFIG_ANNOTATIONS

Json = dict[str, Any]

_DIGEST: Final = "sha256:"
_POD_STATUS: Final = (
    *("phase", "conditions", "initContainerStatuses", "containerStatuses"),
    # Its gate is asked there which certificates it serves.
    "podIP",
)


def slim_pod(pod: Json) -> Json:
    """Drop what says how a pod is run: only whose it is and how it is counts here."""
    metadata = {**pod["metadata"]}
    for name in ("annotations", "managedFields"):
        metadata.pop(name, None)
    status = pod.get("status") or {}
    return {
        "apiVersion": pod["apiVersion"],
        "kind": pod["kind"],
        "metadata": metadata,
        "status": {name: status[name] for name in _POD_STATUS if name in status},
    }


def slim_replica_set(replica_set: Json) -> Json:
    """Drop who manages which field, and the content of the gate's configuration."""
    metadata = {**replica_set["metadata"]}
    metadata.pop("managedFields", None)
    return without_contents({**replica_set, "metadata": metadata})


def without_contents(replica_set: Mapping[str, Any]) -> Json:
    """Return the ReplicaSet with digests in the place of its gate's files; itself if it has some.

    What has been digested stays as it is, so that two of any origin can be compared.
    """
    template = replica_set["spec"]["template"]
    annotations = template["metadata"].get("annotations") or {}
    digested = {name: _digested(name, value) for name, value in annotations.items()}
    if digested == annotations:
        return {**replica_set}
    metadata = {**template["metadata"], "annotations": digested}
    template = {**template, "metadata": metadata}
    return {**replica_set, "spec": {**replica_set["spec"], "template": template}}


def with_contents(patch: Json, desired: Mapping[str, Any]) -> Json:
    """Return the patch of a ReplicaSet with the files of `desired` in the place of digests."""
    files = desired["spec"]["template"]["metadata"]["annotations"]
    return _patched(
        patch, lambda name, value: files.get(name, value) if value is not None else None
    )


def patch_without_contents(patch: Json) -> Json:
    """Return the patch of a ReplicaSet with digests in the place of its gate's files."""
    return _patched(patch, lambda name, value: value and _digested(name, value))


def _patched(patch: Json, change: Callable[[str, str | None], str | None]) -> Json:
    template = (patch.get("spec") or {}).get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations")
    if not annotations:
        return patch
    changed = {name: change(name, value) for name, value in annotations.items()}
    metadata = {**template["metadata"], "annotations": changed}
    return {**patch, "spec": {**patch["spec"], "template": {**template, "metadata": metadata}}}


def _digested(name: str, value: str) -> str:
    if not name.startswith(CONFIG_ANNOTATIONS) or value.startswith(_DIGEST):
        return value
    return _DIGEST + hashlib.sha256(value.encode()).hexdigest()[:32]
