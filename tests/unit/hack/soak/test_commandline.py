from collections import Counter
from pathlib import Path

import pytest

from hack.cluster.process import ProcessError
from hack.program import Metrics
from hack.soak import commandline
from hack.soak.client import Habit
from hack.soak.fleet import Terms
from hack.soak.load import Shaken
from hack.soak.run import Result, due, has_served

SENT = 'rest_client_requests_total{method="GET"} 1234\n'


def result(*failures: str, broken: tuple[str, ...] = ()) -> Result:
    shaken = Shaken(Counter(dict.fromkeys(Habit, 1000)), [*failures], 0.26)
    metrics = Metrics(SENT)
    processors = {"controller": 1.2}
    return Result(Terms(), shaken, 60.0, 2000, 600, (10, 3), metrics, processors, [*broken])


@pytest.fixture(autouse=True)
def _logging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    monkeypatch.setattr(commandline, "configure_logging", lambda *_: None)


def ran(monkeypatch: pytest.MonkeyPatch, found: Result | ProcessError) -> None:
    def run(_: object) -> Result:
        if isinstance(found, ProcessError):
            raise found
        return found

    monkeypatch.setattr("hack.soak.run.Soak.run", run)


@pytest.mark.parametrize(
    ("found", "code"),
    [(result(), 0), (result("refused"), 1), (result(broken=("no disk",)), 1)],
)
def test_a_failed_handshake_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: Result, code: int
) -> None:
    ran(monkeypatch, found)
    assert commandline.main([]) == code
    printed = capsys.readouterr().out
    for line in (*found.shaken.failures, *found.broken):
        assert line in printed.splitlines()
    assert "1,234" in printed
    assert "2000 (fewest: 10)" in printed


def test_what_does_not_come_about_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(monkeypatch, ProcessError("it does not run"))
    assert commandline.main([]) == 1
    assert capsys.readouterr().err == "it does not run\n"


def test_every_size_is_a_flag() -> None:
    assert commandline.terms([]) == Terms()
    given = commandline.terms(["--storages=5", "--leaf=20", "--late=0.5"])
    assert given == Terms(storages=5, leaf=20, late=0.5)


def test_rotations_lie_evenly_between_the_renewals() -> None:
    assert [due(Terms(renewals=10, rotations=3), asked) for asked in range(3)] == [3, 5, 8]
    assert due(Terms(renewals=2, rotations=1), 0) == 1


def test_only_a_serial_that_was_seen_counts() -> None:
    def told(**serving: str) -> dict[str, object]:
        return {"status": {"certificates": {"serving": serving}}}

    assert has_served(told(serial="a", servedSerial="a"))
    assert not has_served(told(serial="a", servedSerial="b"))
    assert not has_served(told(serial="a"))
    assert not has_served({})
