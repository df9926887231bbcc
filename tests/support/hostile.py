"""EtcdStorages that nobody should make: drawn from the schema of the CRD, and past it.

Everything that a JSON body can carry may come: values at and over the bounds of a field, values
of another type, fields that nobody knows, long text, and metadata that means something to others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

CRD: Final = Path(__file__).parents[2] / "artifacts" / "etcdstorage" / "crd.yaml"

Json = dict[str, Any]

LABELS: Final = (
    "etcd.xmudrii.com/storage",
    "etcd.xmudrii.com/revision",
    "app.kubernetes.io/managed-by",
)
ANNOTATIONS: Final = (
    "etcd.xmudrii.com/rotate",
    "etcd.xmudrii.com/certificate-expiry-date",
    "kubectl.kubernetes.io/last-applied-configuration",
)
FINALIZERS: Final = ("etcd.xmudrii.com/core", "foregroundDeletion", "example.org/x", "x", "")
"""The first one is ours."""

TAME: Final = "tame"
"""The name of all that the server is to take; each needs one of its own."""

_LONG: Final = 60_000
"""Characters: a few of them still fit a request of 1.5 MB."""


def schema() -> Json:
    """Return that of an EtcdStorage."""
    crd = yaml.safe_load(CRD.read_text())
    found: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


_TEXT: Final = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "0", "null", "..", "a/b", "%2e%2e", "${x}", "{{x}}", "\x00", "\r\n", "ä", "🜏"]
    ),
    st.integers(1, _LONG).map(lambda size: "x" * size),
)

_SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
)

ANYTHING: Final = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
"""Any JSON."""

_DURATIONS: Final = st.sampled_from(
    ["10s", "9s", "1h30m", "43800h", "999999h999999h999999h", "1h ", "-1h", "1d", "0.001s", "1e9h"]
)

_LIFETIMES: Final = {
    "signingCertificateValidity": st.sampled_from(["43800h", "999999h", "2161h0m1.5s"]),
    "servingCertificateValidity": st.sampled_from(["10s", "0.5h", "2160h"]),
    "clientCertificateValidity": st.sampled_from(["10s", "1h30m", "2160h"]),
}
"""Such as the server takes together."""

_LABELS: Final = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)

_NAMES: Final = st.one_of(
    _LABELS,
    st.sampled_from(["a" * 58, "a" * 59, "a" * 64, "registry", "root", "a.b", "A", "-", "", "1"]),
    _TEXT,
)


def storages(victims: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Draw bodies of EtcdStorages; their references may be to one of the `victims`.

    Most are such that the server takes them.
    """
    return st.integers(0, 3).flatmap(lambda die: _tame(victims) if die else _wild(victims))


def _wild(victims: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    spec = _Drawing(victims, odds=10).of(schema()["properties"]["spec"])
    given: dict[str, st.SearchStrategy[Any]] = {"spec": spec | ANYTHING, "status": ANYTHING}
    rest = st.fixed_dictionaries({}, optional=given)
    unknown = st.dictionaries(st.text(min_size=1, max_size=8), ANYTHING, max_size=1)
    return st.builds(_body, _METADATA, rest, unknown)


def _tame(victims: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    spec = _Drawing(victims, odds=0).of(schema()["properties"]["spec"])
    rest = st.fixed_dictionaries({"spec": spec}, optional={"status": st.just({"x": 1})})
    return st.builds(_body, _TAME_METADATA, rest)


def _body(metadata: Json, rest: Json, unknown: Json | None = None) -> Json:
    told = {"apiVersion": "etcd.xmudrii.com/v1alpha1", "kind": "EtcdStorage"}
    return {**(unknown or {}), **told, "metadata": metadata, **rest}


def loose_specs() -> st.SearchStrategy[Any]:
    """Draw what stood under `spec` where a CRD had no schema."""
    names = st.sampled_from([*schema()["properties"]["spec"]["properties"]])
    return st.dictionaries(names | _TEXT.filter(bool), ANYTHING, max_size=6) | ANYTHING


@dataclass(frozen=True)
class _Drawing:
    """Draws what a schema describes; in one of so many fields, by `odds`, something else."""

    victims: st.SearchStrategy[Json]
    odds: int

    def of(self, schema: Mapping[str, Any], field: str = "") -> st.SearchStrategy[Any]:
        """Draw a value of the field."""
        drawn = self._fitting(schema, field)
        if not self.odds:
            return drawn
        return st.integers(0, self.odds).flatmap(lambda die: drawn if die else ANYTHING)

    def _fitting(self, schema: Mapping[str, Any], field: str) -> st.SearchStrategy[Any]:
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if schema["type"] == "object":
            return self._object(schema)
        if schema["type"] == "array":
            return self._array(schema)
        wild = bool(self.odds)
        if schema["type"] == "integer":
            return st.integers(schema["minimum"] - wild, schema["maximum"] + wild)
        if field.endswith("Validity"):
            return _DURATIONS if wild else _LIFETIMES[field]
        return _NAMES if wild else _LABELS

    def _array(self, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        items = self.of(schema["items"]) | self.victims
        told_apart = None if self.odds else _key
        return st.lists(items, max_size=3, unique_by=told_apart)

    def _object(self, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        fields = {name: self.of(each, name) for name, each in schema["properties"].items()}
        needed = {name: fields.pop(name) for name in schema.get("required", ())}
        known = st.fixed_dictionaries(needed, optional=fields)
        unknown = st.dictionaries(st.text(min_size=1, max_size=8), ANYTHING, max_size=1)
        return st.builds(lambda more, most: {**more, **most}, unknown, known)


def _key(reference: Json) -> tuple[object, object]:
    return reference.get("namespace"), reference.get("name")


_OWNERS: Final = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from(["v1", "apps/v1", "etcd.xmudrii.com/v1alpha1"]),
        "kind": st.sampled_from(["Namespace", "Node", "ReplicaSet", "EtcdStorage"]),
        "name": st.sampled_from(["default", "kube-system"]),
        # Of nobody: the collector would take the storage away with such an owner.
        "uid": st.uuids().map(str),
    },
    optional={"controller": st.booleans(), "blockOwnerDeletion": st.booleans()},
)

_METADATA: Final = st.fixed_dictionaries(
    {},
    optional={
        "name": _NAMES,
        "labels": st.dictionaries(st.sampled_from(LABELS) | _TEXT, _TEXT, max_size=2),
        "annotations": st.dictionaries(st.sampled_from(ANNOTATIONS) | _TEXT, _TEXT, max_size=2),
        "finalizers": st.lists(st.sampled_from(FINALIZERS), max_size=2),
        "ownerReferences": st.lists(_OWNERS, max_size=2),
        "generateName": _NAMES,
        "namespace": st.just("default"),
        "deletionTimestamp": st.just("2026-01-01T00:00:00Z"),
        "uid": _TEXT,
        "generation": st.integers(-1, 2**31),
        "managedFields": ANYTHING,
    },
)

_TAME_METADATA: Final = st.fixed_dictionaries(
    {"name": st.just(TAME)},
    optional={
        "labels": st.dictionaries(st.sampled_from(LABELS), _LABELS, max_size=2),
        "annotations": st.dictionaries(st.sampled_from(ANNOTATIONS), _TEXT, max_size=2),
        "finalizers": st.just(["example.org/x"]) | st.just(["etcd.xmudrii.com/core"]),
        "ownerReferences": st.lists(_OWNERS, max_size=1),
    },
)
