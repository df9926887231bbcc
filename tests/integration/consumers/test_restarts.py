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


def test_a_deployment_rolls_once_per_authority(scene: Scene) -> None:
    scene.put(DEPLOYMENT)
    deployment = Consumer("Deployment", scene.namespace, "my-apiserver")
    restarts = Restarts(scene.client, clock=scene.clock, rng=random.Random(1))

    def restart(serial: int) -> Report:
        scene.clock.step(1000)
        bundles = scene.deliver(bundle(f"CA {serial}", scene.bundle, serial)).outcomes
        references = [ObjectReference(scene.namespace, "my-apiserver")]
        return restarts.restart(scene.storage, references, bundles, serial)

    scene.allow()
    (problem,) = restart(7).problems
    assert "may not get it" in problem.message
    scene.allow(*rules_with_the_comment())
    eventually(lambda: restart(7).problems == ())
    generation = scene.get(deployment)["metadata"]["generation"]
    restart(7)
    assert scene.get(deployment)["metadata"]["generation"] == generation
    restart(255)
    template = scene.get(deployment)["spec"]["template"]["metadata"]
    name = f"serving-ca.etcd.xmudrii.com/{scene.storage.name}"
    assert (template["annotations"], template["labels"]) == ({name: "ff"}, LABELS)
