"""Images that cannot be had, and the flag or manifest that names them: from pods alone."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from controller.dataplane.pods import GATE, PROXY
from controller.inspection.finding import Finding, Level
from controller.options import PROGRAM

Json = Mapping[str, Any]

CHECK: Final = "images"

_WAITS: Final = frozenset({
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
    *("ImageInspectError", "RegistryUnavailable"),
})  # fmt: skip
"""The kubelet's reasons that are about an image."""

_FROM: Final = {
    GATE: "--gate-image",
    PROXY: "--etcd-proxy-image",
    PROGRAM: "the image of the controller's Deployment",
}


def findings(pods: Iterable[Json]) -> Iterator[Finding]:
    """Name each image that some pod waits for, once."""
    pods = list(pods)
    waiting: dict[tuple[str, str, str], list[str]] = {}
    for pod in pods:
        for container, image, reason in _failing(pod):
            waiting.setdefault((container, image, reason), []).append(pod["metadata"]["name"])
    for (container, image, reason), names in sorted(waiting.items()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        what = f"{reason}: {image}, of container {container} in pod {min(names)}{more}"
        source = _FROM.get(container, "the image of that pod")
        todo = f"correct {source}, or bring the image to the nodes"
        yield Finding(Level.FAIL, CHECK, what, todo)
    if not waiting:
        yield Finding(Level.OK, CHECK, f"none of {len(pods)} pods waits for an image")


def _failing(pod: Json) -> Iterator[tuple[str, str, str]]:
    status = pod.get("status") or {}
    kinds = ("initContainerStatuses", "containerStatuses")
    for container in (one for kind in kinds for one in status.get(kind) or ()):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _WAITS:
            yield container["name"], container.get("image", "unknown"), waiting["reason"]
