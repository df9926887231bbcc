from pathlib import Path

import pytest

from hack.bench.dataplane import commandline
from hack.cluster.process import ProcessError


def fails(_: Path) -> str:
    raise ProcessError("it does not run")


@pytest.fixture(autouse=True)
def _parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    monkeypatch.setattr(
        commandline, "PARTS", {"one": lambda folder: f"first {folder.is_dir()}", "two": fails}
    )


def test_each_part_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert commandline.main(["one"]) == 0
    assert capsys.readouterr().out == "first True\n\n"


def test_a_failure_is_a_line_and_comes_after_what_was_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert commandline.main([]) == 1
    captured = capsys.readouterr()
    assert captured.out == "first True\n\n"
    assert captured.err.splitlines()[-1] == "it does not run"


def test_an_unknown_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commandline.main(["three"])
    assert "no such part: three" in capsys.readouterr().err
