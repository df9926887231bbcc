from pathlib import Path

import pytest

from hack.bench import cli, parts
from hack.bench.subjects import SubjectError
from hack.bench.table import Row


def one(_sizes: parts.Sizes, folder: Path) -> list[Row]:
    assert folder.is_dir()
    return [Row("first", "1 s")]


def two(_sizes: parts.Sizes, _folder: Path) -> list[Row]:
    return [Row("second", "2 s")]


def fails(_sizes: parts.Sizes, _folder: Path) -> list[Row]:
    raise SubjectError("it failed")


@pytest.fixture(autouse=True)
def _parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    monkeypatch.setattr(parts, "ALL", {"one": one, "two": two})


def test_all_parts_make_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["figure", "first", "second"]


def test_parts_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["two"]) == 0
    assert "first" not in capsys.readouterr().out


def test_an_unknown_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["three"])
    assert "no such part: three" in capsys.readouterr().err


def test_a_failure_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ALL", {"one": one, "fails": fails})
    assert cli.main([]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "it failed"
