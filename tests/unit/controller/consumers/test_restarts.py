"""Restarts by template annotation, once per authority."""

import random
from typing import Any

from controller.api.conditions import Problem
from controller.api.storage import ObjectReference, StorageReference
from controller.consumers.consumer import DEPLOYMENTS, Consumer, Signed
from controller.consumers.delivery import PATIENCE, SOON, Consumers, Outcome, Report
from controller.consumers.polls import JITTER, POLL
from controller.consumers.restarts import Restarts, annotation, due, near
from controller.resources import CONFIG_MAPS
from informers import ApiError
from tests.support.applyserver import ApplyServer
from tests.support.clock import FakeClock
from tests.support.deliveries import BUNDLE, END, OTHER, PAIR, STORAGE, bundle

API = ObjectReference("team-a", "api")
FAILED = Problem("DeliveryFailed", "no")


def delivered(serial: int, consumer: Consumer = BUNDLE, problem: Problem | None = None) -> Outcome:
    return Outcome(consumer, Signed(serial, END, "authority"), problem)


class World:
    def __init__(self, *deployments: ObjectReference) -> None:
        self.clock = FakeClock()
        self.server = ApplyServer(self.clock)
        self.restarts = self.started()
        for deployment in deployments:
            self.make(deployment)

    def make(self, deployment: ObjectReference = API) -> None:
        """Let somebody make a Deployment, or make it anew."""
        meta = {"namespace": deployment.namespace, "name": deployment.name}
        if self.server.has(DEPLOYMENTS, deployment.namespace, deployment.name):
            self.server.remove(DEPLOYMENTS, deployment.namespace, deployment.name)
        spec: dict[str, Any] = {"template": {"metadata": {}}}
        self.server.put(DEPLOYMENTS, {"metadata": meta, "spec": spec})

    def deliver(self, serial: int) -> None:
        """Bring the bundle of an authority to the ConfigMap, a minute later."""
        self.clock.step(60)
        consumers = Consumers(self.server.client, clock=self.clock, rng=random.Random(1))
        assert consumers.deliver(STORAGE, [bundle(f"CA {serial}", serial=serial)]).problems == ()
        self.server.calls.clear()

    def started(self) -> Restarts:
        return Restarts(self.server.client, clock=self.clock, rng=random.Random(1))

    def restart(
        self,
        serial: int,
        bundles: list[Outcome] | None = None,
        storage: StorageReference = STORAGE,
        *,
        first: bool = False,
    ) -> Report:
        bundles = [delivered(serial)] if bundles is None else bundles
        return self.restarts.restart(storage, [API], bundles, serial, first=first)

    def annotations(self) -> dict[str, Any]:
        """Return those of the template: by them the pods roll."""
        obj = self.server.peek(DEPLOYMENTS, API.namespace, API.name)
        return dict(obj["spec"]["template"]["metadata"].get("annotations", {}))

    def notes(self) -> dict[str, Any]:
        obj = self.server.peek(DEPLOYMENTS, API.namespace, API.name)
        return dict(obj["metadata"].get("annotations", {}))


def test_each_authority_restarts_once() -> None:
    world = World(API)
    report = world.restart(255)
    assert (report.problems, report.again) == ((), float("inf"))
    assert world.annotations() == world.notes() == {annotation(STORAGE.name): "ff"}
    writes = len(world.server.calls)
    world.clock.step(10 * POLL)
    world.restart(255)
    assert len(world.server.calls) == writes
    world.restart(256)
    assert world.annotations() == {annotation(STORAGE.name): "100"}


def test_after_a_start_of_ours_nothing_is_restarted_again() -> None:
    world = World(API)
    world.restart(1)
    world.server.calls.clear()
    world.restarts = world.started()
    world.restart(1)
    assert world.server.calls == ["get Deployment team-a/api"]


def test_two_storages_of_one_deployment_do_not_restart_it_in_turn() -> None:
    world = World(API)
    for _ in range(2):
        for serial, storage in ((1, STORAGE), (2, OTHER)):
            world.restarts = world.started()
            world.restart(serial, storage=storage)
    assert world.server.calls.count("patch Deployment team-a/api") == 2


def test_who_is_listed_no_more_is_forgotten() -> None:
    world = World()
    for number in range(5):
        api = ObjectReference("team-a", f"api-{number}")
        world.make(api)
        world.restarts.restart(STORAGE, [api], [delivered(1)], 1, first=False)
    polls = world.restarts._polls
    assert [one.name for one in polls._records[STORAGE.name]] == ["api-4"]
    world.restarts.restart(STORAGE, [], [delivered(1)], 1, first=False)
    assert polls._records == {}


def test_nothing_is_restarted_before_its_bundle_is_there() -> None:
    world = World(API)
    assert world.restart(2, [delivered(1)]).outcomes == ()
    assert world.restart(2, [delivered(2, problem=FAILED)]).outcomes == ()
    assert world.server.calls == []


def test_the_bundle_has_to_be_in_all_config_maps_of_the_namespace_or_in_all() -> None:
    api = Consumer("Deployment", "team-a", "api")
    second = Consumer("ConfigMap", "team-a", "second")
    far = Consumer("ConfigMap", "team-b", "far")
    assert due(near(api, [delivered(2), delivered(1, far), delivered(1, PAIR)]), 2)
    assert not due(near(api, [delivered(2), delivered(1, second)]), 2)
    assert not due(near(api, [delivered(2, far), Outcome(second, None)]), 2)
    elsewhere = Consumer("Deployment", "team-c", "api")
    assert not due(near(elsewhere, [delivered(2), delivered(1, far)]), 2)
    assert due(near(elsewhere, [delivered(2), delivered(2, far)]), 2)


def test_under_the_first_authority_it_is_only_noted_that_nothing_has_to_roll() -> None:
    world = World(API)
    assert world.restart(1, first=True).problems == ()
    assert (world.annotations(), world.notes()) == ({}, {annotation(STORAGE.name): "1"})


def test_an_authority_that_was_lost_with_all_that_was_known_of_it_counts() -> None:
    world = World(API)
    world.restart(1, first=True)
    world.restarts = world.started()
    world.restart(2, first=True)
    assert world.annotations() == world.notes() == {annotation(STORAGE.name): "2"}


def test_what_is_not_there_yet_under_the_first_authority_is_looked_for_later() -> None:
    world = World()
    report = world.restart(1, first=True)
    assert report.problems == ()
    assert 0 < report.again <= POLL * (1 + JITTER)
    world.make()
    world.clock.step(report.again)
    world.restart(1, first=True)
    assert world.notes() == {annotation(STORAGE.name): "1"}
    assert world.annotations() == {}


def test_what_was_made_anew_since_the_bundle_came_is_not_restarted() -> None:
    world = World(API)
    world.deliver(2)
    world.restart(2)
    world.clock.step(1)
    world.make()
    world.restarts = world.started()
    world.restart(2)
    assert (world.annotations(), world.notes()) == ({}, {annotation(STORAGE.name): "2"})
    world.deliver(3)
    world.restart(3)
    assert world.annotations() == {annotation(STORAGE.name): "3"}


def test_what_is_older_than_its_bundle_or_of_an_age_that_nobody_knows_is_restarted() -> None:
    world = World(API)
    world.deliver(2)
    world.restart(2)
    assert world.annotations() == {annotation(STORAGE.name): "2"}
    world.make()  # In the same second.
    world.restarts = world.started()
    world.restart(2)
    assert world.annotations() == {annotation(STORAGE.name): "2"}
    world.clock.step(60)
    world.make()
    world.server.remove(CONFIG_MAPS, BUNDLE.namespace, BUNDLE.name)
    world.restarts = world.started()
    world.restart(2)
    assert world.annotations() == {annotation(STORAGE.name): "2"}


def test_a_bundle_that_cannot_be_read_puts_the_decision_off() -> None:
    world = World(API)
    world.deliver(2)
    world.server.failures[f"get {BUNDLE}"] = ApiError(503, "ServiceUnavailable", "busy")
    assert len(world.restart(2).problems) == 1
    assert world.notes() == {}


def test_what_cannot_be_restarted_is_named_and_tried_again() -> None:
    world = World()
    report = world.restart(1)
    (problem,) = report.problems
    assert problem.reason == "ConsumerMissing"
    assert "Deployment team-a/api" in problem.message
    calls = len(world.server.calls)
    assert world.restart(1).problems == (problem,)
    assert len(world.server.calls) == calls
    forbidden = ApiError(403, "Forbidden", 'User "u" cannot patch resource "deployments"')
    world = World(API)
    world.server.failures["patch Deployment team-a/api"] = forbidden
    (problem,) = world.restart(1).problems
    assert "verbs: [get, patch]" in problem.message
    world.server.failures.clear()
    world.clock.step(report.again)
    assert world.restart(1).problems == ()
    world.restarts.forget(STORAGE.name)
    assert world.annotations() == {annotation(STORAGE.name): "1"}


def test_the_annotation_of_the_longest_name_is_a_valid_one() -> None:
    prefix, _, name = annotation("x" * 58).partition("/")
    assert len(name) <= 63
    assert len(prefix) <= 253


def test_slow_calls_leave_the_rest_to_the_next_turn() -> None:
    other = ObjectReference("team-a", "other")
    world = World(API, other)
    world.server.takes = PATIENCE
    bundles = [delivered(1)]
    report = world.restarts.restart(STORAGE, [API, other], bundles, 1, first=False)
    assert [outcome.problem is None for outcome in report.outcomes] == [True, False]
    assert report.again == SOON
    report = world.restarts.restart(STORAGE, [API, other], bundles, 1, first=False)
    assert report.problems == ()
