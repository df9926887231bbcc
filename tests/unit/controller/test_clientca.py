"""The authority for the core's clients, from its Secret to the storages: whole reconciles."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER
from controller.core import Trust, TrustLook
from controller.pki import Authority
from controller.resources import ETCD_STORAGES, REPLICA_SETS, SECRETS
from informers import ApiError
from tests.support.objects import CLIENT_CA, NAME, core_secret, etcd_storage
from tests.support.userworld import PAIR, RS, STATUS, UserWorld

Json = dict[str, Any]

DAY = timedelta(days=1)
REFUSED = TrustLook(Trust.REFUSED, ("https://core",))
TAKE_PAIR = f"patch Secret {PAIR}"


@pytest.fixture
def world() -> UserWorld:
    return UserWorld()


@pytest.fixture
def deployed(world: UserWorld) -> UserWorld:
    world.settle()
    world.add_pod("a")
    world.settle()
    return world


def put_authority(world: UserWorld, *, days: int = 1000, begins: timedelta = 0 * DAY) -> None:
    """Let the operator put another one into the Secret."""
    begin = world.now + begins
    pair = Authority.create("another", validity=days * DAY, now=begin).pair
    content = {"ca.pem": pair.cert_pem.decode(), "ca-key.pem": pair.key_pem.decode()}
    world.server.put(SECRETS, core_secret(content, CLIENT_CA))


def pair(world: UserWorld) -> Mapping[str, str]:
    found: Mapping[str, str] = world.server.peek(SECRETS, PAIR)["data"]
    return found


def test_an_authority_that_the_core_refuses_leaves_every_pair_alone(deployed: UserWorld) -> None:
    before = pair(deployed)
    deployed.keeper.trusts = REFUSED
    put_authority(deployed)
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition("Deployed")[0] == "True"
    status, reason, message = deployed.condition("Degraded")
    assert (status, reason) == ("True", "CoreClientCAUntrusted")
    assert CLIENT_CA in message
    assert "https://core" in message
    assert deployed.reconcile() == []
    deployed.now += 200 * DAY
    assert deployed.reconcile() == []
    assert pair(deployed) == before
    # The core was told of it, and the keeper has said so.
    deployed.keeper.trusts = TrustLook(Trust.FULL)
    assert deployed.reconcile() == [TAKE_PAIR, STATUS]
    assert deployed.condition("Degraded")[0] == "False"
    renewed = pair(deployed)
    assert renewed != before
    assert deployed.reconcile() == []
    assert pair(deployed) == renewed


def signer(world: UserWorld) -> str:
    """Whose key has signed the pair, as the status tells."""
    found: str = world.status()["coreClientCertificate"]["signedBy"]
    return found


def test_the_status_tells_the_old_authority_until_the_new_pair_is_stored(
    deployed: UserWorld,
) -> None:
    """By its key: both are called the same, as an operator's often are."""
    put_authority(deployed)
    deployed.settle()
    old = signer(deployed)
    put_authority(deployed)
    for trust in (Trust.UNKNOWN, Trust.REFUSED, Trust.DIVIDED, Trust.PARTIAL):
        deployed.keeper.trusts = TrustLook(trust, ("https://core",))
        deployed.settle()
        assert signer(deployed) == old
    deployed.keeper.trusts = TrustLook(Trust.FULL)
    deployed.server.failures[TAKE_PAIR] = ApiError(403, "Forbidden", "may not")
    with pytest.raises(ApiError):
        deployed.reconcile()
    assert signer(deployed) == old
    deployed.server.failures.clear()
    assert deployed.reconcile() == [TAKE_PAIR, STATUS]
    assert signer(deployed) != old
    deployed.server.remove(SECRETS, CLIENT_CA)
    deployed.server.remove(SECRETS, PAIR)
    deployed.settle()
    assert "coreClientCertificate" not in deployed.status()


def test_a_new_storage_is_served_by_a_core_of_which_some_member_takes_its_pair(
    world: UserWorld,
) -> None:
    world.keeper.trusts = TrustLook(Trust.DIVIDED, ("https://core",))
    world.settle()
    assert world.condition("Deployed")[0] == "True"
    assert world.condition("Degraded")[:2] == ("True", "CoreClientCAUntrusted")


@pytest.mark.parametrize("trust", [Trust.UNKNOWN, Trust.PARTIAL])
def test_what_is_not_proven_is_no_refusal_and_replaces_nothing(
    deployed: UserWorld, trust: Trust
) -> None:
    before = pair(deployed)
    deployed.keeper.trusts = TrustLook(trust, ("https://core",))
    assert deployed.reconcile() == [], "a restart"
    put_authority(deployed)
    deployed.settle()
    assert pair(deployed) == before
    told = deployed.condition("Degraded")[1]
    assert told == {Trust.PARTIAL: "CoreClientCAUnproven"}.get(trust, "AsExpected")


@pytest.mark.parametrize(
    ("trust", "away", "reason", "degraded"),
    [
        (Trust.UNKNOWN, False, "CoreUserPending", "False"),
        (Trust.UNKNOWN, True, "CoreUnreachable", "True"),
        (Trust.REFUSED, False, "CoreClientCAUntrusted", "True"),
        (Trust.UNSIGNED, False, "CoreClientCAUnusable", "True"),
    ],
)
def test_a_new_storage_waits_for_the_proof(
    world: UserWorld, trust: Trust, reason: str, degraded: str, *, away: bool
) -> None:
    world.reconcile()
    assert world.finalizers() == [CORE_FINALIZER]
    world.keeper.trusts = TrustLook(trust, ("https://core",))
    world.settle()
    assert world.keeper.users == {NAME}
    if away:
        world.keeper.lose()
    world.settle()
    assert world.condition("Deployed")[:2] == ("False", reason)
    assert world.condition("Degraded")[0] == degraded
    assert world.server.all(REPLICA_SETS) == []
    world.keeper.trusts = TrustLook(Trust.FULL)
    world.settle()
    assert world.condition("Deployed")[0] == "True"
    # That the core is away keeps what has a user and a pair from nothing.
    assert world.server.peek(REPLICA_SETS, RS)


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (Trust.UNKNOWN, "CoreUserPending"),
        (Trust.REFUSED, "CoreClientCAUntrusted"),
        (Trust.UNSIGNED, "CoreClientCAUnusable"),
    ],
)
def test_no_user_is_made_for_which_no_pair_could_be(
    world: UserWorld, trust: Trust, reason: str
) -> None:
    world.keeper.trusts = TrustLook(trust, ("https://core",))
    world.settle()
    assert world.condition("Deployed")[:2] == ("False", reason)
    assert world.finalizers() == []
    assert world.keeper.users == set()
    world.keeper.trusts = TrustLook(Trust.FULL)
    world.settle()
    assert world.keeper.users == {NAME}
    assert world.condition("Deployed")[0] == "True"


def test_a_user_is_claimed_again_whose_pair_is_there_without_the_authority(
    deployed: UserWorld,
) -> None:
    """As when a storage is deleted with --cascade=orphan and created again."""
    deployed.server.remove(SECRETS, CLIENT_CA)

    def unclaim(obj: Json) -> None:
        obj["metadata"]["finalizers"] = []
        obj["status"].pop(CORE_USER_OWNER)

    deployed.server.edit(ETCD_STORAGES, NAME, unclaim)
    deployed.keeper.forget(NAME)
    deployed.settle()
    assert deployed.finalizers() == [CORE_FINALIZER]
    assert deployed.condition("Deployed")[0] == "True"


def test_the_last_month_of_the_authority_is_told_once_and_stops_nothing(
    deployed: UserWorld,
) -> None:
    put_authority(deployed, days=400)
    deployed.settle()
    end = deployed.now + 400 * DAY
    deployed.now += 280 * DAY
    deployed.settle()
    assert deployed.condition("Degraded")[0] == "False"
    assert deployed.again == pytest.approx((90 * DAY).total_seconds())
    deployed.now += timedelta(seconds=deployed.again or 0)
    assert deployed.reconcile() == [STATUS]
    status, reason, message = deployed.condition("Degraded")
    assert (status, reason) == ("True", "CoreClientCAExpiring")
    assert f"{end:%Y-%m-%dT%H:%M:%SZ}" in message
    assert deployed.condition("Deployed")[0] == "True"
    for days in (1, 10, 18):
        deployed.now += days * DAY
        assert deployed.reconcile() == []
        assert deployed.again == (end - deployed.now).total_seconds()
    # New storages are served to the end as well.
    deployed.server.put(ETCD_STORAGES, etcd_storage("later"))
    deployed.settle("later")
    assert deployed.server.peek(SECRETS, "etcd-user-later")
    put_authority(deployed)
    assert deployed.reconcile() == [TAKE_PAIR, STATUS]
    assert deployed.condition("Degraded")[0] == "False"


def test_an_authority_that_begins_later_is_looked_at_then(deployed: UserWorld) -> None:
    before = pair(deployed)
    put_authority(deployed, begins=2 * DAY)
    deployed.settle()
    assert deployed.condition("Degraded")[1] == "CoreClientCAUnusable"
    assert 0 < (deployed.again or 0) <= 2 * 86400
    deployed.now += timedelta(seconds=deployed.again or 0)
    assert deployed.reconcile() == [TAKE_PAIR, STATUS]
    assert deployed.condition("Degraded")[0] == "False"
    assert pair(deployed) != before


def immutable(secret: Json) -> None:
    secret["immutable"] = True


def opaque(secret: Json) -> None:
    secret["type"] = "Opaque"


@pytest.mark.parametrize("change", [immutable, opaque])
def test_a_secret_that_cannot_be_changed_is_named_and_all_else_goes_on(
    deployed: UserWorld, change: Any
) -> None:
    secret = deployed.server.peek(SECRETS, PAIR)
    deployed.server.remove(SECRETS, PAIR)
    change(secret)
    deployed.server.put(SECRETS, secret)
    if change is immutable:
        deployed.settle()
        assert deployed.condition("Deployed")[0] == "True", "nothing has to change yet"
    put_authority(deployed)
    deployed.server.edit(ETCD_STORAGES, "etcd-name", lambda o: o["spec"].update(replicas=3))
    deployed.settle()
    for type_ in ("Deployed", "Degraded"):
        _, reason, message = deployed.condition(type_)
        assert reason == "ObjectImmutable"
        assert f"Secret {PAIR}" in message
        assert "delete it" in message
    assert pair(deployed) == secret["data"]
    assert deployed.server.peek(REPLICA_SETS, RS)["spec"]["replicas"] == 3
    deployed.server.remove(SECRETS, PAIR)
    deployed.settle()
    assert deployed.condition("Deployed")[0] == "True"
    assert deployed.condition("Degraded")[0] == "False"


def test_a_storage_that_is_refused_keeps_a_good_pair(deployed: UserWorld) -> None:
    def unreadable(obj: Json) -> None:
        obj["spec"] = {"reclaimPolicy": "Recycle"}

    before = pair(deployed)
    deployed.server.edit(ETCD_STORAGES, NAME, unreadable)
    assert deployed.reconcile() == [STATUS]
    assert deployed.condition("Deployed")[1] == "NotSupported"
    deployed.now += 300 * DAY
    assert deployed.reconcile() == [TAKE_PAIR, STATUS]
    renewed = pair(deployed)
    assert renewed != before
    deployed.keeper.trusts = REFUSED
    put_authority(deployed)
    assert deployed.reconcile() == [STATUS]
    assert "refuses certificates" in deployed.condition("Degraded")[2]
    assert pair(deployed) == renewed
