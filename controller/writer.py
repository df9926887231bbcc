"""Carries out what a plan decided, one request each, and tells what a refusal means."""

from dataclasses import dataclass
from typing import Final

import structlog

from controller.plan import Create, Delete, Evict, Patch, Write
from controller.resources import PODS
from informers import ApiError, Client
from informers.errors import is_already_exists, is_conflict, is_not_found, is_too_many_requests

EVICTION_PAUSE: Final = 15.0
"""Seconds until a refused eviction is tried again: a budget allows one as soon as a pod is ready,
and no watch of ours would tell."""

_log = structlog.get_logger("controller.writer")


class EvictionBlocked(Exception):  # noqa: N818 - it reads as what happened
    """A disruption budget does not let this pod go now."""

    def __init__(self, pod: str, why: str) -> None:
        super().__init__(f"pod {pod} cannot be evicted yet: {why}")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes to the namespace of the controller; thread safe."""

    client: Client
    namespace: str

    def carry_out(self, write: Write) -> None:
        """Make one write; raises `ApiError`, `ConnectionFailed` and `EvictionBlocked`."""
        client, namespace = self.client, self.namespace
        match write:
            case Create(resource, obj):
                client.create(resource, obj, namespace)
                _told("create", resource.kind, obj["metadata"]["name"])
            case Patch(resource, name, patch):
                client.patch(resource, name, patch, namespace=namespace)
                _told("patch", resource.kind, name)
            case Delete(resource, name, uid):
                client.delete(
                    resource,
                    name,
                    namespace=namespace,
                    preconditions={"uid": uid},
                    propagation="Background",
                )
                _told("delete", resource.kind, name)
            case Evict():
                if self._evict(write):
                    _told("evict", PODS.kind, write.name)

    def _evict(self, write: Evict) -> bool:
        """Evict the pod; False if it has gone by itself."""
        preconditions = {"uid": write.uid, "resourceVersion": write.resource_version}
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": write.name, "namespace": self.namespace},
            "deleteOptions": {"preconditions": preconditions},
        }
        try:
            self.client.post_subresource(PODS, write.name, "eviction", eviction, self.namespace)
        except ApiError as error:
            if is_too_many_requests(error):
                raise EvictionBlocked(write.name, error.message) from error
            if not is_not_found(error):
                raise
            return False
        return True


def is_stale(error: ApiError) -> bool:
    """Whether a write failed only because the cache was behind; the next try knows better.

    So does a 404 that names the object of a patch. One that names none says that the server
    does not serve the path, and one of a namespace is the operator's to mend.
    """
    named = error.details.get("name") and error.details.get("kind") != "namespaces"
    return bool(is_not_found(error) and named) or is_conflict(error) or is_already_exists(error)


def _told(write: str, kind: str, name: str) -> None:
    _log.info("wrote", write=write, kind=kind, object=name)
