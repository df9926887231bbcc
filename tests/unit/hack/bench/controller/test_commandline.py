from pathlib import Path

import pytest

from hack.bench.controller import commandline
from hack.bench.controller.subjects import Measured
from hack.cluster.process import ProcessError


def bare(_: Path, storages: int) -> Measured:
    return Measured("bare writes", storages, 10.0)


def plain(folder: Path, storages: int) -> Measured:
    assert folder.is_dir()
    return Measured("plain", storages, 11.0, {"POST": 5.0 * storages, "PATCH": 1.0 * storages})


def tls(_: Path, storages: int) -> Measured:
    return Measured("TLS", storages, 33.0)


def fails(_folder: Path, _storages: int) -> Measured:
    raise ProcessError("it does not run")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    monkeypatch.setattr(commandline, "configure_logging", lambda *_: None)


def test_each_subject_stands_beside_its_yardstick(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commandline, "SUBJECTS", (bare, plain, tls))
    assert commandline.main(["--storages=40"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split()[:5] == ["subject", "storages", "time", "ratio", "budget"]
    assert lines[0].split() == ["bare", "writes", "40", "10.00", "s", "0.00", "s"]
    assert "1.10 x bare writes" in lines[1]
    assert lines[1].endswith("5.00 POST, 1.00 PATCH")
    assert "3.00 x plain" in lines[2]


def test_a_failure_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commandline, "SUBJECTS", (bare, fails))
    assert commandline.main([]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "it does not run"
