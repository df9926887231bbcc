"""What a storage with TLS costs in writes, and that no certificate is made without need."""

from datetime import timedelta
from pathlib import Path

from controller.resources import ETCD_STORAGES
from tests.integration.controller.conftest import Pods
from tests.integration.controller.lives import Life, Lives
from tests.integration.controller.tlsstorages import issued, rotating

DAY = timedelta(days=1)


def test_each_object_is_written_once_and_before_what_goes_by_it(lives: Lives) -> None:
    name = lives.create()
    with lives.begin() as life:
        written = life.settle(name)
        status = f"PATCH etcdstorages/{name}/status"
        assert [write for write in written if write != status] == [
            f"POST secrets/etcd-ca-{name}",
            f"POST networkpolicies/etcd-{name}",
            f"POST poddisruptionbudgets/etcd-{name}",
            # Its addresses are part of the serving pair.
            f"POST services/etcd-{name}",
            f"POST secrets/etcd-serving-{name}",
            f"POST replicasets/etcd-rs-{name}",
            *[f"PATCH configmaps/{name}-ca"] * 2,
            *[f"PATCH secrets/{name}-pair"] * 2,
        ]
        assert written[10] == status
        # Then pods come, which the status counts.
        assert {*written[11:]} <= {status}
        assert life.poll(name) == []
        lives.delivered(name)
        assert [event.reason for event in life.events] == ["EtcdStorageDeployed"]


def test_each_renewal_and_rotation_writes_what_changes_once_and_is_told_once(lives: Lives) -> None:
    name = lives.create()
    lives.settle(name)
    pairs = [f"PATCH secrets/{name}-pair"] * 2
    status = f"PATCH etcdstorages/{name}/status"
    with lives.begin() as life:
        assert life.poll(name) == []
        lives.ahead += 70 * DAY
        renewal = [f"PATCH secrets/etcd-serving-{name}", *pairs, status]
        assert life.poll(name) == renewal
        assert told(life, "CertificateRenewed") == 3
        lives.api.patch(ETCD_STORAGES, name, rotating("now"))
        bundles = [f"PATCH configmaps/{name}-ca"] * 2
        authority, serving, *rest = life.poll(name)
        assert authority == f"PATCH secrets/etcd-ca-{name}"
        assert [serving, *rest] == [renewal[0], *bundles, *pairs, status]
        assert (told(life, "AuthorityRotated"), told(life, "CertificateRenewed")) == (1, 6)
        assert life.poll(name) == []
        assert len(life.events) == 7
        found = lives.delivered(name)
        assert found.storage.status["certificates"]["rotation"] == "Retiring"


def test_a_clock_that_jumps_by_a_day_loses_nothing_and_issues_nothing(
    lives: Lives, pods: Pods, tmp_path: Path
) -> None:
    name = lives.create()
    lives.settle(name)
    # That none is ready for a day would be worth telling.
    pods.make_ready(name)
    lives.settle(name)
    before = lives.delivered(name)
    with lives.begin() as life:
        life.settle(name)
        for ahead in (DAY, -DAY, DAY, 0 * DAY):
            lives.ahead = ahead
            assert life.poll(name) == []
            assert lives.settle(name) == []
    assert lives.delivered(name).serials == before.serials
    # Made by a clock that is a day ahead, what follows is good for everybody at once.
    lives.ahead = DAY
    lives.api.patch(ETCD_STORAGES, name, rotating("ahead"))
    lives.settle(name)
    rotated = lives.delivered(name)
    # A day behind it begins in the future: it is replaced once, and good for everybody as well.
    lives.ahead = -DAY
    assert f"PATCH secrets/etcd-ca-{name}" in lives.settle(name)
    assert lives.settle(name) == []
    replaced = lives.delivered(name).serials
    assert not set(replaced.values()) & set(rotated.serials.values())
    lives.ahead = 0 * DAY
    # By now a way leads to it from those before.
    assert lives.settle(name) == [f"PATCH etcdstorages/{name}/status"]
    found = lives.delivered(name)
    assert found.serials == replaced
    for consumer in lives.consumers:
        found.shake_hands(tmp_path, consumer)
        found.shake_hands(tmp_path, consumer, as_of=before)


def test_what_a_jump_lets_expire_is_made_anew_once_and_stays_when_the_clock_is_back(
    lives: Lives, pods: Pods, tmp_path: Path
) -> None:
    hour = {"servingCertificateValidity": "1h", "clientCertificateValidity": "1h"}
    name = lives.create(**hour, signingCertificateValidity="26h")
    lives.settle(name)
    pods.make_ready(name)
    lives.settle(name)
    old = lives.delivered(name)
    for jumps in range(2):
        lives.stored.clear()
        lives.ahead = DAY
        lives.settle(name)
        found = lives.delivered(name)
        new = issued(lives.stored)
        assert new == ({} if jumps else {of: [serial] for of, serial in found.serials.items()})
        lives.ahead = 0 * DAY
        assert lives.settle(name) == []
        for consumer in lives.consumers:
            found.shake_hands(tmp_path, consumer)
            found.shake_hands(tmp_path, consumer, as_of=old)


def test_years_pass_without_a_gap_and_leave_nothing_behind(lives: Lives) -> None:
    name = lives.create()
    signers = set()
    with lives.begin() as life:
        for _ in range(20):
            life.poll(name)
            found = lives.delivered(name)
            signers.add(found.signer.serial_number)
            assert len(found.trust.formers) <= 1
            lives.ahead += 40 * DAY
            # Until the next look all is good that a consumer has.
            assert all(leaf.not_valid_after_utc > lives.now for leaf in found.certificates)
    assert len(signers) >= 3


def told(life: Life, reason: str) -> int:
    return sum(event.reason == reason for event in life.events)
