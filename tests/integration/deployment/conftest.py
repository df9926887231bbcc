"""The rights of the manifests on an API server that asks for each of them.

It lists as one before 1.34 does, which knows no streaming lists, and checks who may tie an object
to an owner, as OpenShift does.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from controller.resources import ETCD_STORAGES
from hack.cluster import arguments, binaries, components
from hack.cluster.arguments import Settings
from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, programs
from informers import Client, Resource, load_config
from tests.integration.controller.conftest import ARTIFACTS, Pods, Storages, establish
from tests.integration.controller.test_program import NAMESPACE, Program, kubeconfig_of
from tests.support.eventually import eventually
from tests.support.reviews import may
from workqueue import RealClock

MANIFESTS = tuple(
    ARTIFACTS / "deployment" / name
    for name in ("00-etcdproxy-controller.yaml", "10-core-users.yaml")
)
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:etcdproxy-controller-sa"

_GROUP = "rbac.authorization.k8s.io"
_ROLES = {
    kind: Resource(_GROUP, "v1", f"{kind.lower()}s", kind, namespaced=kind == "Role")
    for kind in ("Role", "ClusterRole")
}

_SERVER = (
    "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
    "--feature-gates=WatchList=false",
)


class Right(NamedTuple):
    """One verb of one rule."""

    namespace: str
    """"" for the whole cluster."""
    group: str
    resource: str
    """With its subresource, if it has one."""
    name: str
    """"" for all objects."""
    verb: str


@dataclass(slots=True)
class Rights:
    """What the account of the Deployment may do; `missing` is what it may not for now."""

    api: Client
    roles: tuple[dict[str, Any], ...]
    """As the manifests have them."""
    missing: frozenset[Right] = frozenset()

    def all(self) -> frozenset[Right]:
        return rights_of(self.roles)

    @contextmanager
    def without(self, *missing: Right) -> Iterator[None]:
        """Take these away, and give everything back in the end."""
        self.give_all_but(*missing)
        try:
            yield
        finally:
            self.give_all_but()

    def give_all_but(self, *missing: Right) -> None:
        """Return once the server judges by it."""
        changed, self.missing = self.missing ^ {*missing}, frozenset(missing)
        for role in self.roles:
            rights = [*_rights(role)]
            if changed & {*rights}:
                self._give(role, [right for right in rights if right not in missing])
        for right in changed:
            eventually(partial(self._is_known, right), what=str(right))

    def _give(self, role: dict[str, Any], rights: list[Right]) -> None:
        metadata, resource = role["metadata"], _ROLES[role["kind"]]
        rules = {"rules": [_rule(right) for right in rights]}
        self.api.patch(resource, metadata["name"], rules, namespace=metadata.get("namespace"))

    def _is_known(self, right: Right) -> bool:
        return self._is_allowed(right) == (right not in self.missing)

    def _is_allowed(self, right: Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        attributes = {**right._asdict(), "resource": resource, "subresource": subresource}
        return may(self.api, ACCOUNT, attributes)


def rights_of(objects: Iterable[dict[str, Any]]) -> frozenset[Right]:
    """Return what the roles among these objects allow together."""
    roles = [obj for obj in objects if obj["kind"] in _ROLES]
    return frozenset(right for role in roles for right in _rights(role))


def _rights(role: dict[str, Any]) -> Iterator[Right]:
    namespace = role["metadata"].get("namespace", "")
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    for verb in rule["verbs"]:
                        yield Right(namespace, group, resource, name, verb)


def _rule(right: Right) -> dict[str, Any]:
    names = {"resourceNames": [right.name]} if right.name else {}
    return {
        "apiGroups": [right.group],
        "resources": [right.resource],
        "verbs": [right.verb],
        **names,
    }


@dataclass(frozen=True, slots=True)
class Scene:
    """The installed product but for its pods, and its controller as a process."""

    control_plane: ControlPlane
    api: Client
    core: CoreEtcd
    kubeconfig: Path
    rights: Rights
    storages: Storages
    pods: Pods

    @contextmanager
    def program(self, *flags: str) -> Iterator[Program]:
        program = Program(
            [
                *(sys.executable, "-m", "controller", "--log-format=json"),
                f"--kubeconfig={self.kubeconfig}",
                f"--namespace={NAMESPACE}",
                f"--etcd-core-url={self.core.url}",
                "--metrics-bind-address=0",
                *flags,
            ]
        )
        try:
            yield program
        finally:
            program.process.kill()
            program.end()

    def await_told(self, program: Program, right: Right) -> None:
        """Wait until the log names the right, in the server's words or as a Role has it."""
        eventually(lambda: _names(program, right), what=f"{right} in {program.lines}")

    def names(self, resource: Resource) -> list[str]:
        """Return the names of the objects of this kind in the controller's namespace."""
        return [obj["metadata"]["name"] for obj in self.api.list(resource, NAMESPACE)["items"]]

    def clear(self) -> None:
        """Remove all storages, which nobody holds any more."""
        for storage in self.api.list(ETCD_STORAGES)["items"]:
            name = storage["metadata"]["name"]
            self.api.patch(ETCD_STORAGES, name, {"metadata": {"finalizers": None}})
            if "deletionTimestamp" not in storage["metadata"]:
                self.api.delete(ETCD_STORAGES, name)


def _names(program: Program, right: Right) -> bool:
    where = (
        f' in the namespace "{right.namespace}"' if right.namespace else " at the cluster scope"
    )
    words = f'cannot {right.verb} resource "{right.resource}" in API group "{right.group}"{where}'
    place = {"namespace": right.namespace} if right.namespace else {}
    named = {"verb": right.verb, "resource": right.resource, "group": right.group, **place}
    entries = [json.loads(line) for line in [*program.lines]]
    return any(
        words in entry.get("error", "")
        or (entry["event"] == "right_missing" and named.items() <= entry.items())
        for entry in entries
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("deployment")
    settings = Settings(extra={arguments.APISERVER: _SERVER})
    plane = ControlPlane(folder, binaries.ensure(*components.CONTROL_PLANE), settings)
    with plane, CoreEtcd(folder / "core", programs.ensure()) as core:
        api = Client(load_config(str(plane.kubeconfig)), clock=RealClock())
        yield _install(plane, api, core, folder)
        api.close()
    shutil.rmtree(folder)


def _install(plane: ControlPlane, api: Client, core: CoreEtcd, folder: Path) -> Scene:
    establish(plane, api)
    plane.kubectl("apply", *(f"-f{manifest}" for manifest in MANIFESTS))
    plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    objects = [obj for path in MANIFESTS for obj in yaml.safe_load_all(path.read_text())]
    roles = tuple(obj for obj in objects if obj["kind"] in _ROLES)
    return Scene(
        plane,
        api,
        core,
        kubeconfig_of(plane, folder),
        Rights(api, roles),
        Storages(plane, api),
        Pods(api, NAMESPACE),
    )
