"""A storage's certificates from its first second on, against servers in memory."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from controller.certificates import DELIVERED
from controller.certifier import addresses
from controller.consumers.consumer import DEPLOYMENTS, Consumer, dump
from controller.consumers.polls import POLL
from controller.pki.lifetime import issued, renewal
from controller.pki.pem import is_signed_by
from controller.resources import (
    CONFIG_MAPS,
    ETCD_STORAGES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
)
from informers import ApiError, Resource
from tests.support.objects import CORE, NAME, NAMESPACE
from tests.support.tlsworld import (
    AUTHORITY,
    BUNDLE_A,
    FROM_NOTHING,
    PAIR_A,
    PAIR_B,
    RS,
    SERVICE,
    SERVING,
    STATUS,
    TlsWorld,
    listing,
)

Json = dict[str, Any]

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
FORBIDDEN = ApiError(
    403,
    "Forbidden",
    'secrets "client" is forbidden: User "u" cannot get resource "secrets" in API group "" in the'
    ' namespace "team-a"',
)


@pytest.fixture
def world() -> TlsWorld:
    return TlsWorld()


@pytest.fixture
def deployed(world: TlsWorld) -> TlsWorld:
    """Return a world where all is delivered, and one pod is ready whose gate cannot be seen."""
    world.settle()
    world.add_pod("a")
    world.settle()
    world.events.clear()
    return world


def test_from_nothing_each_object_is_written_once(world: TlsWorld) -> None:
    """No pod before what it serves by, and nobody gets anything before that is known."""
    assert world.reconcile() == [*FROM_NOTHING]
    assert not [call for call in world.others.calls if call.startswith("get ")]
    assert world.settle() == []
    assert world.condition()[:2] == ("True", "CertificatesDelivered")
    assert world.condition("Deployed")[0] == "True"
    assert world.status()["endpoint"].startswith("https://")
    assert world.news() == [
        ("EtcdStorageDeployed", "every object of this storage exists as desired")
    ]


def test_what_is_delivered_fits_together(deployed: TlsWorld) -> None:
    assert deployed.bundle == deployed.held_bundle() == (deployed.signer,)
    assert deployed.delivered == {BUNDLE_A, PAIR_A, PAIR_B}
    for consumer in (PAIR_A, PAIR_B):
        assert is_signed_by(deployed.pair(consumer), deployed.signer)
        uri = f"etcdstorage://{NAME}/{consumer.namespace}/{consumer.name}"
        assert deployed.clients.count(uri) == 1
    assert is_signed_by(deployed.leaf, deployed.signer)
    told = deployed.status()["certificates"]
    assert told["signing"]["serial"] == f"{deployed.signer.serial_number:x}"
    assert told["serving"]["serial"] == f"{deployed.leaf.serial_number:x}"
    assert [(client["namespace"], client["serial"]) for client in told["clients"]] == [
        (consumer.namespace, f"{deployed.pair(consumer).serial_number:x}")
        for consumer in (PAIR_A, PAIR_B)
    ]


def test_a_stop_before_any_write_issues_nothing_twice(world: TlsWorld) -> None:
    class Stop(Exception):  # noqa: N818 - no error: the program ends here
        pass

    written: list[str] = []
    for write in FROM_NOTHING[:6]:
        world.server.failures[write] = Stop()
        with pytest.raises(Stop):
            world.reconcile()
        written += world.server.writes[:-1]
        del world.server.failures[write]
        world.start()
    written += world.settle()
    assert sorted(written) == sorted(FROM_NOTHING)


def test_a_restart_writes_nothing(deployed: TlsWorld) -> None:
    deployed.bring(deployed.add_pod("a"))
    deployed.settle()
    told = deployed.status()["certificates"]
    assert "servedSerial" in told["serving"]
    deployed.gates.seen.clear()
    deployed.others.failures["get Secret team-a/client"] = FORBIDDEN
    deployed.certifying.clock.step(1000)
    assert deployed.reconcile() == [STATUS]
    before = deployed.status()
    assert before["certificates"] == told
    deployed.start()
    assert deployed.settle() == []
    assert deployed.status() == before


def test_time_alone_changes_nothing_before_a_renewal(deployed: TlsWorld) -> None:
    before = deployed.status()
    due = min(renewal(deployed.leaf), *(renewal(deployed.pair(c)) for c in (PAIR_A, PAIR_B)))
    while deployed.now + DAY < due:
        deployed.advance(DAY)
        assert deployed.reconcile() == []
    assert deployed.status() == before


def test_the_serving_pair_is_renewed_once_and_told_of_once(deployed: TlsWorld) -> None:
    old, signer = deployed.leaf, deployed.signer
    deployed.now = renewal(old) - SECOND
    deployed.settle()
    deployed.events.clear()
    assert deployed.leaf == old
    deployed.reconcile()
    assert deployed.again is not None
    assert deployed.again <= 1
    deployed.advance(SECOND)
    assert deployed.reconcile() == [f"patch Secret {SERVING}", STATUS]
    assert deployed.leaf != old
    assert deployed.signer == signer
    assert is_signed_by(deployed.leaf, signer)
    (event,) = deployed.news()
    assert event[0] == "CertificateRenewed"
    assert f"{deployed.leaf.serial_number:x}" in event[1]
    assert deployed.settle() == []
    assert deployed.news() == []


def test_a_clients_pair_is_renewed_and_no_other_object_is_touched(deployed: TlsWorld) -> None:
    old = deployed.pair(PAIR_A)
    deployed.now = renewal(old)
    deployed.certifying.clock.step(deployed.again or 0)
    written = deployed.settle()
    assert written.count("patch Secret team-a/client") == 1
    assert deployed.pair(PAIR_A) != old
    assert f"patch Secret {AUTHORITY}" not in written
    told = [message for reason, message in deployed.news() if reason == "CertificateRenewed"]
    assert len([message for message in told if "team-a/client" in message]) == 1


def lose_core_ca(world: TlsWorld) -> None:
    world.server.remove(CONFIG_MAPS, CORE.ca_config_map)


def take_service(world: TlsWorld) -> None:
    other = [{"kind": "Deployment", "name": "d", "uid": "another", "controller": True}]
    world.server.edit(SERVICES, SERVICE, lambda o: o["metadata"].update(ownerReferences=other))
    world.server.edit(SERVICES, SERVICE, lambda o: o["spec"].update(clusterIPs=["10.9.9.9"]))


def ask_for_the_impossible(world: TlsWorld) -> None:
    world.spec(reclaimPolicy="Recycle")


@pytest.mark.parametrize("happens", [lose_core_ca, take_service, ask_for_the_impossible])
def test_what_else_is_wrong_keeps_nothing_from_being_renewed(
    deployed: TlsWorld, happens: Callable[[TlsWorld], None]
) -> None:
    before = [deployed.leaf, deployed.pair(PAIR_A), deployed.pair(PAIR_B)]
    told = deployed.status()["certificates"]
    happens(deployed)
    deployed.settle()
    assert deployed.condition("Deployed")[0] == "False"
    assert deployed.condition()[0] == "True"
    assert deployed.status()["certificates"] == told
    deployed.advance(80 * DAY)
    assert f"patch Secret {SERVING}" in deployed.settle()
    after = [deployed.leaf, deployed.pair(PAIR_A), deployed.pair(PAIR_B)]
    assert not set(after) & set(before)


def test_a_service_that_is_away_changes_no_certificate(deployed: TlsWorld) -> None:
    before, leaf = deployed.status()["certificates"], deployed.leaf
    deployed.server.failures[f"create Service {SERVICE}"] = ApiError(403, "Forbidden", "quota")
    deployed.server.remove(SERVICES, SERVICE)
    with pytest.raises(ApiError):
        deployed.reconcile()
    assert deployed.status()["certificates"] == before
    deployed.server.failures.clear()
    deployed.settle()
    assert deployed.leaf == leaf
    moved = {"clusterIP": "10.0.0.8", "clusterIPs": ["10.0.0.8"]}
    deployed.server.edit(SERVICES, SERVICE, lambda o: o["spec"].update(moved))
    deployed.settle()
    assert deployed.leaf != leaf
    assert "10.0.0.8" in str(deployed.leaf.extensions)


def test_an_error_in_a_write_makes_nothing_of_the_status_flap(deployed: TlsWorld) -> None:
    before = deployed.status()
    deployed.server.failures[f"patch Secret {SERVING}"] = ApiError(403, "Forbidden", "quota")
    deployed.now = renewal(deployed.leaf)
    for _ in range(2):
        with pytest.raises(ApiError):
            deployed.reconcile()
    after = deployed.status()
    assert after["certificates"] == before["certificates"]
    assert deployed.condition()[0] == "True"
    assert deployed.condition("Deployed")[:2] == ("False", "WriteFailed")
    assert [reason for reason, _ in deployed.news()] == ["EtcdStorageDeployFailure"]
    deployed.server.failures.clear()
    deployed.settle()
    assert deployed.condition("Deployed")[0] == "True"


def test_pairs_are_delivered_even_if_another_object_cannot_be_written(
    deployed: TlsWorld,
) -> None:
    old = deployed.pair(PAIR_A)
    deployed.server.failures[f"patch ReplicaSet {RS}"] = ApiError(403, "Forbidden", "quota")
    deployed.spec(replicas=3)
    deployed.advance(80 * DAY)
    with pytest.raises(ApiError, match="quota"):
        deployed.reconcile()
    assert deployed.pair(PAIR_A) != old
    assert deployed.condition("Deployed")[:2] == ("False", "WriteFailed")
    clients = deployed.status()["certificates"]["clients"]
    assert clients[0]["serial"] == f"{deployed.pair(PAIR_A).serial_number:x}"


def test_what_needs_a_person_is_told_also_while_the_server_is_busy(deployed: TlsWorld) -> None:
    deployed.others.failures["get Secret team-b/client"] = FORBIDDEN
    deployed.certifying.clock.step(1000)
    deployed.settle()
    before = deployed.condition("Degraded")
    assert before[:2] == ("True", "ConsumerForbidden")
    deployed.server.failures[f"patch ReplicaSet {RS}"] = ApiError(503, "Unavailable", "busy")
    deployed.spec(replicas=3)
    with pytest.raises(ApiError, match="busy"):
        deployed.reconcile()
    assert deployed.condition("Deployed")[:2] == ("False", "WriteFailed")
    assert deployed.condition("Degraded") == before


@pytest.mark.parametrize("fails", [AUTHORITY, SERVING, RS])
def test_what_is_new_is_told_once_whatever_becomes_of_the_writes_after_it(
    deployed: TlsWorld, fails: str
) -> None:
    kind = "ReplicaSet" if fails == RS else "Secret"
    deployed.server.failures[f"patch {kind} {fails}"] = ApiError(409, "Conflict", "it changed")
    deployed.spec(replicas=3)
    deployed.rotate("now")
    for _ in range(3):
        with pytest.raises(ApiError, match="409 Conflict"):
            deployed.reconcile()
    deployed.server.failures.clear()
    deployed.settle()
    told = [r for r, _ in deployed.news() if r in {"AuthorityRotated", "CertificateRenewed"}]
    assert sorted(told) == ["AuthorityRotated", *["CertificateRenewed"] * 3]
    registry = CollectorRegistry()
    registry.register(deployed.reconciler.metrics)
    for kind, count in (("signing", 1), ("serving", 1), ("client", 2)):
        labels = {"storage": NAME, "kind": kind}
        name = "etcdproxy_certificate_renewals_total"
        assert registry.get_sample_value(name, labels) == count


# Rotations.


def test_a_rotation_is_one_write_to_each_and_everybody_believes_everybody(
    deployed: TlsWorld,
) -> None:
    old, pair = deployed.signer, deployed.pair(PAIR_A)
    deployed.rotate("now")
    written = deployed.settle()
    assert sorted(written) == sorted(
        [
            *(f"patch Secret {name}" for name in (AUTHORITY, SERVING)),
            *FROM_NOTHING[-3:],
            STATUS,
        ]
    )
    assert written.index(f"patch Secret {AUTHORITY}") < written.index(f"patch Secret {SERVING}")
    assert deployed.signer != old
    assert deployed.bundle == deployed.held_bundle() == (deployed.signer, old)
    assert is_signed_by(deployed.pair(PAIR_A), deployed.signer)
    assert deployed.pair(PAIR_A) != pair
    assert deployed.status()["certificates"]["rotation"] == "Retiring"
    reasons = [reason for reason, _ in deployed.news()]
    assert sorted(reasons) == ["AuthorityRotated", *["CertificateRenewed"] * 3]
    assert deployed.settle() == []


def test_a_token_is_honoured_once(deployed: TlsWorld) -> None:
    deployed.rotate("now")
    deployed.settle()
    signer = deployed.signer
    deployed.start()
    deployed.server.edit(ETCD_STORAGES, NAME, lambda o: o["metadata"].pop("annotations"))
    assert deployed.settle() == []
    assert deployed.signer == signer


def test_the_old_authority_goes_when_nothing_of_it_can_live_any_more(deployed: TlsWorld) -> None:
    old = deployed.signer
    deployed.rotate("now")
    deployed.settle()
    for span in (85 * DAY, *[DAY] * 30):
        deployed.advance(span)
        deployed.settle()
        if old not in deployed.bundle:
            break
    assert timedelta(days=90) < deployed.now - issued(deployed.signer) < timedelta(days=100)
    assert deployed.held_bundle() == deployed.bundle == (deployed.signer,)
    assert "rotation" not in deployed.status()["certificates"]


def test_deployments_are_restarted_once_per_new_authority(world: TlsWorld) -> None:
    meta = {"name": "api", "namespace": "team-a"}
    deployment = {"metadata": meta, "spec": {"template": {"metadata": {}}}}
    world.others.put(DEPLOYMENTS, deployment)
    world.spec(restartDeployments=[meta])
    patch = "patch Deployment team-a/api"

    def rolled_for() -> Json:
        template = world.others.peek(DEPLOYMENTS, "team-a", "api")["spec"]["template"]
        found: Json = template["metadata"].get("annotations", {})
        return found

    # That it has no need is noted on it, which rolls nothing.
    assert world.settle().count(patch) == 1
    assert rolled_for() == {}
    for lose in ((), (AUTHORITY,), (AUTHORITY, SERVING)):
        for name in lose:
            world.server.remove(SECRETS, name)
        if not lose:
            world.rotate("now")
        assert world.settle().count(patch) == 1
        assert [*rolled_for().values()] == [f"{world.signer.serial_number:x}"]
        world.start()
        assert world.settle() == []


def test_one_that_was_lost_goes_as_well_when_nothing_of_it_can_live_any_more(
    deployed: TlsWorld,
) -> None:
    deployed.spec(clientCertificateValidity="4000h")
    deployed.settle()
    deployed.spec(clientCertificateValidity="2160h")
    deployed.settle()
    old = deployed.signer
    deployed.server.remove(SECRETS, AUTHORITY)
    deployed.settle()
    status, reason, message = deployed.condition()
    assert (status, reason) == ("True", "Rotating")
    assert "has to be started again" in message
    # Somebody may have started with a pair that was good for so long.
    until = deployed.now + timedelta(hours=4000 + 50)
    deployed.advance(until - deployed.now - SECOND)
    deployed.settle()
    assert old in deployed.bundle
    deployed.advance(2 * SECOND)
    deployed.settle()
    assert deployed.held_bundle() == deployed.bundle == (deployed.signer,)
    assert deployed.condition()[:2] == ("True", "CertificatesDelivered")


# Clocks.


@pytest.mark.parametrize("years", [1, 4, 10])
def test_after_a_clock_that_was_years_ahead_all_is_good_by_itself(
    deployed: TlsWorld, years: int
) -> None:
    now = deployed.now
    deployed.advance(years * 365 * DAY)
    deployed.settle()
    deployed.events.clear()
    deployed.now = now
    deployed.certifying.clock.step(1000)
    deployed.settle()
    assert deployed.held_bundle() == deployed.bundle
    leaves = [deployed.leaf, *(deployed.pair(consumer) for consumer in (PAIR_A, PAIR_B))]
    for certificate in (deployed.signer, *leaves):
        assert certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
    assert all(is_signed_by(leaf, deployed.signer) for leaf in leaves)
    told = deployed.news()
    assert len([reason for reason, _ in told if reason == "CertificateRenewed"]) == 3
    assert all("begins in the future" in m for r, m in told if r == "AuthorityRotated")
    status, _, message = deployed.condition()
    assert (status, "has to be started again" in message) == ("True", years > 1)
    assert deployed.settle() == []
    # What the wrong clock made is forgotten as any other, and nothing is left of the jump.
    for _ in range(3):
        deployed.advance(60 * DAY)
        deployed.settle()
    assert all(each.not_valid_before_utc <= deployed.now for each in deployed.bundle)


def test_a_clock_that_is_years_behind_makes_nothing_and_is_told_of(deployed: TlsWorld) -> None:
    before, now = deployed.status()["certificates"], deployed.now
    bundle, pair = deployed.bundle, deployed.pair(PAIR_A)
    deployed.now = now - 2000 * DAY
    deployed.server.edit(PODS, "a", made_at("2026-01-02T03:04:05Z"))
    deployed.settle()
    status, reason, message = deployed.condition()
    assert (status, reason) == ("False", "ClockBehind")
    assert "Pod a, which the API server made at 2026-01-02T03:04:05Z" in message
    assert deployed.condition("Degraded")[:2] == ("True", "ClockBehind")
    deployed.rotate("now")
    assert f"patch Secret {AUTHORITY}" not in deployed.settle()
    assert (deployed.bundle, deployed.pair(PAIR_A)) == (bundle, pair)
    assert deployed.status()["certificates"] == before
    # Who leaves is cut off all the same.
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    assert "team-b" not in deployed.clients
    assert deployed.again is not None
    assert deployed.again <= 60
    deployed.now = now
    deployed.settle()
    assert deployed.condition()[:2] == ("True", "Rotating")
    assert bundle[0] in deployed.bundle


def test_nothing_begins_by_a_clock_that_is_behind(world: TlsWorld) -> None:
    now = world.now
    world.now = now - 2000 * DAY
    world.server.edit(SECRETS, CORE.certs_secret, made_at("2026-01-02T03:04:05Z"))
    world.server.edit(ETCD_STORAGES, NAME, made_at("2026-01-02T03:04:05Z"))
    world.settle()
    assert world.condition()[:2] == ("False", "ClockBehind")
    assert not world.server.all(REPLICA_SETS)
    world.now = now
    world.settle()
    assert world.condition()[0] == "True"


def made_at(time: str) -> Callable[[Json], None]:
    return lambda obj: obj["metadata"].update(creationTimestamp=time)


# Consumers that come and go.


def test_a_new_consumer_is_let_in_before_it_gets_anything(deployed: TlsWorld) -> None:
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    deployed.spec(**listing(BUNDLE_A, PAIR_A, PAIR_B))
    written = deployed.settle()
    assert written[:1] == [f"patch Secret {SERVING}"]
    assert "patch Secret team-b/client" in written
    assert "team-b" in deployed.clients


def test_a_consumer_that_is_listed_no_more_is_withdrawn_and_cut_off(deployed: TlsWorld) -> None:
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    assert f"patch Secret {SERVING}" in deployed.reconcile()
    assert deployed.held(PAIR_B) == {}
    assert "team-b" not in deployed.clients
    assert deployed.delivered == {BUNDLE_A, PAIR_A}
    (client,) = deployed.status()["certificates"]["clients"]
    assert client["namespace"] == "team-a"
    assert deployed.settle() == []


def test_who_cannot_be_withdrawn_is_cut_off_and_not_forgotten(deployed: TlsWorld) -> None:
    deployed.others.failures["get Secret team-b/client"] = FORBIDDEN
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    assert "team-b" not in deployed.clients
    assert PAIR_B in deployed.delivered
    status, reason, message = deployed.condition()
    assert (status, reason) == ("False", "ConsumerForbidden")
    assert "team-b/client" in message
    assert deployed.condition("Degraded")[:2] == ("True", "ConsumerForbidden")
    deployed.start()
    deployed.settle()
    assert PAIR_B in deployed.delivered
    assert deployed.again is not None
    deployed.others.failures.clear()
    deployed.certifying.clock.step(deployed.again)
    deployed.settle()
    assert deployed.held(PAIR_B) == {}
    assert deployed.delivered == {BUNDLE_A, PAIR_A}
    assert deployed.condition()[0] == "True"


def test_who_can_never_be_withdrawn_is_forgotten_by_the_way_that_the_message_tells(
    deployed: TlsWorld,
) -> None:
    deployed.others.failures["get Secret team-b/client"] = FORBIDDEN
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    note = f"annotation {DELIVERED} of Secret {NAMESPACE}/{SERVING}"
    assert f"take its entry out of the {note}" in deployed.condition()[2]
    left = {DELIVERED: dump(deployed.delivered - {PAIR_B})}
    deployed.server.edit(SECRETS, SERVING, lambda o: o["metadata"]["annotations"].update(left))
    deployed.settle()
    assert deployed.condition()[0] == "True"
    assert deployed.condition("Degraded")[0] == "False"
    assert deployed.delivered == {BUNDLE_A, PAIR_A}


def test_one_consumer_that_fails_holds_up_no_other(world: TlsWorld) -> None:
    for verb in ("patch", "get"):
        world.others.failures[f"{verb} Secret team-a/client"] = FORBIDDEN
    world.reconcile()
    assert is_signed_by(world.pair(PAIR_B), world.signer)
    assert world.condition()[:2] == ("False", "ConsumerForbidden")
    assert world.condition("Deployed")[0] == "True"
    assert [c["namespace"] for c in world.status()["certificates"]["clients"]] == ["team-b"]


def test_tls_that_is_taken_off_is_taken_from_everybody(deployed: TlsWorld) -> None:
    deployed.bring(deployed.add_pod("a"))
    deployed.settle()
    deployed.spec(**listing())
    deployed.settle()
    assert [deployed.held(consumer) for consumer in (BUNDLE_A, PAIR_A, PAIR_B)] == [{}, {}, {}]
    assert deployed.delivered == set()
    assert deployed.status()["endpoint"].startswith("http://")
    assert "certificates" not in deployed.status()
    assert "CertificatesReady" not in {c["type"] for c in deployed.status()["conditions"]}
    template = deployed.server.peek(REPLICA_SETS, RS)["spec"]["template"]
    assert SERVING not in str(template)
    assert deployed.gates.wanted == {}


def test_without_tls_what_cannot_be_taken_back_is_told_and_tried_again(deployed: TlsWorld) -> None:
    deployed.server.remove(PODS, "a")
    deployed.others.failures["get Secret team-b/client"] = FORBIDDEN
    deployed.spec(**listing())
    deployed.settle()
    assert deployed.delivered == {PAIR_B}
    assert deployed.condition("Degraded")[:2] == ("True", "ConsumerForbidden")
    assert deployed.again is not None
    assert deployed.again <= POLL
    deployed.others.failures.clear()
    deployed.certifying.clock.step(deployed.again)
    deployed.settle()
    assert deployed.delivered == set()
    assert deployed.condition("Degraded")[0] == "False"


def test_a_list_that_cannot_be_read_withdraws_nobody(deployed: TlsWorld) -> None:
    deployed.spec(caCertConfigMap="nonsense", clientCertSecret=[])
    deployed.settle()
    assert deployed.condition("Deployed")[:2] == ("False", "InvalidSpec")
    assert deployed.held_bundle() == (deployed.signer,)
    assert is_signed_by(deployed.pair(PAIR_B), deployed.signer)


# Secrets that others laid hands on.


@pytest.mark.parametrize("name", [AUTHORITY, SERVING])
def test_a_foreign_secret_of_our_name_is_not_touched(world: TlsWorld, name: str) -> None:
    foreign = {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {"theirs": "eA=="},
    }
    before = world.server.put(SECRETS, foreign)
    world.settle()
    assert world.server.peek(SECRETS, name) == before
    assert world.condition("Deployed")[:2] == ("False", "NameConflict")
    assert name in world.condition("Deployed")[2]
    assert not world.others.has(SECRETS, "team-a", "client")
    assert not world.server.all(REPLICA_SETS)


def test_for_a_new_storage_the_server_is_asked_only_what_stands_in_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, asked = TlsWorld(), list[str]()
    get = world.server.get

    def note(resource: Resource, name: str, namespace: str | None = None) -> Any:
        asked.append(name)
        return get(resource, name, namespace)

    monkeypatch.setattr(world.server, "get", note)
    world.reconcile()
    assert asked == []
    left = world.server.put(
        SECRETS, {"metadata": {"name": SERVING, "namespace": NAMESPACE}, "type": "Opaque"}
    )
    world.reconcile()
    assert asked == [SERVING]
    assert world.condition("Deployed")[:2] == ("False", "NameConflict")
    assert world.server.peek(SECRETS, SERVING) == left


@pytest.mark.parametrize("name", [AUTHORITY, SERVING])
def test_a_secret_without_our_label_gets_it_back(deployed: TlsWorld, name: str) -> None:
    before = deployed.server.peek(SECRETS, name)
    deployed.server.edit(SECRETS, name, lambda o: o["metadata"].pop("labels"))
    assert deployed.settle() == [f"patch Secret {name}"]
    after = deployed.server.peek(SECRETS, name)
    assert (after["data"], after["metadata"]["labels"]) == (
        before["data"],
        before["metadata"]["labels"],
    )


def emptied(world: TlsWorld) -> None:
    world.server.edit(SECRETS, AUTHORITY, lambda secret: secret.pop("data"))


def truncated(world: TlsWorld) -> None:
    data = world.server.peek(SECRETS, AUTHORITY)["data"]
    world.spoil(AUTHORITY, **{"tls.crt": data["tls.crt"][:-80]})


def swapped(world: TlsWorld) -> None:
    other = TlsWorld()
    other.reconcile()
    world.spoil(AUTHORITY, **other.server.peek(SECRETS, AUTHORITY)["data"])


def key_of_another(world: TlsWorld) -> None:
    other = TlsWorld()
    other.reconcile()
    world.spoil(AUTHORITY, **{"tls.key": other.server.peek(SECRETS, AUTHORITY)["data"]["tls.key"]})


@pytest.mark.parametrize("spoilt", [emptied, truncated, swapped, key_of_another])
def test_a_spoilt_authority_is_told_of_and_what_is_delivered_stays(
    deployed: TlsWorld, spoilt: Callable[[TlsWorld], None]
) -> None:
    before, good = deployed.status()["certificates"], deployed.server.peek(SECRETS, AUTHORITY)
    bundle, pair = deployed.held_bundle(), deployed.pair(PAIR_A)
    spoilt(deployed)
    broken = deployed.server.peek(SECRETS, AUTHORITY)
    assert deployed.settle() == [STATUS]
    deployed.advance(80 * DAY)
    assert deployed.settle() == []
    assert deployed.condition()[:2] == ("False", "AuthorityUnusable")
    assert deployed.condition("Degraded")[:2] == ("True", "AuthorityUnusable")
    assert deployed.condition("Deployed")[0] == "True"
    assert AUTHORITY in deployed.condition()[2]
    assert deployed.status()["certificates"] == before
    assert (deployed.held_bundle(), deployed.pair(PAIR_A)) == (bundle, pair)
    assert deployed.server.peek(SECRETS, AUTHORITY) == broken

    deployed.server.put(SECRETS, good)
    deployed.settle()
    assert deployed.condition()[0] == "True"
    assert deployed.pair(PAIR_A) != pair


def test_under_a_spoilt_authority_who_leaves_is_cut_off_all_the_same(deployed: TlsWorld) -> None:
    emptied(deployed)
    leaf = deployed.leaf
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    assert "team-b" not in deployed.clients
    assert "team-a" in deployed.clients
    assert deployed.delivered == {BUNDLE_A, PAIR_A}
    assert deployed.leaf == leaf


def test_without_a_usable_authority_no_pod_begins(world: TlsWorld) -> None:
    service = FROM_NOTHING[3]
    world.server.failures[service] = FORBIDDEN
    with pytest.raises(ApiError):
        world.reconcile()
    del world.server.failures[service]
    emptied(world)
    world.settle()
    assert not world.server.all(REPLICA_SETS)
    assert world.condition("Deployed")[:2] == ("False", "AuthorityUnusable")
    assert world.condition()[:2] == ("False", "AuthorityUnusable")


def test_a_deleted_authority_is_made_anew_and_pairs_wait_for_its_bundle(
    deployed: TlsWorld,
) -> None:
    uid = deployed.add_pod("a")
    deployed.bring(uid)
    deployed.settle()
    old, leaf, pair = deployed.signer, deployed.leaf, deployed.pair(PAIR_A)
    deployed.others.failures["get ConfigMap team-a/serving-ca"] = FORBIDDEN
    deployed.server.remove(SECRETS, AUTHORITY)
    deployed.settle()
    assert deployed.bundle == (deployed.signer, old)
    # Neither the consumers nor the gates are known to believe the new one.
    deployed.now = max(renewal(leaf), renewal(pair))
    deployed.settle()
    assert deployed.leaf == leaf
    assert deployed.pair(PAIR_A) == pair
    assert deployed.status()["certificates"]["rotation"] == "Delivering"

    deployed.others.failures.clear()
    deployed.certifying.clock.step(1000)
    deployed.reconcile()
    assert deployed.again == 0
    deployed.settle()
    assert deployed.held_bundle() == (deployed.signer, old)
    assert is_signed_by(deployed.leaf, deployed.signer)
    assert deployed.pair(PAIR_A) == pair

    deployed.bring(uid)
    deployed.settle()
    assert is_signed_by(deployed.pair(PAIR_A), deployed.signer)
    assert deployed.status()["certificates"]["rotation"] == "Retiring"


def test_what_a_deleted_authority_signed_stays_for_its_time(deployed: TlsWorld) -> None:
    """Who reads the bundle only when it starts has that long to start again."""
    uid = deployed.add_pod("a")
    deployed.bring(uid)
    deployed.settle()
    before = deployed.leaf, deployed.pair(PAIR_A), deployed.pair(PAIR_B)
    deployed.server.remove(SECRETS, AUTHORITY)
    for span in (timedelta(0), 50 * DAY):
        deployed.advance(span)
        deployed.settle()
        deployed.bring(uid)
        deployed.settle()
        assert (deployed.leaf, deployed.pair(PAIR_A), deployed.pair(PAIR_B)) == before
        assert deployed.condition()[0] == "True"
    deployed.advance(20 * DAY)
    deployed.settle()
    deployed.bring(uid)
    deployed.settle()
    for leaf in (deployed.leaf, deployed.pair(PAIR_A), deployed.pair(PAIR_B)):
        assert is_signed_by(leaf, deployed.signer)


def test_a_deleted_serving_secret_comes_back_under_the_same_authority(deployed: TlsWorld) -> None:
    signer, pair = deployed.signer, deployed.pair(PAIR_A)
    deployed.server.remove(SECRETS, SERVING)
    deployed.settle()
    assert (deployed.signer, deployed.pair(PAIR_A)) == (signer, pair)
    assert is_signed_by(deployed.leaf, signer)
    assert deployed.delivered == {BUNDLE_A, PAIR_A, PAIR_B}


@pytest.mark.parametrize("name", [AUTHORITY, SERVING])
@pytest.mark.parametrize("how", ["immutable", "being deleted"])
def test_what_cannot_be_stored_is_not_delivered(deployed: TlsWorld, name: str, how: str) -> None:
    gone = {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["their/finalizer"]}
    change: Json = {"metadata": gone} if how == "being deleted" else {}

    def stop(secret: Json) -> None:
        secret["metadata"].update(change.get("metadata", {}))
        if not change:
            secret["immutable"] = True

    before = deployed.status()["certificates"]
    deployed.server.edit(SECRETS, name, stop)
    deployed.settle()
    deployed.rotate("now")
    deployed.settle()
    reason = "AwaitingDeletion" if change else "ObjectImmutable"
    assert deployed.condition("Deployed")[:2] == ("False", reason)
    assert name in deployed.condition("Deployed")[2]
    assert deployed.held_bundle() == deployed.bundle
    told = {"EtcdStorageDeployFailure", *(["AuthorityRotated"] if name == SERVING else [])}
    assert {reason for reason, _ in deployed.news()} == told
    assert deployed.status()["certificates"] == before


def make_immutable(secret: Json) -> None:
    secret["immutable"] = True


def hold_deletion(secret: Json) -> None:
    secret["metadata"].update(
        deletionTimestamp="2026-01-02T03:04:05Z", finalizers=["their/finalizer"]
    )


def give_away(secret: Json) -> None:
    other = {"kind": "Deployment", "name": "d", "uid": "another", "controller": True}
    secret["metadata"]["ownerReferences"] = [other]


@pytest.mark.parametrize("stop", [make_immutable, hold_deletion, give_away])
def test_whatever_keeps_the_authority_from_being_written_who_leaves_is_cut_off(
    deployed: TlsWorld, stop: Callable[[Json], None]
) -> None:
    deployed.server.edit(SECRETS, AUTHORITY, stop)
    deployed.rotate("now")
    deployed.settle()
    authority, leaf = deployed.server.peek(SECRETS, AUTHORITY), deployed.leaf
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    assert deployed.held(PAIR_B) == {}
    assert "team-b" not in deployed.clients
    assert "team-a" in deployed.clients
    assert deployed.delivered == {BUNDLE_A, PAIR_A}
    assert deployed.leaf == leaf
    assert deployed.server.peek(SECRETS, AUTHORITY) == authority
    assert deployed.condition("Deployed")[0] == "False"
    assert deployed.settle() == []


@pytest.mark.parametrize("stop", [make_immutable, hold_deletion])
@pytest.mark.parametrize("days", [80, 1500])
def test_an_authority_that_cannot_be_replaced_signs_to_its_end(
    deployed: TlsWorld, stop: Callable[[Json], None], days: int
) -> None:
    signer, leaf, pair = deployed.signer, deployed.leaf, deployed.pair(PAIR_A)
    deployed.server.edit(SECRETS, AUTHORITY, stop)
    deployed.rotate("now")
    deployed.advance(days * DAY)
    deployed.settle()
    assert (deployed.signer, deployed.held_bundle()) == (signer, (signer,))
    assert leaf != deployed.leaf
    assert pair != deployed.pair(PAIR_A)
    for certificate in (deployed.leaf, deployed.pair(PAIR_A), deployed.pair(PAIR_B)):
        assert is_signed_by(certificate, signer)
        assert certificate.not_valid_after_utc > deployed.now
    reason = "ObjectImmutable" if stop is make_immutable else "AwaitingDeletion"
    assert deployed.condition("Deployed")[:2] == ("False", reason)
    deployed.reconcile()
    assert deployed.again is not None
    assert deployed.again > 0

    after = deployed.leaf
    deployed.now = signer.not_valid_after_utc
    deployed.settle()
    assert deployed.leaf == after
    assert deployed.settle() == []


def test_what_an_authority_that_cannot_be_written_signs_is_believed_to_its_end(
    deployed: TlsWorld,
) -> None:
    old = deployed.signer
    deployed.server.edit(SECRETS, AUTHORITY, make_immutable)
    deployed.rotate("now")
    deployed.spec(clientCertificateValidity="4800h")
    deployed.advance(80 * DAY)
    deployed.settle()
    end = deployed.pair(PAIR_A).not_valid_after_utc
    assert end == deployed.now + 200 * DAY
    deployed.spec(clientCertificateValidity="2160h")
    deployed.server.edit(SECRETS, AUTHORITY, lambda secret: secret.pop("immutable"))
    deployed.settle()
    assert deployed.signer != old
    deployed.now = end - SECOND
    deployed.settle()
    assert old in deployed.bundle


# What gates show.


def test_a_gate_that_serves_the_old_pair_is_waited_for_and_then_told_of(
    deployed: TlsWorld,
) -> None:
    uid = deployed.add_pod("a")
    deployed.settle()
    assert "servedSerial" not in deployed.status()["certificates"]["serving"]
    deployed.bring(uid)
    deployed.settle()
    old = f"{deployed.leaf.serial_number:x}"
    deployed.now = renewal(deployed.leaf)
    deployed.settle()
    serving = deployed.status()["certificates"]["serving"]
    assert (serving["servedSerial"], serving["serial"]) == (
        old,
        f"{deployed.leaf.serial_number:x}",
    )
    assert old != serving["serial"]
    assert deployed.condition("Progressing")[:2] == ("True", "ServingNewCertificates")
    assert deployed.condition()[0] == "True"

    deployed.reconcile()
    assert deployed.again is not None
    deployed.now += timedelta(minutes=10)
    deployed.settle()
    assert deployed.condition()[:2] == ("False", "NotServed")
    assert deployed.condition("Degraded")[:2] == ("True", "NotServed")

    deployed.bring(uid)
    deployed.settle()
    assert deployed.condition("Progressing")[0] == "False"
    assert deployed.condition()[0] == "True"
    serving = deployed.status()["certificates"]["serving"]
    assert serving["servedSerial"] == serving["serial"]


def test_a_new_consumer_is_told_to_be_ready_when_the_gates_let_it_in(deployed: TlsWorld) -> None:
    uid = deployed.add_pod("a")
    deployed.bring(uid)
    deployed.spec(**listing(BUNDLE_A, PAIR_A))
    deployed.settle()
    deployed.bring(uid)
    deployed.settle()
    assert deployed.condition()[:2] == ("True", "CertificatesDelivered")
    deployed.spec(**listing(BUNDLE_A, PAIR_A, PAIR_B))
    deployed.settle()
    assert deployed.held(PAIR_B)
    status, reason, message = deployed.condition()
    assert (status, reason) == ("False", "Delivering")
    assert message.startswith("1 pods")
    # It passes by itself.
    assert deployed.condition("Degraded")[0] == "False"
    deployed.bring(uid)
    deployed.settle()
    assert deployed.condition()[:2] == ("True", "CertificatesDelivered")


def test_the_gates_of_a_storage_that_is_gone_are_asked_no_more(deployed: TlsWorld) -> None:
    deployed.add_pod("a")
    deployed.settle()
    assert set(deployed.gates.wanted) == {NAME}
    deployed.server.remove(ETCD_STORAGES, NAME)
    deployed.reconcile()
    assert deployed.gates.wanted == {}


# Flags.


def test_where_tls_is_required_what_asks_for_none_is_refused_and_goes_on_serving() -> None:
    world = TlsWorld(**listing())
    world.settle()
    world.add_pod("a")
    world.settle()
    running = world.server.peek(REPLICA_SETS, RS)
    world.start(require_tls=True)
    assert world.settle() == [STATUS]
    status, reason, message = world.condition("Deployed")
    assert (status, reason) == ("False", "TLSRequired")
    assert "spec.caCertConfigMap" in message
    assert "spec.clientCertSecret" in message
    assert world.condition("Ready")[0] == "True"
    assert world.server.peek(REPLICA_SETS, RS) == running
    world.spec(**listing(BUNDLE_A, PAIR_A))
    world.settle()
    assert world.condition("Deployed")[0] == "True"
    assert SERVING in str(world.server.peek(REPLICA_SETS, RS)["spec"]["template"])


@pytest.mark.parametrize(
    ("service", "found"),
    [
        (None, None),
        ({}, ()),
        ({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}, ()),
        ({"spec": {"clusterIP": "10.0.0.7"}}, ("10.0.0.7",)),
        ({"spec": {"clusterIP": "b", "clusterIPs": ["b", "a"]}}, ("a", "b")),
    ],
)
def test_the_addresses_of_a_service(service: Json | None, found: tuple[str, ...] | None) -> None:
    assert addresses(service) == found


def test_one_pair_and_no_bundle_is_enough() -> None:
    alone = Consumer("Secret", "team-c", "only")
    world = TlsWorld(**listing(alone))
    world.settle()
    assert is_signed_by(world.pair(alone), world.signer)
    world.server.remove(SECRETS, AUTHORITY)
    world.settle()
    world.advance(70 * DAY)
    world.settle()
    assert is_signed_by(world.leaf, world.signer)
