import os
import sys
from pathlib import Path

import pytest
import yaml

from hack.bench import subjects
from hack.bench.measured import Measured

REPORT = """import json, os
print("a log line")
print(json.dumps({"objects": len(os.sched_getaffinity(0)), "synced": 0, "events": 0, "peak": 1}))
"""


def test_a_program_reports() -> None:
    own = subjects.processors()[1]
    assert subjects.run([sys.executable, "-c", REPORT], processor=own) == Measured(1, 0, 0, 1)
    free = subjects.run([sys.executable, "-c", REPORT])
    assert free.objects == len(os.sched_getaffinity(0))


def test_a_program_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(subjects.SubjectError, match=r"(?s)-c.*ValueError: no cluster"):
        subjects.run([sys.executable, "-c", "raise ValueError('no cluster')"])


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "_TIMEOUT", 0.2)
    with pytest.raises(subjects.SubjectError, match="not done in 0 s"):
        subjects.run([sys.executable, "-c", "import threading; threading.Event().wait()"])


def test_client_go_speaks_json_only_where_events_are_counted() -> None:
    program = Path("/bin/it")
    assert subjects.client_go(program, Path("k")) == ["/bin/it", "--kubeconfig=k", "--events=0"]
    assert subjects.client_go(program, Path("k"), 5)[-1] == "--json"


def test_the_kubeconfig_names_the_server() -> None:
    config = yaml.safe_load(subjects.kubeconfig_of("http://127.0.0.1:1"))
    assert config["clusters"][0]["cluster"] == {"server": "http://127.0.0.1:1"}
    assert config["contexts"][0]["name"] == config["current-context"]


def test_a_replay_server_runs_and_ends(tmp_path: Path) -> None:
    other, _ = subjects.processors()
    with subjects.replayed(3, tmp_path, other) as kubeconfig:
        url = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        assert url.startswith("http://127.0.0.1:")
