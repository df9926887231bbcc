"""Rolls of a fleet, and under a node drain, on the real API server and controller manager."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from controller.dataplane.rolling import is_ready, is_terminating, pod_revision
from controller.handlers import by_label
from controller.plan import Evict
from controller.resources import DISRUPTION_BUDGETS, PODS, REPLICA_SETS
from controller.writer import Writer, is_stale
from informers import ApiError, Client, SharedInformerFactory
from informers.errors import is_conflict, is_not_found, is_too_many_requests
from tests.integration.controller.conftest import Pods, RunController, Storages
from tests.support.eventually import PATIENCE, eventually
from workqueue import RealClock

Json = dict[str, Any]

NEW = "--gate-image=example.org/envoy:new"
_PAUSE = 0.02
"""Seconds between two rounds of a kubelet, or of a drain."""


class ReadyPods:
    """The ready pods of one storage by the watch, event by event: none comes unseen."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self.now: set[str] = set()
        self.fewest = 99
        """Since the first list."""

    def on_add(self, obj: Json, is_in_initial_list: bool) -> None:  # noqa: FBT001 - client-go's
        if by_label(obj) != [self._storage]:
            return
        (self.now.add if is_ready(obj) else self.now.discard)(obj["metadata"]["uid"])
        if not is_in_initial_list:
            self.fewest = min(self.fewest, len(self.now))

    def on_update(self, old: Json, new: Json) -> None:  # noqa: ARG002 - client-go's
        self.on_add(new, is_in_initial_list=False)

    def on_delete(self, obj: Any) -> None:
        self.now.discard(obj["metadata"]["uid"])
        self.fewest = min(self.fewest, len(self.now))


@pytest.fixture
def watched(api: Client, namespace: str) -> Iterator[Callable[[str], ReadyPods]]:
    factory = SharedInformerFactory(api, RealClock(), random.Random(1))

    def watch(storage: str) -> ReadyPods:
        counted = ReadyPods(storage)
        factory.informer(PODS, namespace).add_event_handler(counted)
        factory.start()
        assert factory.wait_for_cache_sync(None, threading.Event()) == []
        return counted

    yield watch
    assert factory.shutdown() == []


@contextmanager
def over_and_over(act: Callable[[], object]) -> Iterator[None]:
    """Let a thread do something again and again; a failure of it is one of the test."""
    stop, failures = threading.Event(), []

    def work() -> None:
        while not stop.wait(_PAUSE):
            try:
                act()
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert failures == []


class Fleet:
    """Storages of one pod each, as the server has them."""

    def __init__(self, api: Client, namespace: str, names: list[str]) -> None:
        self._api = api
        self._namespace = namespace
        self.names = names
        self.most = 0

    def revisions(self) -> dict[str, set[str | None]]:
        """The revisions of each storage's pods."""
        found: dict[str, set[str | None]] = {name: set() for name in self.names}
        for pod in self._api.list(PODS, self._namespace)["items"]:
            if not is_terminating(pod):
                found[by_label(pod)[0]].add(pod_revision(pod))
        return found

    def templates(self) -> dict[str, str | None]:
        items = self._api.list(REPLICA_SETS, self._namespace)["items"]
        return {by_label(rs)[0]: pod_revision(rs["spec"]["template"]) for rs in items}

    def rolling(self) -> set[str]:
        """Those whose template has no pod or not the only pods, read in this order.

        A template is written before the pods of it are made, and the last old one goes first.
        """
        templates, revisions = self.templates(), self.revisions()
        return {n for n in self.names if not revisions[n] <= {templates[n]}}

    def count(self) -> None:
        self.most = max(self.most, len(self.rolling()))


def deploy(
    storages: Storages,
    run_controller: RunController,
    pods: Pods,
    *names: str,
    replicas: int = 1,
) -> None:
    with run_controller():
        for name in names:
            storages.create(name, replicas=replicas)
        for name in names:
            eventually(lambda name=name: len(pods.of(name)) == replicas)  # type: ignore[misc]
            pods.make_ready(name)
            storages.await_condition(name, "Ready", "PodsReady")


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("drained", [False, True])
def test_a_roll_and_a_drain_at_once_never_leave_fewer_than_the_budget_says(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
    watched: Callable[[str], ReadyPods],
    replicas: int,
    drained: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """With a roll alone all are always ready; a drain may take one more, as from anybody."""
    deploy(storages, run_controller, pods, "drained", replicas=replicas)
    old = pods.of("drained")

    def drain() -> None:
        for pod in old if drained else ():
            evict(api, pod)

    def rolled() -> bool:
        present = pods.of("drained")
        gone = not {p["metadata"]["uid"] for p in present} & {p["metadata"]["uid"] for p in old}
        new = {pod_revision(p) for p in present} != {pod_revision(p) for p in old}
        return new and gone and len(present) == replicas and all(map(is_ready, present))

    ready = watched("drained")
    eventually(lambda: len(ready.now) == replicas)
    kubelet = over_and_over(lambda: pods.make_ready("drained"))
    with kubelet, run_controller(NEW), over_and_over(drain):
        eventually(rolled)
        storages.await_condition("drained", "Progressing", "PodsUpToDate")
    assert replicas - drained <= ready.fewest <= replicas


def test_no_pod_of_a_template_that_somebody_edited_is_left(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
    watched: Callable[[str], ReadyPods],
) -> None:
    """It carries the revision of the others; nobody asks for a roll, and no pod serves less."""
    deploy(storages, run_controller, pods, "edited", replicas=2)
    ready, theirs = watched("edited"), "example.org/theirs:1"

    def images() -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in pods.of("edited")}

    eventually(lambda: len(ready.now) == 2)
    (ours,) = images()
    replica_set = api.get(REPLICA_SETS, "etcd-rs-edited", namespace)
    step = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": theirs}
    json_patch = "application/json-patch+json"
    name = replica_set["metadata"]["name"]
    api.patch(REPLICA_SETS, name, [step], namespace=namespace, content_type=json_patch)
    api.delete(PODS, pods.of("edited")[0]["metadata"]["name"], namespace=namespace)
    eventually(lambda: images() == {ours, theirs})
    pods.make_ready("edited")
    eventually(lambda: len(ready.now) == 2)
    ready.fewest = 2
    with over_and_over(lambda: pods.make_ready("edited")), run_controller():
        eventually(lambda: images() == {ours} and len(pods.of("edited")) == 2)
        storages.await_condition("edited", "Progressing", "PodsUpToDate")
    assert ready.fewest == 2


def test_an_eviction_of_a_pod_that_has_changed_leaves_the_budget_alone(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    """One that fails by its precondition holds the budget for two minutes, a drain's part too."""
    deploy(storages, run_controller, pods, "kept", replicas=2)

    def allowed() -> int:
        (budget,) = api.list(DISRUPTION_BUDGETS, namespace)["items"]
        found: int = budget["status"].get("disruptionsAllowed", 0)
        return found

    eventually(lambda: allowed() == 1)
    pod = pods.of("kept")[0]
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    label = {"metadata": {"labels": {"changed": "since"}}}
    changed = api.patch(PODS, name, label, namespace=namespace)["metadata"]["resourceVersion"]
    writer = Writer(api, namespace, lambda _kind, _version: None)
    with pytest.raises(ApiError) as stale:
        writer.carry_out(Evict(name, uid, pod["metadata"]["resourceVersion"]))
    assert is_stale(stale.value)
    assert allowed() == 1
    writer.carry_out(Evict(name, uid, changed))
    eventually(lambda: name not in {pod["metadata"]["name"] for pod in pods.of("kept")})


def evict(api: Client, pod: Json) -> None:
    """Ask for the pod as a drain does: it takes a refusal by the budget, and comes again.

    By the uid alone, so that it fails before the budget is asked, or not for the pod.
    """
    metadata = pod["metadata"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }
    try:
        api.post_subresource(
            PODS, metadata["name"], "eviction", eviction, metadata["namespace"], max_retries=0
        )
    except ApiError as error:
        if not (is_too_many_requests(error) or is_not_found(error) or is_conflict(error)):
            raise


def test_no_more_storages_than_allowed_roll_at_once_through_a_restart(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    names = [f"slot-{n}" for n in range(6)]
    deploy(storages, run_controller, pods, *names)
    fleet = Fleet(api, namespace, names)
    before = fleet.templates()
    with over_and_over(fleet.count):
        with run_controller(NEW, "--max-concurrent-rollouts=2"):
            eventually(lambda: len(fleet.rolling()) == 2)
            middle = fleet.rolling()
            waiting = next(n for n in names if n not in middle)
            storages.await_condition(waiting, "Progressing", "RolloutQueued")
        with run_controller(NEW, "--max-concurrent-rollouts=2"):
            storages.await_condition(waiting, "Progressing", "RolloutQueued")
            assert fleet.rolling() == middle
            assert sum(before[n] != now for n, now in fleet.templates().items()) == 2

            def all_rolled() -> bool:
                for name in names:
                    pods.make_ready(name)
                found = fleet.revisions()
                return all(len(r) == 1 and before[name] not in r for name, r in found.items())

            eventually(all_rolled)
            for name in names:
                storages.await_condition(name, "Progressing", "PodsUpToDate")
    assert fleet.most == 2


def test_a_revision_that_never_gets_ready_stops_the_fleet_and_is_mended_without_a_hand(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    names = ["bad-0", "bad-1", "bad-2"]
    deploy(storages, run_controller, pods, *names)
    fleet = Fleet(api, namespace, names)
    old = {pod["metadata"]["uid"] for name in names for pod in pods.ready(name)}
    with run_controller("--gate-image=example.org/bad:1", "--max-concurrent-rollouts=1"):
        eventually(lambda: sum(len(pods.of(name)) for name in names) == 4)
        (first,) = fleet.rolling()
        for name in names:
            reason = "RollingPods" if name == first else "RolloutQueued"
            storages.await_condition(name, "Progressing", reason)
            assert len(pods.ready(name)) == 1
    with run_controller("--max-concurrent-rollouts=1"):
        for name in names:
            storages.await_condition(name, "Progressing", "PodsUpToDate")
        eventually(lambda: sum(len(pods.of(name)) for name in names) == 3)
    assert {pod["metadata"]["uid"] for name in names for pod in pods.ready(name)} == old
