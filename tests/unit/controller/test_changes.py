"""What a reconcile writes is told together, each write by itself only to whoever looks closer."""

import threading

from structlog.testing import capture_logs

from controller.changes import became, collected, wrote


def test_writes_are_collected_in_order_with_the_last_conditions() -> None:
    with capture_logs() as logs, collected() as changes:
        assert changes.told() == {}
        wrote("create", "Service", "etcd-a")
        wrote("apply", "Secret", "b/pair", "there was none yet")
        became({"ready": "False/NoPodReady"})
        became({"ready": "True/PodsReady"})
    assert changes.told() == {
        "writes": ["create Service etcd-a", "apply Secret b/pair: there was none yet"],
        "conditions": {"ready": "True/PodsReady"},
    }
    assert [(log["log_level"], log["event"], log["object"]) for log in logs] == [
        ("debug", "wrote", "etcd-a"),
        ("debug", "wrote", "b/pair"),
    ]


def test_each_thread_has_its_own_and_outside_there_is_none() -> None:
    with collected() as changes:
        other = threading.Thread(target=wrote, args=("create", "Service", "another"))
        other.start()
        other.join()
    wrote("create", "Service", "later")
    became({"ready": "True/PodsReady"})
    assert changes.told() == {}
