"""Restarts Deployments that read the bundle only when they start, once per new authority.

Changing an annotation of the pod template is what rolls the pods, as `kubectl rollout restart`
does. The same annotation on the Deployment itself, which rolls nothing, says for which authority
no restart is needed any more: so the loss of everything else that was known of one counts, too.
A Deployment that has neither was made or listed lately, and is judged by its age.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from controller.api.storage import ObjectReference, StorageReference
from controller.changes import wrote
from controller.consumers.consumer import Consumer, deployments, manager
from controller.consumers.delivery import PATIENCE, Outcome, Report, pending, report
from controller.consumers.fields import applied_at
from controller.consumers.polls import Polls
from controller.consumers.refusals import refusal
from controller.resources import CONFIG_MAPS, GROUP
from informers import ApiError, Client, ConnectionFailed
from informers.errors import is_not_found
from workqueue import Clock

_PREFIX: Final = f"serving-ca.{GROUP}"


def annotation(storage: str) -> str:
    """Return the annotation for the authority of a storage, of a Deployment and its template.

    Each storage has its own, or two that name one Deployment would restart it in turn for ever.
    """
    return f"{_PREFIX}/{storage}"


def near(deployment: Consumer, bundles: Iterable[Outcome]) -> list[Outcome]:
    """Return where the Deployment may read the bundle.

    That is in all ConfigMaps of its namespace, or in all there are if that has none.
    """
    outcomes = [o for o in bundles if o.consumer.kind == CONFIG_MAPS.kind]
    return [o for o in outcomes if o.consumer.namespace == deployment.namespace] or outcomes


def due(bundles: Iterable[Outcome], serial: int) -> bool:
    """Whether these hold the bundle that the authority `serial` leads."""
    return all(
        outcome.problem is None and outcome.signed is not None and outcome.signed.serial == serial
        for outcome in bundles
    )


def noted(deployment: Mapping[str, Any], name: str) -> set[str]:
    """Return what the annotation says, of the Deployment and of its template."""
    metas = (deployment["metadata"], deployment["spec"]["template"]["metadata"])
    found = ((meta.get("annotations") or {}).get(name) for meta in metas)
    return {value for value in found if value is not None}


@dataclass(frozen=True, slots=True)
class _Task:
    """`maps` is where the Deployment may read the bundle of the authority `serial`."""

    storage: StorageReference
    deployment: Consumer
    maps: Sequence[Consumer]
    serial: str
    first: bool


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
        *,
        first: bool,
    ) -> Report:
        """Restart the Deployments that have not been for the authority `serial`.

        Those for which its bundle has not been delivered yet are left out. Under an authority
        that is the `first` as far as is known, only those are that have a note of another, and
        one that does not exist yet is no problem.
        """
        deadline = self._clock.monotonic() + PATIENCE
        found: list[Outcome] = []
        listed = [*deployments(references)]
        self._polls.keep_only(storage.name, listed)
        for deployment in listed:
            maps = near(deployment, bundles)
            if due(maps, serial):
                names = tuple(outcome.consumer for outcome in maps)
                task = _Task(storage, deployment, names, f"{serial:x}", first)
                found.append(self._outcome(task, deadline))
        return report(self._polls, storage.name, tuple(found))

    def forget(self, storage: str) -> None:
        """The storage of this name is gone: remember nothing of it."""
        self._polls.forget(storage)

    def _outcome(self, task: _Task, deadline: float) -> Outcome:
        storage, deployment = task.storage.name, task.deployment
        version = f"{task.storage.uid} {task.serial}"
        known = self._polls.fresh(storage, deployment, version)
        if known is not None:
            return known
        if self._clock.monotonic() >= deadline:
            return pending(deployment, None)
        outcome = Outcome(deployment, None)
        try:
            self._attend(task)
        except (ApiError, ConnectionFailed) as error:
            if task.first and is_not_found(error):
                self._polls.good(storage, deployment, version, outcome)
                return outcome
            outcome = replace(outcome, problem=refusal(error, deployment, "restart"))
            self._polls.bad(storage, deployment, version, outcome)
            return outcome
        # Whoever makes it anew, or takes the annotation away, has rolled the pods by that.
        self._polls.settle(storage, deployment, version, outcome)
        return outcome

    def _attend(self, task: _Task) -> None:
        """Restart the Deployment if its pods may be older than the bundle, and note that."""
        to, wanted = task.deployment, {annotation(task.storage.name): task.serial}
        present = self._client.get(to.resource, to.name, to.namespace)
        known = noted(present, annotation(task.storage.name))
        if task.serial in known:
            return
        patch: dict[str, Any] = {"metadata": {"annotations": wanted}}
        rolls = bool(known) or (not task.first and self._is_older(present, task))
        if rolls:
            patch["spec"] = {"template": {"metadata": {"annotations": wanted}}}
        self._client.patch(to.resource, to.name, patch, namespace=to.namespace)
        where = f"{to.namespace}/{to.name}"
        wrote("restart" if rolls else "patch", to.kind, where, f"authority {task.serial}")

    def _is_older(self, deployment: Mapping[str, Any], task: _Task) -> bool:
        """Whether it was made before the last change of a bundle that it may read.

        Both times are the server's. A bundle also changes when an old authority leaves it: that
        may restart one too many, and never one too few.
        """
        made = datetime.fromisoformat(deployment["metadata"]["creationTimestamp"])
        times = (self._delivered_at(each, task.storage) for each in task.maps)
        return any(time is None or made <= time for time in times)

    def _delivered_at(self, bundle: Consumer, storage: StorageReference) -> datetime | None:
        try:
            present = self._client.get(bundle.resource, bundle.name, bundle.namespace)
        except ApiError as error:
            if is_not_found(error):
                return None  # It is about to be brought again.
            raise
        return applied_at(present, manager(storage))
