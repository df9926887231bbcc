"""The controller on the real control plane. Pods are made ready by hand: there is no kubelet."""

import base64
import random
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from controller.controller import EtcdStorageController
from controller.options import Options, parse_options
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, EVENTS, PODS, SECRETS
from hack.cluster.controlplane import ControlPlane
from informers import ApiError, Client, load_config
from informers.errors import is_not_found
from tests.integration.controller.lives import Lives
from tests.support.eventually import PATIENCE, eventually, none_left
from tests.support.watched import NAMESPACES
from workqueue import RealClock

ARTIFACTS = Path(__file__).parent.parent.parent.parent / "artifacts"
CRD = ARTIFACTS / "etcdstorage" / "crd.yaml"


@pytest.fixture(scope="session")
def crd(control_plane: ControlPlane, api: Client) -> None:
    establish(control_plane, api)


def establish(control_plane: ControlPlane, api: Client) -> None:
    """Let today's CRD be there, and return once storages are served by it.

    That takes the server a moment longer than to say so.
    """
    control_plane.kubectl("apply", "-f", str(CRD))
    what = "crd/etcdstorages.etcd.xmudrii.com"
    control_plane.kubectl("wait", "--for=condition=Established", what, "--timeout=120s")
    await_crd(api)


def await_crd(api: Client) -> None:
    """Wait until the server goes by today's CRD again, after another one or none."""
    eventually(lambda: _is_in_force(api), every=0.05, what="the CRD to be in force")


def _is_in_force(api: Client) -> bool:
    """Whether a storage is refused that an older CRD lets in."""
    probe = manifest("probe", {"mode": 1})
    try:
        api.create(ETCD_STORAGES, probe)
    except ApiError as error:
        return error.code == 422
    api.delete(ETCD_STORAGES, "probe")
    return False


@pytest.fixture
def storages(control_plane: ControlPlane, api: Client, crd: None) -> Iterator["Storages"]:
    yield Storages(control_plane, api)
    eventually(lambda: not _remove_all(api), what="no storage to be left")


def _remove_all(api: Client) -> list[dict[str, Any]]:
    """Remove every storage and what holds it; return those that there were."""
    found: list[dict[str, Any]] = api.list(ETCD_STORAGES)["items"]
    for storage in found:
        metadata = storage["metadata"]
        with suppress_not_found():
            # Nobody is left to do what a finalizer stands for.
            if metadata.get("finalizers"):
                api.patch(ETCD_STORAGES, metadata["name"], {"metadata": {"finalizers": None}})
            api.delete(ETCD_STORAGES, metadata["name"])
    return found


@contextmanager
def suppress_not_found() -> Iterator[None]:
    """Let what is meant to go be gone already."""
    try:
        yield
    except ApiError as error:
        if not is_not_found(error):
            raise


@dataclass(frozen=True, slots=True)
class Storages:
    """Makes and reads EtcdStorages and what belongs to them."""

    control_plane: ControlPlane
    api: Client

    def create(self, name: str, **spec: Any) -> dict[str, Any]:
        return self.api.create(ETCD_STORAGES, manifest(name, spec))

    def get(self, name: str) -> dict[str, Any]:
        return self.api.get(ETCD_STORAGES, name)

    def condition(self, name: str, type_: str) -> dict[str, Any]:
        return _condition(self.get(name), type_)

    def await_condition(self, name: str, type_: str, reason: str) -> dict[str, Any]:
        """Wait until the condition has this reason; return the storage."""

        def others() -> list[Any]:
            storage = self.get(name)
            is_so = _condition(storage, type_).get("reason") == reason
            return [] if is_so else [storage.get("status")]

        none_left(others, what=f"{type_} of {name} is not {reason}")
        return self.get(name)

    def await_way_out(self, name: str, what: str) -> list[str]:
        """Wait until a deletion tells how to leave `what` behind; return kubectl's arguments."""

        def words() -> list[str]:
            message: str = self.condition(name, "Degraded").get("message", "")
            return shlex.split(message.partition(f"leave the {what} behind: ")[2])

        program, *arguments = eventually(words)
        assert program == "kubectl"
        return arguments

    def events(self, name: str) -> list[tuple[str, str]]:
        """The type and reason of all events about this storage, in order."""
        about = f"involvedObject.name={name}"
        events = self.api.list(EVENTS, "default", fieldSelector=about)["items"]
        events.sort(key=lambda event: event["firstTimestamp"])
        return [(event["type"], event["reason"]) for event in events]


def _condition(storage: dict[str, Any], type_: str) -> dict[str, Any]:
    conditions = storage.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == type_), {})


def manifest(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "etcd.xmudrii.com/v1alpha1",
        "kind": "EtcdStorage",
        "metadata": {"name": name},
        "spec": spec,
    }


def core_ca(namespace: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "etcd-coreserving-ca", "namespace": namespace},
        "data": data or {"ca.pem": "the core's authority"},
    }


def core_certs(namespace: str) -> dict[str, Any]:
    content = base64.b64encode(b"a pair").decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "etcd-coreserving-cert", "namespace": namespace},
        "data": {"client.pem": content, "client-key.pem": content},
    }


@pytest.fixture
def core_credentials(api: Client, namespace: str) -> None:
    api.create(CONFIG_MAPS, core_ca(namespace), namespace)
    api.create(SECRETS, core_certs(namespace), namespace)


def options(control_plane: ControlPlane, namespace: str, core: str, *flags: str) -> Options:
    return parse_options(
        [
            f"--kubeconfig={control_plane.kubeconfig}",
            f"--namespace={namespace}",
            f"--etcd-core-url={core}",
            *flags,
        ]
    )


RunController = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def run_controller(control_plane: ControlPlane, namespace: str) -> RunController:
    """A context manager in which the controller runs, in this process, in `namespace`."""

    @contextmanager
    def running(
        *flags: str, kubeconfig: Path | None = None, core: str = "https://core.example:2379"
    ) -> Iterator[None]:
        given = options(control_plane, namespace, core, *flags)
        clock = RealClock()
        client = Client(load_config(str(kubeconfig or control_plane.kubeconfig)), clock=clock)
        controller = EtcdStorageController(
            client,
            given,
            clock=clock,
            rng=random.Random(1),
            now=lambda: datetime.now(UTC),
            registry=CollectorRegistry(),
        )
        stop = threading.Event()
        results: list[bool] = []
        thread = threading.Thread(target=lambda: results.append(controller.run(stop)))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(PATIENCE)
            client.close()
            assert results == [True]

    return running


class Pods:
    """The pods of a namespace, and the part of the kubelet: to say that they are ready."""

    def __init__(self, api: Client, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def of(self, storage: str) -> list[dict[str, Any]]:
        selector = f"etcd.xmudrii.com/storage={storage}"
        items = self._api.list(PODS, self._namespace, labelSelector=selector)["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, storage: str) -> list[dict[str, Any]]:
        return [pod for pod in self.of(storage) if _is_ready(pod)]

    def make_ready(self, storage: str, ip: str = "") -> None:
        """Say it of each pod that is there; one may have gone since it was listed."""
        for pod in self.of(storage):
            if not _is_ready(pod):
                self._say_ready(pod["metadata"]["name"], ip)

    def _say_ready(self, name: str, ip: str) -> None:
        condition = {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        where = {"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {}
        patch = {"status": {"phase": "Running", "conditions": [condition], **where}}
        with suppress_not_found():
            self._api.patch(PODS, name, patch, namespace=self._namespace, subresource="status")


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.fixture
def pods(api: Client, namespace: str) -> Pods:
    return Pods(api, namespace)


@pytest.fixture
def lives(
    control_plane: ControlPlane, api: Client, namespace: str, core_credentials: None, crd: None
) -> Iterator[Lives]:
    consumers = f"one-{namespace}", f"two-{namespace}"
    for name in consumers:
        api.create(NAMESPACES, {"metadata": {"name": name}})
    yield Lives(api, load_config(str(control_plane.kubeconfig)), namespace, consumers)
    _remove_all(api)
