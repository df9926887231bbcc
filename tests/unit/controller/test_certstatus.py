"""What a status tells of certificates: what is, what was seen last, and what is new."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.certificates import CertificateLook, Found, look, signed
from controller.certifier import Carried
from controller.certstatus import (
    PATIENCE,
    Certified,
    behind,
    certificates,
    delivered_news,
    overdue_at,
    problems,
    ready,
    stored_news,
    with_last,
)
from controller.consumers import Consumer, Outcome, Signed
from controller.dataplane.gate import clients_version
from controller.gatecerts import Served
from controller.pki.leaves import client_uri
from controller.pki.lifetime import NONE_YET
from controller.plan import Create, Delete, Patch
from controller.resources import SECRETS, SERVICES
from tests.support.objects import NAME, NAMESPACE, read

Json = dict[str, Any]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
END = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
MAP = Consumer("ConfigMap", "a", "bundle")
PAIR = Consumer("Secret", "a", "pair")
LISTS: Any = {"clientCertSecret": [{"namespace": n, "name": "pair"} for n in ("b", "a")]}
LISTED = clients_version(tuple(client_uri(NAME, where, "pair") for where in "ab"))
BAD = Problem("ConsumerForbidden", "may not")
HELD_UP = Problem("DeliveryPending", "its turn is next", passes=True)


@pytest.fixture(scope="module")
def seen() -> CertificateLook:
    return look(read(**LISTS), NAMESPACE, Found(None, None, ("10.0.0.7",)), (), NOW)


@pytest.fixture(scope="module")
def rotated(seen: CertificateLook) -> CertificateLook:
    token = {"annotations": {"etcd.xmudrii.com/rotate": "now"}}
    found = Found(seen.authority, seen.serving, ("10.0.0.7",))
    return look(read(**LISTS, meta=token), NAMESPACE, found, (), NOW)


def gate(serial: int, end: datetime = END, clients: str = LISTED) -> Served:
    return Served(serial, end, frozenset(), clients)


def serving(of: CertificateLook) -> int:
    assert of.leaf is not None
    return of.leaf.certificate.serial_number


def holding(
    consumer: Consumer, serial: int = 10, of: CertificateLook | None = None, **fields: Any
) -> Outcome:
    by = "another authority"
    if of is not None:
        assert of.trust is not None
        by = signed(of.trust.signer.certificate).by
    return Outcome(consumer, Signed(serial, END, by), **fields)


def test_where_nothing_was_decided_the_reason_stands_elsewhere() -> None:
    found = ready(Certified(None, Carried()), NOW)
    assert (found.status, found.reason) == (False, "CertificatesPending")
    assert "Deployed" in found.message
    assert certificates(Certified(None, Carried()), NOW) == {}


def test_an_authority_without_a_pair_yet_is_no_reason_to_be_ready() -> None:
    waiting = look(read(**LISTS), NAMESPACE, Found(None, None, None), (), NOW)
    assert ready(Certified(waiting, Carried()), NOW).reason == "CertificatesPending"
    assert set(certificates(Certified(waiting, Carried()), NOW)) == {"signing"}


@pytest.mark.parametrize("where", ["outcomes", "withdrawals", "restarts"])
def test_every_problem_is_told(seen: CertificateLook, where: str) -> None:
    failed: Any = {where: (Outcome(PAIR, None, BAD), Outcome(MAP, None, HELD_UP))}
    certified = Certified(seen, Carried(**failed))
    assert problems(certified, NOW) == (BAD, HELD_UP)
    found = ready(certified, NOW)
    assert (found.reason, found.message) == ("ConsumerForbidden", "may not; its turn is next")


def test_the_authoritys_own_problem_comes_first(seen: CertificateLook) -> None:
    own = Problem("AuthorityUnusable", "emptied")
    certified = Certified(CertificateLook(problem=own), Carried((Outcome(PAIR, None, BAD),)))
    assert ready(certified, NOW).reason == "AuthorityUnusable"
    assert ready(Certified(seen, Carried()), NOW).status


def test_a_gate_is_late_ten_minutes_after_the_issue(seen: CertificateLook) -> None:
    good, old = gate(serving(seen)), gate(1)
    for fine in ((), (None,), (good, None)):
        certified = Certified(seen, Carried(served=fine))
        assert (behind(certified), overdue_at(certified)) == ("", None)
        assert ready(certified, NOW + timedelta(days=1)).status
    certified = Certified(seen, Carried(served=(good, old, None)))
    assert behind(certified).startswith("1 pods")
    assert overdue_at(certified) == NOW + PATIENCE
    assert ready(certified, NOW + PATIENCE - timedelta(seconds=1)).status
    late = ready(certified, NOW + PATIENCE)
    assert (late.status, late.reason) == (False, "NotServed")
    assert [problem.passes for problem in problems(certified, NOW + PATIENCE)] == [False]


def test_of_what_several_gates_serve_that_which_ends_first_is_told(seen: CertificateLook) -> None:
    gates = (gate(2, END + timedelta(days=1)), None, gate(31, END))
    told = certificates(Certified(seen, Carried(served=gates)), NOW)["serving"]
    assert (told["servedSerial"], told["servedNotAfter"]) == ("1f", "2026-05-06T07:08:09Z")
    assert told["serial"] == f"{serving(seen):x}"


def test_the_stages_of_a_rotation(seen: CertificateLook, rotated: CertificateLook) -> None:
    def stage(of: CertificateLook, **carried: Any) -> Any:
        return certificates(Certified(of, Carried(**carried)), NOW).get("rotation")

    assert stage(seen) is None
    assert rotated.leaf is not None
    waits = replace(rotated, leaf=replace(rotated.leaf, waits=True))
    assert stage(waits) == "Delivering"
    for outcome in (Outcome(MAP, None, HELD_UP), holding(MAP, of=seen, problem=BAD)):
        assert stage(rotated, outcomes=(outcome,)) == "Delivering"
    # What it has is what it should have, whatever is wrong with it now.
    has_it = holding(MAP, of=rotated, problem=BAD)
    assert stage(rotated, outcomes=(has_it,), served=(gate(serving(seen)),)) == "Serving"
    assert stage(rotated, outcomes=(has_it,), served=(gate(serving(rotated)),)) == "Retiring"


def test_a_rotation_is_told_of_and_nothing_is_less_ready_for_it(
    seen: CertificateLook, rotated: CertificateLook
) -> None:
    def told(of: CertificateLook, **carried: Any) -> tuple[bool, str, str]:
        found = ready(Certified(of, Carried(**carried)), NOW)
        return found.status, found.reason, found.message

    assert told(seen) == (True, "CertificatesDelivered", "every bundle and pair is delivered")
    assert rotated.leaf is not None
    waits = replace(rotated, leaf=replace(rotated.leaf, waits=True))
    for of, carried, stage in (
        (waits, {}, "on its way to the consumers"),
        (rotated, {"served": (gate(serving(seen)),)}, "not yet to every gate"),
        (rotated, {}, "are trusted until 2026-04-04T05:04:05Z"),
    ):
        status, reason, message = told(of, **carried)
        assert (status, reason) == (True, "Rotating")
        assert stage in message
        assert "started again" not in message
    assert told(rotated, outcomes=(holding(MAP, problem=BAD),))[:2] == (False, BAD.reason)


def test_who_is_cut_off_is_told_to_start_again(rotated: CertificateLook) -> None:
    assert rotated.trust is not None
    formers = tuple(replace(former, cross=None) for former in rotated.trust.formers)
    lost = replace(rotated, trust=replace(rotated.trust, formers=formers))
    found = ready(Certified(lost, Carried()), NOW)
    assert (found.status, found.reason) == (True, "Rotating")
    assert "who was started before 2026-01-02T03:04:05Z" in found.message


def test_who_is_listed_is_not_let_in_before_the_gates_say_so(seen: CertificateLook) -> None:
    good, old = gate(serving(seen)), gate(serving(seen), clients="older")
    assert ready(Certified(seen, Carried(served=(good, None))), NOW).status
    found = ready(Certified(seen, Carried(served=(good, old, None))), NOW)
    assert (found.status, found.reason) == (False, "Delivering")
    assert found.message.startswith("1 pods go by an older list")
    # Somebody has to act on the other one.
    worse = Carried((Outcome(PAIR, None, BAD),), served=(old,))
    assert ready(Certified(seen, worse), NOW).reason == BAD.reason


def test_what_was_seen_last_is_told_until_something_else_is(seen: CertificateLook) -> None:
    full = Certified(seen, Carried((holding(PAIR),), served=(gate(7),)))
    last = certificates(full, NOW)
    storage = read(**LISTS, status={"certificates": last})
    # A controller that has just started, and may not read the Secret.
    blind = Certified(seen, Carried((Outcome(PAIR, None, BAD),), served=(None,)))
    assert with_last(certificates(blind, NOW), storage) == last
    news_ = Certified(seen, Carried((holding(PAIR, 11),), served=(gate(8),)))
    told = with_last(certificates(news_, NOW), storage)
    assert told == certificates(news_, NOW)
    assert told["clients"][0]["serial"] == "b"


def test_who_is_listed_no_more_is_told_of_no_more(seen: CertificateLook) -> None:
    last = certificates(Certified(seen, Carried((holding(PAIR),))), NOW)
    nobody = Certified(seen, Carried())
    storage = read(status={"certificates": last})
    assert "clients" not in with_last(certificates(nobody, NOW), storage)


def test_clients_are_told_in_the_order_of_the_spec(seen: CertificateLook) -> None:
    other = Consumer("Secret", "b", "pair")
    last = certificates(Certified(seen, Carried((holding(other),))), NOW)
    now = Certified(seen, Carried((Outcome(other, None, BAD), holding(PAIR), holding(MAP))))
    storage = read(**LISTS, status={"certificates": last})
    assert [client["namespace"] for client in certificates(now, NOW)["clients"]] == ["a"]
    found = with_last(certificates(now, NOW), storage)["clients"]
    assert [client["namespace"] for client in found] == ["b", "a"]


def test_a_rotation_that_is_over_is_told_of_no_more(
    seen: CertificateLook, rotated: CertificateLook
) -> None:
    last = certificates(Certified(rotated, Carried()), NOW)
    assert "rotation" in last
    storage = read(**LISTS, status={"certificates": last})
    assert "rotation" not in with_last(certificates(Certified(seen, Carried()), NOW), storage)


def test_what_takes_the_place_of_another_is_news_and_what_is_the_first_is_none(
    seen: CertificateLook, rotated: CertificateLook
) -> None:
    assert [*delivered_news((holding(PAIR, issued=NONE_YET), holding(MAP)))] == []
    ((kind, told),) = delivered_news((holding(PAIR, 31, issued="there is a new authority"),))
    assert kind == "client"
    assert "Secret a/pair" in told
    assert "serial 1f, good until 2026-05-06T07:08:09Z: there is a new authority" in told
    authority, pair = rotated.authority or {}, rotated.serving or {}
    assert [*stored_news(seen, Create(SECRETS, seen.authority or {}))] == []
    for write in (Patch(SECRETS, "another", {}), Create(SERVICES, authority)):
        assert [*stored_news(rotated, write)] == []
    assert [*stored_news(rotated, Delete(SECRETS, authority["metadata"]["name"], "u", "7"))] == []
    ((kind, told),) = stored_news(rotated, Create(SECRETS, authority))
    assert (kind, "etcd.xmudrii.com/rotate asks for it" in told) == ("signing", True)
    ((kind, told),) = stored_news(rotated, Patch(SECRETS, pair["metadata"]["name"], {}))
    assert (kind, f"{serving(rotated):x}" in told) == ("serving", True)
