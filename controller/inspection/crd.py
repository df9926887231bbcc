"""Whether the EtcdStorage type is there, and has what this release reads and writes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.inspection.cluster import Unread
from controller.inspection.finding import Finding, Level
from controller.resources import ETCD_STORAGES
from informers import Resource

Json = Mapping[str, Any]

CHECK: Final = "CRD"
NAME: Final = ETCD_STORAGES.group_resource
CRDS: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "spec": frozenset({
        *("mode", "replicas", "reclaimPolicy", "caCertConfigMap", "clientCertSecret"),
        *("restartDeployments", "signingCertificateValidity", "servingCertificateValidity"),
        *("clientCertificateValidity", "serverCACert", "clientCert"),
    }),
    "status": frozenset({
        *("observedGeneration", "endpoint", "isolation", "coreUserOwner", "replicas"),
        *("readyReplicas", "updatedReplicas", "certificates", "usage", "coreClientCertificate"),
        "conditions",
    }),
}  # fmt: skip
"""Of the schema in artifacts/etcdstorage/crd.yaml: what another lacks the server drops unsaid."""

_NO_STATUS: Final = (
    f"{NAME} is of an older release and has no status subresource, so the controller can write no"
    " status"
)
_APPLY: Final = "kubectl apply -f artifacts/etcdstorage/crd.yaml"


def findings(crd: Json | Unread | None) -> Iterator[Finding]:
    """Say how the CRD stands; None: there is none."""
    if isinstance(crd, Unread):
        yield Finding(Level.UNKNOWN, CHECK, crd.why, "ask as somebody who may list CRDs")
    elif crd is None:
        yield Finding(Level.FAIL, CHECK, f"{NAME} is not installed", _APPLY)
    elif problem := _broken(crd):
        yield problem
    elif (version := _version(crd)) and "status" not in (version.get("subresources") or {}):
        yield Finding(Level.FAIL, CHECK, _NO_STATUS, _APPLY)
    elif lacking := _lacking(version):
        what = f"{NAME} is of another release: it lacks {', '.join(lacking)}"
        yield Finding(Level.FAIL, CHECK, what, _APPLY)
    else:
        yield Finding(Level.OK, CHECK, f"{NAME} is established and has all that is used of it")


def _broken(crd: Json) -> Finding | None:
    if crd["metadata"].get("deletionTimestamp"):
        todo = "wait for its EtcdStorages to be gone, then: " + _APPLY
        return Finding(Level.FAIL, CHECK, f"{NAME} is being deleted", todo)
    conditions = {c.get("type"): c for c in (crd.get("status") or {}).get("conditions") or ()}
    for type_ in ("NamesAccepted", "Established"):
        found = conditions.get(type_) or {}
        if found.get("status") != "True":
            why = found.get("message") or "the server has not said why"
            todo = f"kubectl describe crd {NAME}"
            return Finding(Level.FAIL, CHECK, f"{NAME} is not {type_}: {why}", todo)
    return None


def _version(crd: Json) -> Json | None:
    versions = crd["spec"].get("versions") or ()
    named = (v for v in versions if v.get("name") == ETCD_STORAGES.version and v.get("served"))
    return next(named, None)


def _lacking(version: Json | None) -> list[str]:
    """Return what the served version does not have, by name."""
    if version is None:
        return [f"version {ETCD_STORAGES.version}"]
    subresources = version.get("subresources") or {}
    lacking = [] if "scale" in subresources else ["subresource scale"]
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    for part, wanted in FIELDS.items():
        found = (schema.get("properties") or {}).get(part) or {}
        has = set(found.get("properties") or ())
        lacking += [f"{part}.{name}" for name in sorted(wanted - has)] if has else [part]
    if not schema.get("x-kubernetes-validations"):
        lacking.append("the rules on names")
    return lacking
