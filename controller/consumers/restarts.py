"""Restarts Deployments that read the bundle only when they start, once per new authority.

An annotation of the pod template says for which authority that was done last; changing it is what
rolls the pods, as `kubectl rollout restart` does.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog

from controller.api.storage import ObjectReference, StorageReference
from controller.consumers.consumer import Consumer, deployments
from controller.consumers.delivery import PATIENCE, Outcome, Report, pending, report
from controller.consumers.polls import Polls
from controller.consumers.refusals import refusal
from controller.resources import CONFIG_MAPS, GROUP
from informers import ApiError, Client, ConnectionFailed
from workqueue import Clock

_PREFIX: Final = f"serving-ca.{GROUP}"

_log = structlog.get_logger("controller.consumers")


def annotation(storage: str) -> str:
    """Return the template's annotation for the authority of a storage.

    Each storage has its own, or two that name one Deployment would restart it in turn for ever.
    """
    return f"{_PREFIX}/{storage}"


def due(deployment: Consumer, bundles: Iterable[Outcome], serial: int) -> bool:
    """Whether the bundle led by the authority `serial` is where the Deployment may read it.

    That is in all ConfigMaps of its namespace, or in all there are if that has none.
    """
    outcomes = [o for o in bundles if o.consumer.kind == CONFIG_MAPS.kind]
    near = [o for o in outcomes if o.consumer.namespace == deployment.namespace]
    return all(
        outcome.problem is None and outcome.signed is not None and outcome.signed.serial == serial
        for outcome in near or outcomes
    )


class Restarts:
    """Thread safe as long as no two callers share a storage."""

    def __init__(self, client: Client, *, clock: Clock, rng: random.Random) -> None:
        self._client = client
        self._clock = clock
        self._polls = Polls[Outcome](clock, rng)

    def restart(
        self,
        storage: StorageReference,
        references: Sequence[ObjectReference],
        bundles: Sequence[Outcome],
        serial: int,
    ) -> Report:
        """Restart the Deployments that have not been for the authority `serial`.

        Those for which its bundle has not been delivered yet are left out.
        """
        deadline = self._clock.monotonic() + PATIENCE
        found = tuple(
            self._outcome(storage, deployment, serial, deadline)
            for deployment in deployments(references)
            if due(deployment, bundles, serial)
        )
        return report(self._polls, storage.name, found)

    def forget(self, storage: str) -> None:
        """The storage of this name is gone: remember nothing of it."""
        self._polls.forget(storage)

    def _outcome(
        self, storage: StorageReference, deployment: Consumer, serial: int, deadline: float
    ) -> Outcome:
        version = f"{storage.uid} {serial:x}"
        known = self._polls.fresh(storage.name, deployment, version)
        if known is not None:
            return known
        if self._clock.monotonic() >= deadline:
            return pending(deployment, None)
        try:
            self._restart(storage.name, deployment, f"{serial:x}")
        except (ApiError, ConnectionFailed) as error:
            outcome = Outcome(deployment, None, refusal(error, deployment, "restart"))
            self._polls.bad(storage.name, deployment, version, outcome)
            return outcome
        outcome = Outcome(deployment, None)
        # Whoever takes the annotation away again has rolled the pods by that.
        self._polls.settle(storage.name, deployment, version, outcome)
        return outcome

    def _restart(self, storage: str, deployment: Consumer, serial: str) -> None:
        kind, namespace, name = deployment.resource, deployment.namespace, deployment.name
        wanted = {annotation(storage): serial}
        template: dict[str, Any] = self._client.get(kind, name, namespace)["spec"]["template"]
        if wanted.items() <= (template["metadata"].get("annotations") or {}).items():
            return
        patch = {"spec": {"template": {"metadata": {"annotations": wanted}}}}
        self._client.patch(kind, name, patch, namespace=namespace)
        _log.info("restarted", kind=kind.kind, namespace=namespace, object=name, authority=serial)
