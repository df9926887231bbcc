"""Carries out what a plan decided, one request each, and tells what a refusal means.

Every write is guarded, so that one decided on an old picture never undoes a newer one: a creation
by its name, a patch by the resourceVersion in it, a deletion by uid and resourceVersion, an
eviction by both just before and by the uid. One whose outcome is unknown can therefore be decided
anew on any picture.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from controller.changes import wrote
from controller.dataplane.names import OWNED
from controller.plan import Create, Delete, Evict, Json, Patch, Write
from controller.resources import ETCD_STORAGES, PODS
from controller.secretrefusals import in_own_words
from informers import ApiError, Client, ConnectionFailed, Resource
from informers.errors import is_already_exists, is_conflict, is_not_found, is_too_many_requests
from informers.store import resource_version

EVICTION_PAUSE: Final = 15.0
"""Seconds until a refused eviction is tried again: a budget allows one as soon as a pod is ready,
and no watch of ours would tell."""

_WRITTEN: Final = frozenset(
    name for resource in (ETCD_STORAGES, PODS, *OWNED) for name in (resource.plural, resource.kind)
)
"""What details call the kinds that are written to: by the plural, but where a precondition of a
deletion or an eviction fails by the kind."""


class EvictionBlocked(Exception):  # noqa: N818 - it reads as what happened
    """A disruption budget does not let this pod go now."""

    def __init__(self, pod: str, why: str) -> None:
        super().__init__(f"pod {pod} cannot be evicted yet: {why}")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes to the namespace of the controller; thread safe if `wrote` is.

    `wrote` is told of each write that was answered: the kind, and the resourceVersion that the
    server names, "" if it names none.
    """

    client: Client
    namespace: str
    wrote: Callable[[Resource, str], None]

    def carry_out(self, write: Write) -> Json:
        """Make one write; raises `ApiError`, `ConnectionFailed` and `EvictionBlocked`.

        Returns the object as it is then, or what the server says instead.
        """
        client, namespace = self.client, self.namespace
        match write:
            case Create(resource, obj):
                with in_own_words(resource):
                    answer = client.create(resource, obj, namespace)
                return self._done("create", resource, obj["metadata"]["name"], answer)
            case Patch(resource, name, patch):
                with in_own_words(resource):
                    answer = client.patch(resource, name, patch, namespace=namespace)
                return self._done("patch", resource, name, answer)
            case Delete(resource, name):
                return self._done("delete", resource, name, self._delete(write))
            case Evict(name):
                evicted = self._evict(write)
                return self._done("evict", PODS, name, evicted) if evicted is not None else {}

    def _delete(self, write: Delete) -> Json:
        """Delete the object.

        The answer is a Status without a version if it went at once; otherwise the object, at the
        version of its DELETED event, or at that of the MODIFIED one if something holds it.
        """
        return self.client.delete(
            write.resource,
            write.name,
            namespace=self.namespace,
            preconditions={"uid": write.uid, "resourceVersion": write.resource_version},
            propagation="Background",
        )

    def _evict(self, write: Evict) -> Json | None:
        """Evict the pod; None if it has gone by itself.

        In two requests, for the server takes a disruption from the budget before it looks at the
        preconditions. Where one fails then, it stays taken for two minutes (DeletionTimeout of
        the disruption controller), and nobody can evict a pod meanwhile, whoever drains a node
        included. A dry run looks at all of them and takes nothing, so that is where a pod that
        has changed since it was seen is refused. What is left to the eviction is the uid, which
        cannot fail: a ReplicaSet gives no name twice. A pod that gets ready between the two goes
        only if the budget lets it, and it served nobody yet when it was looked at.
        """
        seen = {"uid": write.uid, "resourceVersion": write.resource_version}
        try:
            self._post_eviction(write.name, seen, dry_run=True)
            self._post_eviction(write.name, {"uid": write.uid})
        except ApiError as error:
            if is_too_many_requests(error):
                raise EvictionBlocked(write.name, error.message) from error
            if not is_not_found(error):
                raise
            return None
        return self._find_pod(write.name)

    def _find_pod(self, name: str) -> Json:
        """Return a pod that ends now: the answer to its eviction names no version.

        Without one to wait for, news of another pod that come before those of this eviction would
        make that one the next to go. A list, as the right to that is there anyway; {} if the pod
        is gone, or nobody can tell.
        """
        named = f"metadata.name={name}"
        with suppress(ApiError, ConnectionFailed):
            pods: list[Json] = self.client.list(PODS, self.namespace, fieldSelector=named)["items"]
            return pods[0] if pods else {}
        return {}

    def _post_eviction(
        self, name: str, preconditions: Mapping[str, str], *, dry_run: bool = False
    ) -> Json:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.namespace},
            "deleteOptions": {"preconditions": preconditions},
        }
        # A budget that is still being worked out answers "come back in 10 s"; a worker has
        # better to do than to wait for it.
        return self.client.post_subresource(
            PODS, name, "eviction", eviction, self.namespace, dry_run=dry_run, max_retries=0
        )

    def _done(self, write: str, resource: Resource, name: str, answer: Json) -> Json:
        self.wrote(resource, resource_version(answer))
        wrote(write, resource.kind, name)
        return answer


def is_stale(error: ApiError) -> bool:
    """Whether a write failed only because the cache was behind; the next try knows better.

    Behind the writes of others or one of ours whose answer was lost; our others are waited for.
    A 404 that names the object of a patch is such a failure as well. One that names none says that
    the server does not serve the path. What names another kind, such as a namespace that is not
    there or a quota that cannot be counted, and what an admission webhook refuses by a code of
    its own, is the operator's to mend.
    """
    ours = bool(error.details.get("name")) and error.details.get("kind") in _WRITTEN
    return ours and (is_not_found(error) or is_conflict(error) or is_already_exists(error))
