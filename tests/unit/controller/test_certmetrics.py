"""The metrics of certificates, read from the registry as a scrape reads them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from controller.api.conditions import Problem
from controller.certificates import CertificateLook, Found, look
from controller.certifier import Carried
from controller.certmetrics import KINDS, CertificateMetrics, ends
from controller.certstatus import PATIENCE, Certified, certificates
from controller.consumers import Consumer, Outcome, Signed
from controller.gatecerts import Served
from tests.support.objects import NAMESPACE, read

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LISTS: Any = {
    "caCertConfigMap": [{"namespace": "a", "name": "bundle"}],
    "clientCertSecret": [{"namespace": where, "name": "pair"} for where in "ab"],
}
BUNDLE = Consumer("ConfigMap", "a", "bundle")
PAIR = Consumer("Secret", "a", "pair")
ANOTHER = Consumer("Secret", "b", "pair")
RESTARTED = Consumer("Deployment", "a", "server")
FORBIDDEN = Problem("ConsumerForbidden", "the controller may not")
HELD_UP = Problem("DeliveryPending", "others take their time", passes=True)


class World:
    """One storage's certificates, as its reconciles see them."""

    def __init__(self) -> None:
        self.now = START
        self.metrics = CertificateMetrics(lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)
        self.storage = read(**LISTS)
        self.look = self.looked(None)

    def looked(self, before: CertificateLook | None) -> CertificateLook:
        """Look at what a look before this one had written."""
        there = (before.authority, before.serving) if before else (None, None)
        return look(self.storage, NAMESPACE, Found(*there, ("10.0.0.1",)), (), self.now)

    def observe(self, *outcomes: Outcome, **carried: Any) -> None:
        self.metrics.observe(self.storage, Certified(self.look, Carried(outcomes, **carried)))

    def pass_(self, time: timedelta, *outcomes: Outcome, **carried: Any) -> None:
        """Let time pass, and look again."""
        self.now += time
        self.look = self.looked(self.look)
        self.observe(*outcomes, **carried)

    def read(self, metric: str) -> dict[str, float]:
        """Return the storage's series of a metric, by kind."""
        name = f"etcdproxy_certificate_{metric}"
        values = {
            kind: self.registry.get_sample_value(name, {"storage": "etcd-name", "kind": kind})
            for kind in KINDS
        }
        return {kind: value for kind, value in values.items() if value is not None}


@pytest.fixture
def world() -> World:
    return World()


def delivered(consumer: Consumer, end: datetime, **fields: Any) -> Outcome:
    return Outcome(consumer, Signed(7, end, "an authority"), **fields)


def test_what_is_left_is_computed_when_it_is_read(world: World) -> None:
    late, soon = START + timedelta(days=90), START + timedelta(days=10)
    world.observe(
        delivered(BUNDLE, START),
        delivered(PAIR, late),
        delivered(ANOTHER, soon),
        Outcome(PAIR, None),
    )
    day = 86400.0
    assert world.read("seconds_left") == {
        "signing": 43800 * 3600,
        "serving": 90 * day,
        "client": 10 * day,
    }
    world.now += timedelta(days=11)
    assert world.read("seconds_left")["client"] == -day


def test_what_a_gate_still_serves_counts_as_long_as_it_does(world: World) -> None:
    soon = START + timedelta(hours=1)
    world.observe(served=(Served(7, soon, frozenset(), ""), None))
    assert world.read("seconds_left")["serving"] == 3600


def test_what_cannot_be_told_now_is_as_the_status_has_it(world: World) -> None:
    told = certificates(Certified(world.look, Carried()), world.now)
    world.storage = replace(world.storage, status={"certificates": told})
    world.look = CertificateLook(problem=Problem("AuthorityUnusable", "it was emptied"))
    world.observe()
    assert world.read("seconds_left") == {"signing": 43800 * 3600, "serving": 2160 * 3600}
    assert world.read("failures_total") == {"signing": 1, "serving": 0, "client": 0}


def test_after_a_start_the_status_tells_of_what_was_not_seen_yet(world: World) -> None:
    end = {"notAfter": "2026-01-02T04:04:05Z"}
    served = {"servedSerial": "1", "servedNotAfter": end["notAfter"]}
    client = {"namespace": "a", "name": "pair", "serial": "2", **end}
    last = {"serving": served, "clients": [client]}
    world.storage = replace(world.storage, status={"certificates": last})
    world.observe(Outcome(PAIR, None, FORBIDDEN))
    left = world.read("seconds_left")
    assert (left["serving"], left["client"]) == (3600, 3600)


def test_a_storage_that_never_had_any_is_told_to_fail(world: World) -> None:
    world.look = CertificateLook(problem=Problem("AuthorityUnusable", "another's"))
    world.observe()
    assert world.read("seconds_left") == {}
    assert world.read("failures_total")["signing"] == 1


def test_a_renewal_counts_when_it_is_told_and_no_look_does(world: World) -> None:
    world.observe(delivered(PAIR, START, issued="there was none yet"))
    assert world.read("renewals_total") == dict.fromkeys(KINDS, 0)
    for kind in ("serving", "client", "serving"):
        world.metrics.renewed(world.storage, kind)
    world.observe(delivered(PAIR, START, issued="most of its life is over"))
    assert world.read("renewals_total") == {"signing": 0, "serving": 2, "client": 1}


def test_a_failure_counts_once_until_it_is_over(world: World) -> None:
    def clients() -> float:
        return world.read("failures_total")["client"]

    failed, well = Outcome(PAIR, None, FORBIDDEN), delivered(PAIR, START)
    world.observe(failed)
    world.observe(Outcome(PAIR, None, replace(FORBIDDEN, message="another message")))
    assert clients() == 1
    # Held up meanwhile, it has not been well; another one has a failure of its own.
    world.observe(Outcome(PAIR, None, HELD_UP), Outcome(ANOTHER, None, HELD_UP))
    world.observe(failed, Outcome(ANOTHER, None, FORBIDDEN))
    assert clients() == 2
    world.observe(well)
    world.observe(failed)
    assert clients() == 3
    assert world.read("failures_total") == {"signing": 0, "serving": 0, "client": 3}


def test_what_every_kind_of_failure_counts_for(world: World) -> None:
    world.observe(
        Outcome(BUNDLE, None, FORBIDDEN),
        withdrawals=(Outcome(ANOTHER, None, FORBIDDEN),),
        restarts=(Outcome(RESTARTED, None, FORBIDDEN),),
    )
    assert world.read("failures_total") == {"signing": 2, "serving": 0, "client": 1}


def test_a_gate_that_serves_another_pair_is_a_failure_when_it_is_late(world: World) -> None:
    other = Served(7, START + timedelta(days=1), frozenset(), "")
    world.observe(served=(other,))
    world.pass_(PATIENCE - timedelta(seconds=1), served=(other,))
    assert world.read("failures_total")["serving"] == 0
    world.pass_(timedelta(seconds=1), served=(other, None))
    assert world.read("failures_total")["serving"] == 1
    world.pass_(timedelta(hours=1), served=(other, other))
    assert world.read("failures_total")["serving"] == 1


def test_series_go_with_their_storage(world: World) -> None:
    world.observe(delivered(PAIR, START))
    other = read("other", **LISTS)
    world.metrics.observe(other, Certified(world.look, Carried()))
    world.metrics.forget("etcd-name")
    world.metrics.forget("etcd-name")
    told = generate_latest(world.registry).decode()
    assert 'storage="etcd-name"' not in told
    assert told.count('storage="other"') == 8


def test_what_was_told_of_no_certificates() -> None:
    assert ends({}) == {}
    assert ends({"serving": {"serial": "7"}, "clients": []}) == {}
    # As somebody wrote it into the status by hand.
    assert ends({"serving": {"servedNotAfter": "0000-01-01T00:00:00Z"}}) == {}


def test_a_registry_takes_one_of_them(world: World) -> None:
    with pytest.raises(ValueError, match="etcdproxy_certificate"):
        world.registry.register(CertificateMetrics(lambda: START))
