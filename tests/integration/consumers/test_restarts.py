"""Restarts of real Deployments, with the rights that artifacts/consumers names in a comment."""

import random
from typing import Any

import yaml

from controller.api.storage import ObjectReference
from controller.consumers import Consumer, Report, Restarts
from tests.integration.consumers.conftest import ROLE, Scene
from tests.support.deliveries import bundle
from tests.support.eventually import eventually

LABELS = {"app": "my-apiserver"}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "my-apiserver"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {"containers": [{"name": "c", "image": "example.org/none"}]},
        },
    },
}


def rules_with_the_comment() -> list[dict[str, Any]]:
    text = ROLE.read_text().replace("  # - apiGroups: [apps]", "  - apiGroups: [apps]")
    lines = [line.replace("  #   ", "    ") for line in text.splitlines()]
    rules: list[dict[str, Any]] = next(yaml.safe_load_all("\n".join(lines)))["rules"]
    assert len(rules) == 3
    return rules


class Roller:
    """Restarts a Deployment of the scene, each time as a controller that has just started."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.deployment = Consumer("Deployment", scene.namespace, "my-apiserver")
        self.note = f"serving-ca.etcd.xmudrii.com/{scene.storage.name}"

    def restart(self, serial: int, *, first: bool = False) -> Report:
        scene = self.scene
        restarts = Restarts(scene.client, clock=scene.clock, rng=random.Random(1))
        bundles = scene.deliver(bundle(f"CA {serial}", scene.bundle, serial)).outcomes
        references = [ObjectReference(scene.namespace, "my-apiserver")]
        return restarts.restart(scene.storage, references, bundles, serial, first=first)

    def meta(self) -> dict[str, Any]:
        found: dict[str, Any] = self.scene.get(self.deployment)["metadata"]
        return found

    def template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.scene.get(self.deployment)["spec"]["template"]["metadata"]
        return found


def test_a_deployment_rolls_once_per_authority(scene: Scene) -> None:
    roller = Roller(scene)
    scene.put(DEPLOYMENT)
    scene.allow()
    (problem,) = roller.restart(6, first=True).problems
    assert "may not get it" in problem.message
    scene.allow(*rules_with_the_comment())
    eventually(lambda: roller.restart(6, first=True).problems == ())
    assert roller.meta()["annotations"][roller.note] == "6"
    assert roller.template() == {"labels": LABELS}
    assert roller.restart(7).problems == ()
    assert roller.template()["annotations"] == {roller.note: "7"}
    generation = roller.meta()["generation"]
    roller.restart(7)
    assert roller.meta()["generation"] == generation
    # As if both Secrets had been lost.
    roller.restart(255, first=True)
    expected = {"annotations": {roller.note: "ff"}, "labels": LABELS}
    assert roller.template() == expected


def test_a_deployment_that_is_younger_than_its_bundle_does_not_roll(scene: Scene) -> None:
    roller = Roller(scene)
    scene.allow(*rules_with_the_comment())
    eventually(lambda: scene.deliver(bundle("CA 7", scene.bundle, 7)).problems == ())
    (delivered,) = (
        entry["time"] for entry in scene.get(scene.bundle)["metadata"]["managedFields"]
    )

    def made_later() -> bool:
        scene.put(DEPLOYMENT)
        if roller.meta()["creationTimestamp"] > delivered:
            return True
        scene.delete(roller.deployment)
        return False

    eventually(made_later)
    assert roller.restart(7).problems == ()
    assert roller.meta()["annotations"][roller.note] == "7"
    assert roller.template() == {"labels": LABELS}
    roller.restart(8)
    assert roller.template()["annotations"] == {roller.note: "8"}
