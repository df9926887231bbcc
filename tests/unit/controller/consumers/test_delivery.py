"""Deliveries and withdrawals over time, against server-side apply in memory."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.consumers.consumer import NAMESPACES, Consumer, Content, Delivery
from controller.consumers.delivery import PATIENCE, SOON, Consumers, Report
from controller.consumers.polls import FIRST_RETRY, JITTER, POLL
from controller.resources import CONFIG_MAPS, SECRETS
from informers import ApiError, ConnectionFailed
from tests.support.applyserver import ApplyServer
from tests.support.clock import FakeClock
from tests.support.deliveries import (
    BUNDLE,
    PAIR,
    STORAGE,
    PairMaker,
    bundle,
    config_map,
    encoded,
)

FORBIDDEN = ApiError(403, "Forbidden", 'User "u" cannot get resource "secrets" in API group ""')
NO_NAMESPACE = ApiError(404, "NotFound", 'namespaces "team-a" not found')
NOTE = "annotation x of Secret y"
OTHER = Consumer("Secret", "team-b", "etcd-client")


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = ApplyServer(self.clock)
        self.server.put(NAMESPACES, {"metadata": {"name": "team-a"}})
        self.makes = PairMaker()
        self.consumers = Consumers(self.server.client, clock=self.clock, rng=random.Random(1))

    def deliver(self, *deliveries: Delivery) -> Report:
        wanted = deliveries or (bundle(), self.makes.delivery())
        return self.consumers.deliver(STORAGE, wanted)

    def withdraw(self, *consumers: Consumer) -> Report:
        return self.consumers.withdraw(STORAGE, consumers, note=NOTE)

    def calls(self) -> list[str]:
        calls, self.server.calls = self.server.calls, []
        return calls

    def pair(self, consumer: Consumer = PAIR) -> dict[str, Any]:
        data: dict[str, Any] = self.server.peek(SECRETS, consumer.namespace, consumer.name)["data"]
        return data


def first(world: World) -> tuple[Delivery, ...]:
    """Return what is delivered where nothing ever was."""
    return tuple(replace(each, first=True) for each in (bundle(), world.makes.delivery()))


def test_everything_is_brought_and_then_nothing_is_asked_until_a_poll() -> None:
    world = World()
    report = world.deliver()
    assert [outcome.consumer for outcome in report.outcomes] == [BUNDLE, PAIR]
    assert report.problems == ()
    assert [outcome.issued for outcome in report.outcomes] == ["", "there is none yet"]
    assert report.outcomes[1].signed is not None
    assert report.outcomes[1].signed.serial == 1
    assert len(world.calls()) == 4
    # Until then somebody looks whether the objects are still the same.
    assert report.again == math.inf
    for _ in range(3):
        again = world.deliver()
        assert [outcome.signed for outcome in again.outcomes] == [
            outcome.signed for outcome in report.outcomes
        ]
        assert [outcome.issued for outcome in again.outcomes] == ["", ""]
    assert world.calls() == []


def test_what_is_brought_for_the_first_time_is_written_without_a_look() -> None:
    world = World()
    assert world.deliver(*first(world)).problems == ()
    assert world.calls() == [f"patch {BUNDLE}", f"patch {PAIR}"]
    assert world.pair() == world.makes.pair(1)
    owners = world.server.peek(SECRETS, "team-a", "etcd-client")["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [STORAGE.uid]


def test_what_is_there_at_the_first_time_is_never_overwritten_unseen() -> None:
    world = World()
    theirs = {"serving-ca.crt": "theirs"}
    world.server.put(CONFIG_MAPS, config_map(theirs))
    world.deliver(world.makes.delivery())
    # As a start of the controller that remembers nothing.
    world.consumers = Consumers(world.server.client, clock=world.clock, rng=random.Random(2))
    world.calls()
    report = world.deliver(*first(world))
    assert [problem.reason for problem in report.problems] == ["ForeignContent"]
    assert world.server.peek(CONFIG_MAPS, "team-a", "etcd-serving-ca")["data"] == theirs
    assert world.pair() == world.makes.pair(1)
    assert [outcome.issued for outcome in report.outcomes] == ["", ""]
    assert world.calls() == [f"{verb} {of}" for of in (BUNDLE, PAIR) for verb in ("patch", "get")]


def test_a_right_that_is_missing_at_the_first_time_is_told_as_ever_after() -> None:
    world = World()
    patched = ApiError(403, "Forbidden", 'User "u" cannot patch resource "configmaps"')
    world.server.failures |= {f"patch {BUNDLE}": patched, f"get {BUNDLE}": FORBIDDEN}
    delivery = first(world)[0]
    (problem,) = world.deliver(delivery).problems
    assert "may not get it" in problem.message
    world.clock.step(POLL)
    assert world.deliver(replace(delivery, first=False)).problems == (problem,)


def test_an_object_made_in_advance_is_filled_at_the_first_time() -> None:
    world = World()
    world.server.put(CONFIG_MAPS, config_map({"mine": "x"}))
    assert world.deliver(*first(world)).problems == ()
    obj = world.server.peek(CONFIG_MAPS, "team-a", "etcd-serving-ca")
    assert obj["data"] == {"mine": "x", "serving-ca.crt": "CA 1"}
    assert "ownerReferences" not in obj["metadata"]


def test_a_poll_reads_and_writes_only_what_has_changed() -> None:
    world = World()
    world.deliver()
    world.calls()
    world.clock.step(POLL * (1 + JITTER))
    report = world.deliver()
    assert world.calls() == [
        "get ConfigMap team-a/etcd-serving-ca",
        "get Secret team-a/etcd-client",
    ]
    assert report.again >= POLL * (1 - JITTER)
    world.server.remove(SECRETS, "team-a", "etcd-client")
    world.clock.step(POLL * (1 + JITTER))
    assert world.deliver().outcomes[1].issued == "there is none yet"
    assert world.pair() == world.makes.pair(2)


def test_another_version_is_brought_at_once_and_to_nobody_else() -> None:
    world = World()
    world.deliver()
    world.calls()
    assert world.deliver(bundle("CA 2"), world.makes.delivery()).problems == ()
    assert world.calls() == [
        "get ConfigMap team-a/etcd-serving-ca",
        "patch ConfigMap team-a/etcd-serving-ca",
    ]


def test_what_is_to_be_renewed_before_the_poll_brings_it_forward() -> None:
    world = World()
    world.deliver()
    content = world.makes.content

    def soon(present: Mapping[str, str] | None) -> Any:
        kept = content(present)
        return type(kept)(kept.data, kept.signed, kept.issued, again=12.5)

    assert world.deliver(Delivery(PAIR, "soon", soon)).again == 12.5


def test_a_restart_issues_nothing_that_is_there() -> None:
    world = World()
    world.deliver()
    world.consumers = Consumers(world.server.client, clock=world.clock, rng=random.Random(2))
    report = world.deliver()
    assert [outcome.issued for outcome in report.outcomes] == ["", ""]
    assert world.pair() == world.makes.pair(1)


def test_one_that_fails_holds_up_no_other_and_is_tried_again_by_itself() -> None:
    world = World()
    world.server.failures["get Secret team-a/etcd-client"] = FORBIDDEN
    report = world.deliver(world.makes.delivery(), bundle(), world.makes.delivery(OTHER))
    (problem,) = report.problems
    assert problem.reason == "ConsumerForbidden"
    assert report.outcomes[0].signed is None
    assert 0 < report.again <= FIRST_RETRY
    assert world.pair(OTHER) == world.makes.pair(1)
    world.calls()
    assert world.deliver(world.makes.delivery(), bundle()).problems == (problem,)
    assert world.calls() == []
    world.server.failures.clear()
    world.clock.step(report.again)
    assert world.deliver(world.makes.delivery(), bundle()).problems == ()
    assert world.calls()[0] == "get Secret team-a/etcd-client"


def test_a_renewal_that_fails_is_told_beside_what_was_there() -> None:
    world = World()
    world.deliver()
    world.makes.authority = 2
    world.server.failures["patch Secret team-a/etcd-client"] = ApiError(422, "Invalid", "no")
    outcome = world.deliver().outcomes[1]
    assert outcome.problem is not None
    assert outcome.signed is not None
    assert outcome.signed.serial == 1
    assert outcome.issued == ""


def test_what_was_written_though_the_answer_was_lost_is_kept() -> None:
    world = World()

    lost = ConnectionFailed("https://api", "reset", dropped=True)
    patch = world.server.patch

    def losing(*arguments: Any, **options: Any) -> Any:
        patch(*arguments, **options)
        raise lost

    world.server.patch = losing  # type: ignore[method-assign]
    assert world.deliver(world.makes.delivery()).problems[0].passes
    world.server.patch = patch  # type: ignore[method-assign]
    world.clock.step(FIRST_RETRY)
    assert world.deliver(world.makes.delivery()).problems == ()
    assert world.pair() == world.makes.pair(1)


def test_an_object_that_came_or_changed_meanwhile_is_read_again() -> None:
    world = World()

    def created() -> None:
        world.server.put(CONFIG_MAPS, config_map({"mine": "x"}))

    def changed() -> None:
        world.server.edit(
            *(CONFIG_MAPS, "team-a", "etcd-serving-ca"),
            lambda obj: obj["data"].update(other="y"),
        )

    world.server.before_apply += [created, changed]
    assert world.deliver(bundle()).problems == ()
    obj = world.server.peek(CONFIG_MAPS, "team-a", "etcd-serving-ca")
    assert obj["data"] == {"mine": "x", "other": "y", "serving-ca.crt": "CA 1"}
    assert "ownerReferences" not in obj["metadata"]


def test_foreign_content_that_came_meanwhile_is_not_overwritten() -> None:
    world = World()
    theirs = config_map({"serving-ca.crt": "theirs"})
    world.server.before_apply.append(lambda: world.server.put(CONFIG_MAPS, theirs))
    (problem,) = world.deliver(bundle()).problems
    assert problem.reason == "ForeignContent"
    data = world.server.peek(CONFIG_MAPS, "team-a", "etcd-serving-ca")["data"]
    assert data == {"serving-ca.crt": "theirs"}


def test_what_does_not_stay_as_it_is_written_is_told_and_written_ever_more_rarely() -> None:
    world = World()
    signed_by = "etcd.xmudrii.com/certificate-signed-by"
    world.server.webhook = lambda obj: obj["metadata"]["annotations"].update({signed_by: "x"})
    for _ in range(12):
        report = world.deliver(bundle())
        (problem,) = report.problems
        assert problem.reason == "ForeignContent"
        assert signed_by in problem.message
        calls = world.calls()
        assert calls.count(f"patch {BUNDLE}") == 1
        assert world.deliver(bundle()).problems == (problem,)
        assert world.calls() == []
        world.clock.step(report.again)
    assert report.again >= POLL * (1 - JITTER)
    world.server.webhook = lambda _: None
    assert world.deliver(bundle()).problems == ()


def test_an_object_that_changes_all_the_time_is_given_up_until_later() -> None:
    world = World()
    world.deliver(bundle())
    counter = iter(range(100))

    def change() -> None:
        text = str(next(counter))
        world.server.edit(
            *(CONFIG_MAPS, "team-a", "etcd-serving-ca"),
            lambda obj: obj["data"].update(mine=text),
        )

    world.server.before_apply += [change] * 10
    (problem,) = world.deliver(bundle("CA 2")).problems
    assert (problem.reason, problem.passes) == ("DeliveryFailed", True)
    assert len(world.server.before_apply) == 7


def test_content_that_nobody_understands_holds_up_no_other() -> None:
    def broken(_: object) -> Content:
        raise LookupError("-----BEGIN PRIVATE KEY-----")

    world = World()
    report = world.deliver(Delivery(PAIR, "1", broken), bundle())
    assert [outcome.problem is None for outcome in report.outcomes] == [False, True]
    (problem,) = report.problems
    assert problem.message == f"{PAIR}: cannot be made sense of (LookupError): delete it"


def test_slow_calls_leave_the_rest_to_the_next_turn() -> None:
    world = World()
    world.server.takes = PATIENCE
    report = world.deliver()
    assert [outcome.problem is None for outcome in report.outcomes] == [True, False]
    (problem,) = report.problems
    assert (problem.reason, problem.passes) == ("DeliveryPending", True)
    assert report.again == SOON
    report = world.deliver(bundle(), world.makes.delivery())
    assert report.outcomes[1].problem is None


def test_a_missing_namespace_is_told_where_it_may_be_asked_for() -> None:
    world = World()
    world.server.failures |= {
        "get Secret team-a/etcd-client": FORBIDDEN,
        "get team-a": NO_NAMESPACE,
    }
    (problem,) = world.deliver(world.makes.delivery()).problems
    assert problem.reason == "NamespaceMissing"
    for refused in (FORBIDDEN, ConnectionFailed("https://api", "reset")):
        world.server.failures["get team-a"] = refused
        world.clock.step(POLL)
        (problem,) = world.deliver(world.makes.delivery()).problems
        assert problem.reason == "ConsumerForbidden"


def test_a_withdrawal_takes_all_away_and_is_done_then() -> None:
    world = World()
    world.deliver()
    report = world.withdraw(BUNDLE, PAIR)
    assert report.problems == ()
    assert [outcome.signed for outcome in report.outcomes] == [None, None]
    assert world.pair() == {}
    assert world.deliver().outcomes[1].issued == "the one there is no good"


@pytest.mark.parametrize("namespace", [NO_NAMESPACE, FORBIDDEN])
def test_what_cannot_be_withdrawn_stays_and_is_tried_again(namespace: ApiError) -> None:
    world = World()
    world.deliver()
    world.server.failures |= {
        "get Secret team-a/etcd-client": FORBIDDEN,
        "get team-a": namespace,
    }
    report = world.withdraw(BUNDLE, PAIR)
    left = [outcome.consumer for outcome in report.outcomes if outcome.problem]
    assert left == ([PAIR] if namespace is FORBIDDEN else [])
    if left:
        assert NOTE in report.problems[0].message
        assert 0 < report.again <= FIRST_RETRY
        world.calls()
        assert world.withdraw(*left).problems == report.problems
        assert world.calls() == []


def test_one_that_is_gone_is_withdrawn() -> None:
    assert World().withdraw(BUNDLE, PAIR).problems == ()


def test_a_withdrawn_consumer_that_comes_back_is_delivered_to() -> None:
    world = World()
    world.deliver()
    world.withdraw(PAIR)
    world.deliver()
    assert world.pair() == world.makes.pair(2)


def test_what_is_forgotten_is_looked_at_anew() -> None:
    world = World()
    world.deliver()
    world.consumers.forget(STORAGE.name)
    world.calls()
    world.deliver()
    assert len(world.calls()) == 2


def _refuse(world: World) -> None:
    words = f"denied: {world.makes.pair(1)['tls.key']}"
    world.server.failures["patch Secret team-a/etcd-client"] = ApiError(400, "BadRequest", words)


@pytest.mark.parametrize("happens", [lambda _: None, _refuse])
def test_no_key_is_in_a_log_an_outcome_or_a_problem(happens: Callable[[World], None]) -> None:
    world = World()
    happens(world)
    with capture_logs() as logs:
        report = world.deliver()
    assert logs
    for key in (world.makes.pair(1)["tls.key"], "private key 1", encoded("private key 1")[:16]):
        assert key not in repr((logs, report))
        assert key not in "".join(problem.message for problem in report.problems)


def test_a_key_that_is_withdrawn_is_told_to_nobody() -> None:
    """It is good until its end, and a policy may quote what was there before."""
    world = World()
    world.deliver()
    _refuse(world)
    with capture_logs() as logs:
        report = world.withdraw(PAIR)
    assert [problem.reason for problem in report.problems] == ["DeliveryFailed"]
    assert world.makes.pair(1)["tls.key"] not in repr((logs, report))


def test_a_failure_is_logged_once() -> None:
    world = World()
    world.server.failures["get Secret team-a/etcd-client"] = FORBIDDEN
    with capture_logs() as logs:
        for _ in range(3):
            world.deliver(world.makes.delivery())
            world.clock.step(POLL)
    assert [entry["event"] for entry in logs] == ["not_delivered"]
