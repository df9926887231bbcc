"""The authority for clients is changed in a core of three members, one at a time."""

import base64
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from controller.api.storage import CORE_FINALIZER, CORE_USER_OWNER, EtcdStorage
from controller.core import Trust, UserKeeper
from controller.core.client import CoreClient
from controller.coreusers import CoreUsers
from controller.pki import Authority, Pair
from controller.plan import Snapshot
from controller.resources import SECRETS
from controller.tenant import Tenant
from controller.userpair import PairMaker
from hack.cluster import pki
from hack.cluster.command import CommandError
from hack.dataplane import programs
from hack.dataplane.core import CoreEtcd
from tests.integration.core.conftest import QUICK, Told, access_of
from tests.support.eventually import eventually
from tests.support.objects import CLIENT_CA, NAMESPACE, core_secret, read
from workqueue import RealClock

NAMES = ("a", "b", "c")


class Hurried(RealClock):
    """A minute in two seconds: members that refuse are asked again soon."""

    def monotonic(self) -> float:
        return super().monotonic() * 30

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        return super().wait(event, timeout and timeout / 30)

    def wait_on(self, condition: threading.Condition, timeout: float | None) -> bool:
        return super().wait_on(condition, timeout and timeout / 30)


def _storage(name: str) -> EtcdStorage:
    status = {CORE_USER_OWNER: read(name).uid}
    return read(name, meta={"finalizers": [CORE_FINALIZER]}, status=status)


class Fleet:
    """Storages as reconciles see them, and their Secrets, with a client that uses those."""

    def __init__(self, core: CoreEtcd, keeper: UserKeeper) -> None:
        self.users = CoreUsers(keeper, PairMaker(NAMESPACE, CLIENT_CA), lambda: datetime.now(UTC))
        self.core = core
        self.secrets: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
        self.served = 0
        self.failures: list[str] = []
        self.calm = threading.Lock()
        """Held while a member is away, so that what fails fails for another reason."""
        self._stop = threading.Event()
        self._client = threading.Thread(target=self._serve, name="client")
        self.trust(core.certificates.client_ca)

    def __enter__(self) -> Self:
        self.settle()
        self._client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._client.join()

    def trust(self, authority: Authority) -> None:
        """Put it into the operator's Secret."""
        pair = authority.pair
        content = {"ca.pem": pair.cert_pem.decode(), "ca-key.pem": pair.key_pem.decode()}
        self.authority = core_secret(content, CLIENT_CA)

    def tenant(self, name: str) -> Tenant:
        objects = {SECRETS: self.secrets[name]} if name in self.secrets else {}
        snapshot = Snapshot(objects=objects, client_ca=self.authority)
        return self.users.tenant(_storage(name), snapshot, None)

    def reconcile(self) -> list[str]:
        """Look at every storage once; returns those that got a pair."""
        got = []
        for name in NAMES:
            secret = self.tenant(name).secret
            if secret is not None and secret != self.secrets.get(name):
                self.secrets[name] = secret
                got.append(name)
        self.written += got
        return got

    def settle(self, times: int = 1) -> None:
        """Reconcile until every storage has got a pair so many times.

        The core may be found to trust an authority between the looks at two of them.
        """
        eventually(lambda: not self.reconcile() and len(self.written) >= times * len(NAMES))
        assert sorted(self.written) == sorted(times * NAMES), "a pair was issued twice"

    def concerns(self) -> set[str]:
        """Return what Degraded would say of the authority, for every storage the same in time."""
        found = [self.tenant(name).concerns[:1] for name in NAMES]
        return {concern.reason for concerns in found for concern in concerns}

    def _serve(self) -> None:
        while not self._stop.is_set():
            for name in NAMES:
                with self.calm:
                    data = self.secrets[name]["data"]
                    pair = Pair(*(base64.b64decode(data[key]) for key in ("tls.crt", "tls.key")))
                    self._put(name, pair)

    def _put(self, name: str, pair: Pair) -> None:
        try:
            self.core.etcdctl(pair).run("put", f"/{name}/key", str(self.served))
            self.served += 1
        except CommandError as error:
            self.failures.append(str(error))

    def restart(self, index: int, *trusted: Authority) -> None:
        """Start one member again, which trusts these and its own from then on."""
        certificates = self.core.certificates
        bundle = [certificates.authority, certificates.client_ca, *trusted]
        with self.calm:
            self.core.stop_member(index)
            path = certificates.folder / "trusted.pem"
            path.write_bytes(b"".join(authority.cert_pem for authority in bundle))
            self.core.members[index].start()
            self.core.await_ready()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[CoreEtcd]:
    with CoreEtcd(tmp_path, programs.ensure(), auth=True, members=3) as running:
        yield running


@pytest.fixture
def fleet(core: CoreEtcd, told: Told) -> Iterator[Fleet]:
    pace = replace(QUICK, poll=60.0)
    keeper = UserKeeper(
        CoreClient, told.listeners, rng=random.Random(1), clock=Hurried(), pace=pace
    )
    keeper.start()
    keeper.use(access_of(core, core.certificates.root))
    with Fleet(core, keeper) as running:
        yield running
    assert keeper.stop()
    assert told.deaths == []


def test_pairs_are_renewed_once_every_member_trusts_their_authority_and_no_request_fails(
    core: CoreEtcd, fleet: Fleet
) -> None:
    before = dict(fleet.secrets)
    assert sorted(fleet.written) == [*NAMES]
    newer = pki.create("newer clients")

    fleet.trust(newer)
    for trusting in range(3):
        for _ in range(20):
            assert fleet.reconcile() == []
        eventually(lambda: fleet.concerns() == {"CoreClientCAUntrusted"})
        refusing = core.urls[trusting:]
        eventually(lambda urls=refusing: all(_names(fleet, url) for url in urls))  # type: ignore[misc]
        fleet.restart(trusting, newer)
        eventually(lambda gone=core.urls[trusting]: not _names(fleet, gone))  # type: ignore[misc]
    fleet.settle(times=2)
    eventually(lambda: fleet.concerns() == set())
    assert all(fleet.secrets[name] != before[name] for name in NAMES)

    served = fleet.served
    eventually(lambda: fleet.served >= served + 2 * len(NAMES))
    fleet.settle(times=2)
    assert fleet.failures == []


def _names(fleet: Fleet, url: str) -> bool:
    return any(url in concern.message for concern in fleet.tenant("a").concerns)


def test_a_member_that_is_away_holds_up_the_renewal_and_no_new_storage(
    core: CoreEtcd, fleet: Fleet
) -> None:
    newer = pki.create("newer clients")
    for index in range(3):
        fleet.restart(index, newer)
    with fleet.calm:
        core.stop_member(2)
        fleet.trust(newer)
        eventually(lambda: fleet.concerns() == {"CoreClientCAUnproven"})
        assert fleet.reconcile() == []
        missing = fleet.secrets.pop("c")
        eventually(lambda: fleet.reconcile() == ["c"])
        assert fleet.secrets["c"] != missing
        core.members[2].start()
        core.await_ready()
        fleet.settle(times=2)
    served = fleet.served
    eventually(lambda: fleet.served >= served + 2 * len(NAMES))
    assert fleet.failures == []


def test_a_controller_that_starts_proves_again_and_issues_nothing(
    core: CoreEtcd, fleet: Fleet, told: Told
) -> None:
    keeper = UserKeeper(CoreClient, told.listeners, rng=random.Random(2), pace=QUICK)
    keeper.start()
    restarted = replace(fleet.users, keeper=keeper)
    fleet.users = restarted
    for access in (
        replace(access_of(core, core.certificates.root), urls=("https://127.0.0.1:1",)),
        access_of(core, core.certificates.root),
    ):
        keeper.use(access)
        assert fleet.reconcile() == []
        eventually(lambda: keeper.core().problem or keeper.core().reachable)
        assert fleet.reconcile() == []
    by = restarted.pairs.authority(fleet.authority, datetime.now(UTC)).by
    assert by is not None
    candidate = restarted._candidate(by)
    eventually(lambda: keeper.trust(candidate).trust is Trust.FULL)
    assert fleet.reconcile() == []
    assert keeper.stop()
