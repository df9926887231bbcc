"""Paths of the API."""

import pytest

from informers.resource import Resource

PODS = Resource("", "v1", "pods", "Pod", namespaced=True)
SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", namespaced=True)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


def test_paths_are_those_of_the_api() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("ns") == "/api/v1/namespaces/ns/pods"
    assert PODS.path("ns", "a", "eviction") == "/api/v1/namespaces/ns/pods/a/eviction"
    assert SETS.path("ns", "a") == "/apis/apps/v1/namespaces/ns/replicasets/a"
    assert NODES.path(name="n", subresource="status") == "/api/v1/nodes/n/status"


def test_names_cannot_leave_their_place() -> None:
    assert NODES.path(name="../pods?x") == "/api/v1/nodes/..%2Fpods%3Fx"


def test_what_lives_in_no_namespace_is_not_looked_for_in_one() -> None:
    with pytest.raises(ValueError, match="nodes live in no namespace"):
        NODES.path("ns")


def test_names_as_objects_and_messages_have_them() -> None:
    assert (PODS.api_version, SETS.api_version) == ("v1", "apps/v1")
    assert (PODS.group_resource, SETS.group_resource) == ("pods", "replicasets.apps")
