import random
from collections import Counter
from pathlib import Path

import pytest

from hack.chaos import commandline
from hack.chaos.churn import Sample
from hack.chaos.run import Incident, Result, Terms, incidents
from hack.cluster.process import ProcessError


def result(*wrong: str) -> Result:
    return Result(Terms(seed=7), Counter({Incident.CUT: 3}), 61, 5, 2.5, [*wrong])


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    monkeypatch.setattr(commandline, "configure_logging", lambda *_: None)
    monkeypatch.setattr("hack.chaos.run.Chaos.__init__", lambda *_: None)


@pytest.mark.parametrize(
    ("found", "code"),
    [(result(), 0), (result("a: 2 pods of 1"), 1), (ProcessError("etcd ended"), 1)],
)
def test_the_code_says_whether_something_was_wrong(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: Result | ProcessError,
    code: int,
) -> None:
    def run(_: object) -> Result:
        if isinstance(found, ProcessError):
            raise found
        return found

    monkeypatch.setattr("hack.chaos.run.Chaos.run", run)
    assert commandline.main([]) == code
    told = "".join(capsys.readouterr())
    if isinstance(found, ProcessError):
        assert told == "etcd ended\n"
    else:
        assert "all connections cut                    3" in told
        assert all(wrong in told for wrong in found.wrong)


def test_churn_is_told_over_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = [Sample(0.0, 60 << 20, 20, 0), Sample(30.0, 61 << 20, 20, 900)]
    monkeypatch.setattr("hack.chaos.churn.Churn.run", lambda _: samples)
    assert commandline.main(["--churn=30"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[-1] == ["30", "61.0", "20", "900"]


def test_every_term_is_a_flag() -> None:
    given = commandline.terms(["--restarts=2", "--freeze=1.5", "--seed=9"])
    assert (given.restarts, given.freeze, given.seed) == (2, 1.5, 9)
    assert given.storages == Terms().storages


def test_every_incident_comes_as_often_as_asked_for() -> None:
    counts = {"restarts": 1, "freezes": 2, "compactions": 3, "cuts": 4, "kills": 5}
    terms = Terms(**counts, pauses=6, cores=7, seed=1)
    found = Counter(incidents(terms, random.Random(1)))
    assert [*map(found.__getitem__, Incident)] == [1, 2, 3, 4, 5, 6, 7]
