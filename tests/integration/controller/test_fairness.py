"""One storage that is never done with, beside another one that changes: with a single worker."""

import contextlib
import itertools
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from controller.handlers import EnqueueHandler
from controller.reconcile import Reconciler
from controller.resources import ETCD_STORAGES
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.controller.conftest import (
    ARTIFACTS,
    RunController,
    Storages,
    core_ca,
    core_certs,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

DEPLOYMENT = ARTIFACTS / "deployment" / "00-etcdproxy-controller.yaml"
CHANGES = 20


class Order:
    """What happens in the controller: "queued" or "begun", whose, and when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, str, float]] = []
        self.longest = 0.0
        # So that none begins between the note that a name is queued and that it really is.
        self._one_by_one = threading.Lock()
        reconcile, enqueue = Reconciler.reconcile, EnqueueHandler._enqueue

        def reconciling(reconciler: Reconciler, name: str) -> float | None:
            with self._one_by_one:
                began = self.note("begun", name)
            try:
                return reconcile(reconciler, name)
            finally:
                self.longest = max(self.longest, time.monotonic() - began)

        def enqueuing(handler: EnqueueHandler, names: Any, priority: int) -> None:
            names = [*names]
            with self._one_by_one:
                for name in names:
                    self.note("queued", name)
                enqueue(handler, names, priority)

        monkeypatch.setattr(Reconciler, "reconcile", reconciling)
        monkeypatch.setattr(EnqueueHandler, "_enqueue", enqueuing)

    def note(self, what: str, name: str) -> float:
        now = time.monotonic()
        self.seen.append((what, name, now))
        return now

    def count(self, what: str, name: str) -> int:
        return sum(1 for seen in [*self.seen] if seen[:2] == (what, name))

    def overtaken(self, name: str) -> list[int]:
        """Return how many of others began after each change of a storage, and before it."""
        found, waiting = [], None
        for what, whose, _ in [*self.seen]:
            if whose == name and what == "queued" and waiting is None:
                waiting = 0
            elif whose == name and what == "begun" and waiting is not None:
                found.append(waiting)
                waiting = None
            elif what == "begun" and waiting is not None:
                waiting += 1
        return found


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> Order:
    return Order(monkeypatch)


def replicas_of(api: Client, name: str) -> Callable[[int], float]:
    """Return what changes a storage and takes the seconds until the status says so."""

    def change(replicas: int) -> float:
        patch = {"spec": {"replicas": replicas}}
        wanted = api.patch(ETCD_STORAGES, name, patch)["metadata"]["generation"]
        began = time.monotonic()

        def done() -> bool:
            status = api.get(ETCD_STORAGES, name).get("status", {})
            return bool(status.get("observedGeneration") == wanted)

        eventually(done, every=0.001)
        return time.monotonic() - began

    return change


@contextlib.contextmanager
def changing(api: Client, name: str) -> Iterator[None]:
    """Change a storage a hundred times a second."""
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if stop.wait(0.01):
                return
            note = {"metadata": {"annotations": {"example.org/number": str(number)}}}
            api.patch(ETCD_STORAGES, name, note)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def silent_core() -> Iterator[str]:
    """The address of a core that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


def took(order: Order, change: Callable[[int], float], what: str, *, beside: int = 0) -> None:
    """Change a storage some times, and see that it never waits for more than one reconcile.

    It is changed until the other one was reconciled so many times, too.
    """
    del order.seen[:]
    seconds: list[float] = []
    while len(seconds) < CHANGES or order.count("begun", "noisy") < beside:
        seconds.append(change(1 + len(seconds) % 2))
    others = order.count("begun", "noisy")
    overtaken = order.overtaken("other")
    print(
        f"{what}: a change takes {statistics.median(seconds) * 1000:.0f} ms,"
        f" {max(seconds) * 1000:.0f} ms at most, beside {others} reconciles of the other storage;"
        f" the longest reconcile took {order.longest * 1000:.0f} ms"
    )
    assert len(overtaken) >= CHANGES
    assert max(overtaken) <= 1


def test_none_of_them_delays_another_by_more_than_a_reconcile(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    control_plane: ControlPlane,
    namespace: str,
    order: Order,
) -> None:
    change = replicas_of(storages.api, "other")
    with run_controller("--workers=1"):
        storages.create("other", replicas=1)
        storages.await_condition("other", "Deployed", "EtcdProxyDeployed")
        took(order, change, "alone")
        quota = ("create", "quota", "one", "--hard=services=1", "-n", namespace)
        control_plane.kubectl(*quota)
        storages.create("noisy")
        storages.await_condition("noisy", "Deployed", "WriteFailed")
        took(order, change, "beside one that always fails")
        with changing(storages.api, "noisy"):
            what = "beside one that always fails and changes 100 times a second"
            took(order, change, what, beside=CHANGES)
        control_plane.kubectl("delete", "quota", "one", "-n", namespace)


def test_one_whose_core_never_answers_delays_nobody(
    storages: Storages,
    core_credentials: None,
    run_controller: RunController,
    order: Order,
    silent_core: str,
) -> None:
    change = replicas_of(storages.api, "other")
    with run_controller("--workers=1", f"--etcd-core-controller-url={silent_core}"):
        for name, policy in (("other", "Retain"), ("noisy", "Delete")):
            storages.create(name, replicas=1, reclaimPolicy=policy)
        storages.await_condition("other", "Deployed", "EtcdProxyDeployed")
        with changing(storages.api, "noisy"):
            took(order, change, "beside one whose core hangs and that changes 100 times a second")


def test_a_right_that_is_missing_is_named_once_and_in_the_status(
    storages: Storages,
    run_controller: RunController,
    control_plane: ControlPlane,
    namespace: str,
) -> None:
    """Verb and resource, not one line for each storage and try."""
    kubeconfig = limited(control_plane, namespace)
    for obj in (core_ca(namespace), core_certs(namespace)):
        control_plane.kubectl("create", "-f", "-", stdin=obj)
    names = ("a", "b", "c")
    with capture_logs() as logs, run_controller(kubeconfig=kubeconfig):
        for name in names:
            storages.create(name)
        for name in names:
            storages.await_condition(name, "Deployed", "WriteFailed")
            message = storages.condition(name, "Deployed")["message"]
            assert 'cannot create resource "poddisruptionbudgets"' in message
        # It was tried again, and again.
        eventually(lambda: len([log for log in logs if log["event"] == "reconcile_failed"]) >= 12)
    (missing,) = [log for log in logs if log["event"] == "right_missing"]
    assert (missing["verb"], missing["resource"]) == ("create", "poddisruptionbudgets")
    loud = [log for log in logs if log["event"] == "reconcile_failed" and not log.get("writes")]
    assert {log["log_level"] for log in loud} == {"debug"}


def limited(control_plane: ControlPlane, namespace: str) -> Path:
    """Return the kubeconfig of one with the Deployment's rights in a namespace, but for one."""
    user = f"limited-{namespace}"
    everywhere, here, events = (
        obj
        for obj in yaml.safe_load_all(DEPLOYMENT.read_text())
        if obj["kind"] in {"ClusterRole", "Role"}
    )
    for rule in here["rules"]:
        if rule["resources"] == ["poddisruptionbudgets"]:
            rule["verbs"].remove("create")
    for role, where in ((everywhere, None), (here, namespace), (events, "default")):
        meta = {"name": user, **({"namespace": where} if where else {})}
        binding = {
            "apiVersion": role["apiVersion"],
            "kind": f"{role['kind']}Binding",
            "metadata": meta,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": role["kind"],
                "name": user,
            },
            "subjects": [{"kind": "User", "name": user}],
        }
        for obj in ({**role, "metadata": meta}, binding):
            control_plane.kubectl("create", "-f", "-", stdin=obj)
    return control_plane.kubeconfig_for(user)
