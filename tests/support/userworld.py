"""A reconciler of storages that have users in the core, on a server in memory."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from controller.api.conditions import find_condition
from controller.coreusers import CoreUsers
from controller.events import KEYS_KEPT, Event, Subject
from controller.fights import Fights
from controller.resources import CONFIG_MAPS, ETCD_STORAGES, PODS, REPLICA_SETS, SECRETS
from controller.userpair import PairMaker
from tests.support.clock import FakeClock
from tests.support.corekeeper import CoreKeeper
from tests.support.memoryserver import MemoryServer
from tests.support.objects import (
    CLIENT_CA,
    NAME,
    NAMESPACE,
    client_ca,
    core_config_map,
    etcd_storage,
    pod,
)
from tests.support.reconcilers import reconciler

Json = dict[str, Any]

RS: Final = f"etcd-rs-{NAME}"
PAIR: Final = f"etcd-user-{NAME}"
STATUS: Final = f"patch EtcdStorage/status {NAME}"

_NOW: Final = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)


class UserWorld:
    """One storage, called NAME; the keeper works only when it is told to."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.keeper = CoreKeeper()
        self.clock = FakeClock()
        """By which what somebody keeps undoing is done again."""
        self.now = _NOW
        self.again: float | None = None
        self.told: list[tuple[str, str]] = []
        """What became of keys, as events."""
        users = CoreUsers(self.keeper, PairMaker(NAMESPACE, CLIENT_CA), lambda: self.now)
        made = reconciler(self.server, self, lambda: self.now, users)
        fights = Fights(self.server.client, NAMESPACE, self.clock)
        self.reconciler = replace(made, fights=fights)
        self.server.put(CONFIG_MAPS, core_config_map())
        self.server.put(SECRETS, client_ca(_NOW))
        self.server.put(ETCD_STORAGES, etcd_storage())

    def record(self, _storage: Subject, event: Event) -> None:
        """Take an event, as a Recorder."""
        if event.reason == KEYS_KEPT:
            self.told.append((event.type, event.reason))

    def reconcile(self, name: str = NAME) -> list[str]:
        """Look once; returns what was written."""
        self.server.writes.clear()
        self.again = self.reconciler.reconcile(name)
        return [*self.server.writes]

    def settle(self, name: str = NAME) -> None:
        """Let reconciler and keeper go on in turns until nothing is left to do."""
        for _ in range(8):
            written = self.reconcile(name)
            self.keeper.work()
        assert written == []

    def delete(self, *finalizers: str) -> None:
        """Let somebody delete the storage, which then has these finalizers as well."""

        def going(obj: Json) -> None:
            metadata = obj["metadata"]
            metadata["deletionTimestamp"] = "2026-01-02T03:04:05Z"
            metadata["finalizers"] = [*finalizers, *metadata.get("finalizers", [])]

        self.server.edit(ETCD_STORAGES, NAME, going)

    def add_pod(self, name: str) -> None:
        """Let the ReplicaSet have made a pod, which is ready."""
        replica_set = self.server.peek(REPLICA_SETS, RS)
        made = pod(name)
        made["metadata"]["labels"] = replica_set["spec"]["template"]["metadata"]["labels"]
        made["metadata"]["ownerReferences"][0].update(name=RS, uid=replica_set["metadata"]["uid"])
        self.server.put(PODS, made)

    def lose_sight_of_secret(self) -> None:
        """Take the pair's Secret out of the cache, as the end of our label on it would."""
        self.server.our_secrets.store.delete(self.server.peek(SECRETS, PAIR))

    def finalizers(self) -> list[str]:
        found: list[str] = self.server.peek(ETCD_STORAGES, NAME)["metadata"].get("finalizers", [])
        return found

    def status(self) -> Json:
        found: Json = self.server.peek(ETCD_STORAGES, NAME).get("status", {})
        return found

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = find_condition(self.status(), type_)
        assert found is not None
        return found["status"], found["reason"], found["message"]
