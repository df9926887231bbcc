"""Which storages an event concerns, and what is said about watches that fail."""

from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.dataplane.names import storage_of
from controller.handlers import (
    STATUS_PAUSE,
    ChangeHandler,
    EnqueueHandler,
    StatusHandler,
    WatchErrorLog,
    always,
    beyond_status,
    by_label,
    by_name,
    own_name,
)
from controller.ownership import STORAGE_LABEL
from controller.resources import ETCD_STORAGES, PODS, REPLICA_SETS, SERVICES
from informers import ApiError, ConnectionFailed, DeletedFinalStateUnknown, Resource
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.objects import etcd_storage, pod
from workqueue import DelayingQueue, Queue

Json = dict[str, Any]


@pytest.fixture
def queue() -> Queue[str]:
    return Queue("test")


def in_order(queue: Queue[str]) -> list[str]:
    """Take out what is queued."""
    names = [queue.get() for _ in range(len(queue))]
    for name in names:
        queue.done(name)
    return names


def drain(queue: Queue[str]) -> list[str]:
    """Take out what is queued, whatever its order."""
    return sorted(in_order(queue))


def test_a_storage_is_queued_by_its_name_whatever_happens_to_it(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, own_name, always)
    obj = etcd_storage("a")
    happenings: list[Any] = [
        lambda: handler.on_add(obj, is_in_initial_list=True),
        lambda: handler.on_add(obj, is_in_initial_list=False),
        lambda: handler.on_update(obj, obj),
        lambda: handler.on_delete(obj),
        lambda: handler.on_delete(DeletedFinalStateUnknown("a", obj)),
    ]
    for happen in happenings:
        happen()
        assert drain(queue) == ["a"]


def test_changes_go_before_the_first_list_and_resyncs(queue: Queue[str]) -> None:
    def version(name: str, number: str) -> Json:
        return {"metadata": {"name": name, "resourceVersion": number}}

    handler = EnqueueHandler(queue, own_name, always)
    handler.on_add(version("listed", "1"), is_in_initial_list=True)
    handler.on_update(version("resynced", "2"), version("resynced", "2"))
    handler.on_add(version("listed-2", "3"), is_in_initial_list=True)
    handler.on_add(version("made", "4"), is_in_initial_list=False)
    handler.on_update(version("changed", "5"), version("changed", "6"))
    handler.on_delete(version("gone", "7"))
    handler.on_delete(DeletedFinalStateUnknown("gone-unseen", version("gone-unseen", "8")))
    changes = ["made", "changed", "gone", "gone-unseen"]
    assert in_order(queue) == [*changes, "listed", "resynced", "listed-2"]


def test_a_change_of_what_waits_since_the_start_lifts_it(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, own_name, always)
    for name in ("a", "b", "c"):
        handler.on_add(etcd_storage(name), is_in_initial_list=True)
    handler.on_add(etcd_storage("b"), is_in_initial_list=False)
    handler.on_update(etcd_storage("b"), etcd_storage("b"))
    assert in_order(queue) == ["b", "a", "c"]


def test_a_priority_that_is_given_is_kept(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, own_name, always)
    for name, priority in (("urgent", 1), ("below", -101), ("above", -99)):
        queue.add(name, priority=priority)
    for name in ("urgent", "a", "above"):
        handler.on_add(etcd_storage(name), is_in_initial_list=True)
    assert in_order(queue) == ["urgent", "above", "a", "below"]


def test_a_label_that_changes_concerns_the_old_storage_too(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, by_label, always)
    handler.on_update(pod("p", storage="a"), pod("p", storage="b"))
    assert drain(queue) == ["a", "b"]


def test_an_object_that_concerns_nobody_queues_nothing(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, by_label, always)
    bare = {"metadata": {"name": "p", "labels": None}}
    handler.on_add(bare, is_in_initial_list=False)
    handler.on_update(bare, {"metadata": {"name": "p"}})
    handler.on_delete(bare)
    assert drain(queue) == []


def test_an_object_may_concern_everybody(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, lambda _obj: ["a", "b"], always)
    handler.on_add({}, is_in_initial_list=False)
    assert drain(queue) == ["a", "b"]


def test_key_functions() -> None:
    def named(name: str) -> Json:
        return {"metadata": {"name": name, "labels": {STORAGE_LABEL: "by-label"}}}

    assert own_name(named("a")) == ["a"]
    assert by_label(named("a")) == ["by-label"]
    # By name and not by label: a foreign object in our way counts when it goes.
    keys = by_name(partial(storage_of, REPLICA_SETS))
    assert keys(named("etcd-rs-a")) == ["a"]
    assert keys(named("a")) == []


def test_a_watch_error_is_said_once_until_it_changes() -> None:
    errors = WatchErrorLog()
    refused = ConnectionFailed("https://server", "connection refused", refused=True)
    forbidden = ApiError(403, "Forbidden", "may not list pods")
    with capture_logs() as logs:
        for error in (refused, refused, forbidden, forbidden, refused):
            errors(PODS, error)
    assert [(log["log_level"], log["error"].split(";")[0]) for log in logs] == [
        ("warning", "https://server: connection refused"),
        ("debug", "https://server: connection refused"),
        ("warning", "may not list pods (403 Forbidden)"),
        ("debug", "may not list pods (403 Forbidden)"),
        ("warning", "https://server: connection refused"),
    ]


def test_each_kind_has_its_own_error() -> None:
    errors = WatchErrorLog()
    with capture_logs() as logs:
        for resource in (PODS, SERVICES):
            errors(resource, ApiError(403, "Forbidden", f"no {resource.plural}"))
    assert [(log["log_level"], log["kind"]) for log in logs] == [
        ("warning", "Pod"),
        ("warning", "Service"),
    ]


def test_one_cause_for_all_kinds_is_one_line_and_so_is_its_end() -> None:
    errors = WatchErrorLog()
    away = ConnectionFailed("https://server", "Connection refused", refused=True)
    for _ in range(2):  # a second outage is told like the first
        with capture_logs() as logs:
            for resource in (PODS, SERVICES, PODS):
                errors(resource, away)
            errors(PODS, None)
            errors(SERVICES, None)
            errors(SERVICES, None)
        told = [(log["log_level"], log["event"]) for log in logs if log["log_level"] != "debug"]
        assert told == [("warning", "cannot_watch"), ("info", "watching_again")]


def test_a_change_of_the_status_alone_is_no_news() -> None:
    def version(number: str, **fields: Any) -> Json:
        return {"metadata": {"name": "a", "resourceVersion": number}, **fields}

    old = version("1", spec={"replicas": 1}, status={"endpoint": "x"})
    assert not beyond_status(old, version("2", spec={"replicas": 1}, status={"endpoint": "y"}))
    assert not beyond_status(old, version("2", spec={"replicas": 1}))
    assert beyond_status(old, version("2", spec={"replicas": 2}, status={"endpoint": "x"}))
    labelled = version("2", spec={"replicas": 1}, status={"endpoint": "x"})
    labelled["metadata"]["labels"] = {"a": "b"}
    assert beyond_status(old, labelled)
    assert beyond_status(old, old), "a resync shows everything again"


def test_what_somebody_else_wrote_into_a_status_is_looked_at_after_a_while() -> None:
    clock = FakeClock()
    queue: DelayingQueue[str] = DelayingQueue("test", clock=clock)
    asked: list[tuple[str, Resource, str]] = []

    def ours(name: str, kind: Resource, number: str) -> bool:
        asked.append((name, kind, number))
        return number == "3"

    def version(number: str, **status: Any) -> Json:
        return {"metadata": {"name": "a", "resourceVersion": number}, "status": status}

    handler = StatusHandler(queue, ours)
    handler.on_add(version("1"), _is_in_initial_list=True)
    handler.on_update(version("1"), version("2"))
    handler.on_update(version("2"), version("3", replicas=1))
    assert asked == [("a", ETCD_STORAGES, "3")]
    for number in ("4", "5", "6"):
        handler.on_update(version("3", replicas=1), version(number, replicas=7))
    assert len(queue) == 0
    clock.step(STATUS_PAUSE)
    eventually(lambda: len(queue) == 1)
    assert in_order(queue) == ["a"]
    queue.shut_down()


def test_what_does_not_matter_queues_nothing(queue: Queue[str]) -> None:
    handler = EnqueueHandler(queue, own_name, lambda _old, _new: False)
    handler.on_update({"metadata": {"name": "a"}}, {"metadata": {"name": "a"}})
    assert drain(queue) == []


def test_a_missing_crd_is_told_with_the_command_that_mends_it() -> None:
    gone = ApiError(404, "NotFound", "the server could not find the requested resource")
    with capture_logs() as logs:
        WatchErrorLog()(ETCD_STORAGES, gone)
        WatchErrorLog()(PODS, gone)
    assert "kubectl apply -f artifacts/etcdstorage/crd.yaml" in logs[0]["error"]
    assert "CRD" not in logs[1]["error"]


def test_a_watch_that_is_too_old_is_no_news() -> None:
    with capture_logs() as logs:
        WatchErrorLog()(PODS, ApiError(410, "Expired", "too old resource version"))
    assert logs == []


def test_a_change_of_any_kind_is_passed_on() -> None:
    changes: list[int] = []
    handler = ChangeHandler(lambda: changes.append(1))
    handler.on_add({}, True)
    handler.on_update({}, {})
    handler.on_delete(DeletedFinalStateUnknown("n/a", {}))
    assert len(changes) == 3
