from pathlib import Path

import pytest

from hack.cluster import components
from hack.dataplane import programs


def test_all_of_them_are_found_where_one_folder_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in components.NAMES:
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    found = programs.ensure()
    assert set(found) == {*components.DATA_PLANE, "sample-apiserver"}
    assert found["envoy"] == tmp_path / "envoy"
    older = programs.ensure("etcd-3.6")
    assert older == {**found, "etcd": tmp_path / "etcd-3.6"}
