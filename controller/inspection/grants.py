"""The rights that the controller needs, and which of them it has.

They are those of artifacts/deployment, right by right; a test holds the two together. Rights in
consumers' namespaces are not here: each storage's own status names the one that is missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.inspection.finding import Finding, Level
from informers import Resource

CHECK: Final = "rights"
REVIEWS: Final = Resource(
    "authorization.k8s.io",
    "v1",
    "subjectaccessreviews",
    "SubjectAccessReview",
    namespaced=False,
)
SELF_REVIEWS: Final = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    namespaced=False,
)

LEASE: Final = "etcdproxy-controller"

_EVERYWHERE: Final = (
    ("etcd.xmudrii.com", "etcdstorages", "get list watch"),
    ("etcd.xmudrii.com", "etcdstorages/status", "patch"),
    ("etcd.xmudrii.com", "etcdstorages/finalizers", "update"),
    ("", "namespaces", "get"),
)
_IN_ITS_NAMESPACE: Final = (
    ("apps", "replicasets", "list watch create patch delete"),
    ("", "services", "list watch create patch"),
    ("policy", "poddisruptionbudgets", "list watch create patch"),
    ("networking.k8s.io", "networkpolicies", "list watch create patch"),
    ("", "pods", "list watch"),
    ("", "pods/eviction", "create"),
    ("", "secrets", "get list watch create patch"),
)
_WITH_ELECTION: Final = (
    ("coordination.k8s.io", "leases", "create"),
    ("", "events", "create"),
)
_OF_THE_LEASE: Final = (("coordination.k8s.io", "leases", "get list watch patch"),)
_OF_THE_CONFIG_MAP: Final = (("", "configmaps", "list watch"),)
_IN_DEFAULT: Final = (("", "events", "create patch"),)
_WITH_A_FINALIZER: Final = (("etcd.xmudrii.com", "etcdstorages", "patch"),)

_MANIFEST: Final = "artifacts/deployment/00-etcdproxy-controller.yaml"
_USERS_MANIFEST: Final = "artifacts/deployment/10-core-users.yaml"


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one kind; `namespace` "" is everywhere, `name` "" any object."""

    verb: str
    group: str
    resource: str
    """The plural, with the subresource if it is for one: pods/eviction."""
    namespace: str = ""
    name: str = ""
    manifest: str = _MANIFEST

    @property
    def attributes(self) -> dict[str, str]:
        """The right as a review asks for it."""
        resource, _, subresource = self.resource.partition("/")
        asked = {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {name: text for name, text in asked.items() if text}

    @property
    def object(self) -> str:
        """On what, in the words of the API server's own refusals."""
        group_resource = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        return group_resource + named + (f" in {self.namespace}" if self.namespace else "")


def needed(
    namespace: str, config_map: str, *, election: bool, finalizers: bool
) -> tuple[Right, ...]:
    """Return what a controller needs that works in `namespace` and reads this ConfigMap.

    `finalizers`: storages have something in the core that goes with them.
    """
    return (
        *_rights(_EVERYWHERE),
        *_rights(_IN_ITS_NAMESPACE, namespace),
        *_rights(_OF_THE_CONFIG_MAP, namespace, config_map),
        *_rights(_IN_DEFAULT, "default"),
        *(_rights(_WITH_ELECTION, namespace) if election else ()),
        *(_rights(_OF_THE_LEASE, namespace, LEASE) if election else ()),
        *(_rights(_WITH_A_FINALIZER, manifest=_USERS_MANIFEST) if finalizers else ()),
    )


def review(right: Right, account: str | None) -> tuple[Resource, dict[str, Any]]:
    """Return the question whether a service account, as namespace:name, has the right.

    None asks for whoever asks.
    """
    resource = SELF_REVIEWS if account is None else REVIEWS
    spec: dict[str, Any] = {"resourceAttributes": right.attributes}
    if account is not None:
        namespace = account.partition(":")[0]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        spec["user"] = f"system:serviceaccount:{account}"
        spec["groups"] = [*groups, "system:authenticated"]
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
    return resource, body


def allowed(answer: Mapping[str, Any]) -> bool:
    """Whether a review's answer is yes."""
    return bool((answer.get("status") or {}).get("allowed"))


def findings(who: str, lacking: Iterable[Right], count: int) -> Iterator[Finding]:
    """Name what of `count` rights `who` lacks, a line for each kind of object."""
    by_object: dict[tuple[str, str], list[str]] = {}
    for right in lacking:
        by_object.setdefault((right.object, right.manifest), []).append(right.verb)
    for (what, manifest), verbs in by_object.items():
        todo = f"kubectl apply -f {manifest}, or look which names its Roles allow"
        yield Finding(Level.FAIL, CHECK, f"{who} may not {', '.join(verbs)} {what}", todo)
    if not by_object:
        yield Finding(Level.OK, CHECK, f"{who} has all {count} that it needs")


def _rights(
    table: Iterable[tuple[str, str, str]],
    namespace: str = "",
    name: str = "",
    manifest: str = _MANIFEST,
) -> Iterator[Right]:
    for group, resource, verbs in table:
        for verb in verbs.split():
            yield Right(verb, group, resource, namespace, name, manifest)
