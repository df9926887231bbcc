"""What is applied: one file, a base and overlays of it, in a namespace that is restricted."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.options import parse_options
from hack.cluster.controlplane import ControlPlane, KubectlError
from informers import Client
from tests.integration.conftest import await_account
from tests.integration.controller.conftest import ARTIFACTS, CRD
from tests.integration.controller.test_program import DEPLOYMENT, NAMESPACE
from tests.integration.deployment.conftest import MANIFESTS, rights_of
from tests.support.objects import FACTS, desired_of, read

OVERLAYS = sorted(path.name for path in (ARTIFACTS / "overlays").iterdir())
STORAGES = sorted((ARTIFACTS / "etcdstorage").glob("example-*.yaml"))

Json = dict[str, Any]


def load(text: str) -> dict[tuple[str, str], Json]:
    objects = yaml.safe_load_all(text)
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in objects}


def built(control_plane: ControlPlane, folder: str) -> dict[tuple[str, str], Json]:
    return load(control_plane.kubectl("kustomize", str(ARTIFACTS / folder)))


def args(objects: dict[tuple[str, str], Json]) -> list[str]:
    (deployment,) = (obj for (kind, _), obj in objects.items() if kind == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: list[str] = container["args"]
    return found


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane, api: Client) -> None:
    control_plane.kubectl("apply", "-f", str(CRD), "-f", str(DEPLOYMENT))
    control_plane.kubectl("wait", "--for=condition=Established", "-f", str(CRD))
    control_plane.kubectl("delete", "deployment", "--all", "-n", NAMESPACE)
    await_account(api, NAMESPACE)


def test_the_base_is_the_one_file(control_plane: ControlPlane) -> None:
    assert built(control_plane, "deployment") == load(DEPLOYMENT.read_text())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_and_the_program_take_each_overlay(
    control_plane: ControlPlane, installed: None, overlay: str
) -> None:
    folder = ARTIFACTS / "overlays" / overlay
    control_plane.kubectl("apply", "--dry-run=server", "-k", str(folder))
    options = parse_options(args(built(control_plane, f"overlays/{overlay}")))
    base = parse_options(args(load(DEPLOYMENT.read_text())))
    changed = {
        "core-url": options.core.urls != base.core.urls and len(options.core.urls) == 3,
        "core-users": options.user_secrets is not None and base.user_secrets is None,
        "images": options.images != base.images,
        "plain-core": base.core.tls and not options.core.tls,
    }
    assert [name for name, differs in changed.items() if differs] == [overlay]


def test_the_overlay_for_users_gives_what_the_second_file_gives(
    control_plane: ControlPlane,
) -> None:
    files = [load(path.read_text()).values() for path in MANIFESTS]
    overlay = built(control_plane, "overlays/core-users").values()
    assert rights_of(overlay) == rights_of(itertools.chain(*files))
    assert rights_of(overlay) != rights_of(files[0])


def test_overlays_can_be_had_together(control_plane: ControlPlane, tmp_path: Path) -> None:
    """As they say: with the name of another one in place of the base's."""
    chain = ["core-url", "core-users", "images"]
    for name, below in itertools.pairwise([*chain, ""]):
        text = (ARTIFACTS / "overlays" / name / "kustomization.yaml").read_text()
        folder = tmp_path / "overlays" / name
        folder.mkdir(parents=True)
        changed = text.replace("../../deployment", f"../{below}") if below else text
        (folder / "kustomization.yaml").write_text(changed)
    (tmp_path / "deployment").symlink_to(ARTIFACTS / "deployment")
    found = load(control_plane.kubectl("kustomize", str(tmp_path / "overlays" / chain[0])))
    options = parse_options(args(found))
    assert len(options.core.urls) == 3
    assert options.user_secrets is not None


def pods() -> dict[str, Json]:
    """A pod of each shape that the product has, by a name for it."""
    deployment = load(DEPLOYMENT.read_text())[("Deployment", "etcdproxy-controller-deployment")]
    templates = {"controller": deployment["spec"]["template"]}
    for mode, tls, users in itertools.product(("Proxy", "Direct"), (False, True), (False, True)):
        facts = dataclasses.replace(FACTS, tls=tls, users=users, auth=users)
        desired = desired_of(read("foo", mode=mode), facts=facts)
        name = "-".join([mode.lower(), *(["tls"] if tls else []), *(["users"] if users else [])])
        templates[name] = desired.replica_set["spec"]["template"]
    return {name: pod(template) for name, template in templates.items()}


def pod(template: Json) -> Json:
    metadata = {**template["metadata"], "name": "tried", "namespace": NAMESPACE}
    return {**template, "apiVersion": "v1", "kind": "Pod", "metadata": metadata}


@pytest.mark.parametrize("shape", pods())
def test_each_pod_is_let_in_where_pods_are_restricted(
    control_plane: ControlPlane, installed: None, shape: str
) -> None:
    tried = pods()[shape]
    control_plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=tried)
    loose = json.loads(json.dumps(tried))
    del loose["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted:latest"'):
        control_plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=loose)


def test_no_pod_is_started_with_the_addresses_of_all_services() -> None:
    """Each storage has one in this namespace: a process takes 2 MB of variables, and no more."""
    told = [name for name, one in pods().items() if one["spec"].get("enableServiceLinks", True)]
    assert not told


def test_what_several_files_bring_they_bring_alike() -> None:
    """What one of them leaves out `kubectl apply` would take away from what another brought."""
    brought: dict[tuple[str, str, str], list[Json]] = {}
    for path in ARTIFACTS.rglob("*.yaml"):
        for obj in yaml.safe_load_all(path.read_text()):
            if meta := obj.get("metadata"):
                key = (obj["kind"], meta.get("namespace", ""), meta["name"])
                brought.setdefault(key, []).append(obj)
    shared = {key: objects for key, objects in brought.items() if len(objects) > 1}
    assert ("Namespace", "", NAMESPACE) in shared
    assert [key for key, (first, *rest) in shared.items() if any(o != first for o in rest)] == []


@pytest.mark.parametrize("path", STORAGES, ids=lambda path: path.stem)
def test_the_examples_are_storages(
    control_plane: ControlPlane, installed: None, path: Path
) -> None:
    control_plane.kubectl("create", "--dry-run=server", "-f", str(path))


def test_a_node_is_drained_of_one_controller_at_a_time() -> None:
    objects = load(DEPLOYMENT.read_text())
    deployment = objects[("Deployment", "etcdproxy-controller-deployment")]["spec"]
    budget = objects[("PodDisruptionBudget", "etcdproxy-controller")]["spec"]
    assert deployment["replicas"] == 2
    assert budget == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": deployment["selector"],
    }
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == deployment["selector"]
