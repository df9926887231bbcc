from pathlib import Path

import pytest

from hack.bench.controller import commandline
from hack.bench.controller.phases import Phase
from hack.bench.controller.subjects import RESYNC, STEADY_STATE, SYNC, Measured
from hack.cluster.process import ProcessError


def bare(_: Path, storages: int) -> Measured:
    return Measured("bare writes", storages, 10.0)


def plain(folder: Path, storages: int) -> Measured:
    assert folder.is_dir()
    return Measured("plain", storages, 11.0, {"POST": 5.0 * storages, "PATCH": 1.0 * storages})


def tls(_: Path, storages: int) -> Measured:
    later = (
        Phase(STEADY_STATE, 60.0, 0.3, 8.0, {"GET": 120.0}, 80 << 20),
        Phase(RESYNC, 2.5, 2.0, 40.0, {"PATCH": 1.0, "POST": 2.0}, 90 << 20),
        Phase(SYNC, 0.75),
    )
    return Measured("TLS", storages, 33.0, later=later)


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
    table, note, later = capsys.readouterr().out.split("\n\n")
    title, *lines = table.splitlines()
    assert title.split()[:5] == ["subject", "storages", "time", "ratio", "budget"]
    assert lines[0].split() == ["bare", "writes", "40", "10.00", "s", "0.00", "s"]
    assert "1.10 x bare writes" in lines[1]
    assert lines[1].endswith("5.00 POST, 1.00 PATCH")
    assert "3.00 x plain" in lines[2]
    assert "No controller manager ran" in note
    _, steady, resync, sync = later.splitlines()
    told = "TLS: nothing changes 60.00 s 0 writes, 1 %, 150 MiB 8 0 2.0 0.5% 80 MiB"
    assert steady.split() == told.split()
    told = "TLS: every storage looked at 2.50 s 0 writes 40 3 0.0 2.00 s 90 MiB"
    assert resync.split() == told.split()
    assert sync.split() == ["TLS:", "start", "to", "sync", "0.75", "s", "1", "s"]


def test_a_failure_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commandline, "SUBJECTS", (bare, fails))
    assert commandline.main([]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "it does not run"
