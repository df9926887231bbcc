"""Carries a storage's certificates to where they are used, and tells what became of them there."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from controller.api.storage import EtcdStorage, StorageReference
from controller.certificates import (
    DELIVERED,
    CertificateLook,
    Found,
    Stamp,
    deliveries,
    left,
    letting_in,
    look,
    remembering,
)
from controller.consumers import Consumer, Consumers, Outcome, Report, Restarts
from controller.dataplane.rolling import is_ready
from controller.gatecerts import Served
from controller.ownership import Claim, claim
from controller.pki.lifetime import NONE_YET
from controller.plan import Plan, Snapshot, plan_secrets
from controller.resources import CONFIG_MAPS, PODS, REPLICA_SETS, SECRETS, SERVICES
from controller.served import Wanted

_NOTHING = Report((), float("inf"))


class Gates(Protocol):
    """The part of `controller.served.ServedCertificates` that is used here; none of it waits."""

    def look(
        self, storage: str, pods: Iterable[Mapping[str, Any]], wanted: Wanted
    ) -> Mapping[str, Served]: ...
    def forget(self, storage: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a storage's certificates beyond its own Secrets.

    `served` has what was seen of each ready pod, None for one that has not been seen. In `again`
    seconds there is something to do.
    """

    outcomes: tuple[Outcome, ...] = ()
    withdrawals: tuple[Outcome, ...] = ()
    restarts: tuple[Outcome, ...] = ()
    served: tuple[Served | None, ...] = ()
    again: float = float("inf")


@dataclass(frozen=True, slots=True)
class Certifier:
    """Thread safe as long as no two callers share a storage."""

    namespace: str
    consumers: Consumers
    restarter: Restarts
    served: Gates
    _everywhere: dict[str, int] = field(default_factory=dict)
    """By storage: the serial of the authority whose bundle was seen in all ConfigMaps."""

    def withdraw(self, storage: EtcdStorage, snapshot: Snapshot) -> Report:
        """Take from those that left the storage's lists what they got.

        In the report one that is rid of all of it has no problem.
        """
        serving = snapshot.serving
        if serving is None or claim(serving, storage) not in {Claim.OWNED, Claim.ORPHAN}:
            return _NOTHING
        gone = left(storage, serving)
        if not gone:
            return _NOTHING
        secret = f"Secret {self.namespace}/{serving['metadata']['name']}"
        note = f"annotation {DELIVERED} of {secret}"
        return self.consumers.withdraw(_reference(storage), gone, note=note)

    def look(
        self,
        storage: EtcdStorage,
        snapshot: Snapshot,
        withdrawals: Iterable[Outcome],
        now: datetime,
    ) -> CertificateLook | None:
        """Decide on the storage's two Secrets; None where what gates serve by is not ours.

        A consumer that left the lists is let in no more, even while no authority can be written.
        """
        authority, serving = snapshot.authority, snapshot.serving
        gone = unfinished(withdrawals)
        if _is_foreign(serving, storage):
            return None
        if _is_foreign(authority, storage):
            there = (serving or {}).get("data")
            return CertificateLook(serving=letting_in(storage, self.namespace, there, gone))
        service = snapshot.objects.get(SERVICES)
        if _is_foreign(service, storage):
            service = None
        found = Found(
            authority,
            serving,
            addresses(service),
            self._everywhere.get(storage.name),
            max([(storage.created, f"EtcdStorage {storage.name}"), *made(snapshot)]),
        )
        seen = look(storage, self.namespace, found, gone, now)
        if not plan_secrets(storage, (authority, seen.authority)).is_stuck:
            return seen
        # Until that can be written all goes by what is there.
        stored = look(storage, self.namespace, replace(found, fixed=True), gone, now)
        return replace(stored, authority=seen.authority)

    def plan(
        self,
        storage: EtcdStorage,
        snapshot: Snapshot,
        seen: CertificateLook | None,
        withdrawals: Report,
    ) -> Plan:
        """Decide what the two Secrets need."""
        if seen is not None:
            return plan_secrets(
                storage, (snapshot.authority, seen.authority), (snapshot.serving, seen.serving)
            )
        if storage.tls or not withdrawals.outcomes:
            return Plan()
        rest = remembering(storage, self.namespace, unfinished(withdrawals.outcomes))
        return plan_secrets(storage, (snapshot.serving, rest))

    def carry(
        self,
        storage: EtcdStorage,
        snapshot: Snapshot,
        seen: CertificateLook | None,
        withdrawals: Report,
        now: datetime,
    ) -> Carried:
        """Deliver what the Secrets, which are written, say."""
        if seen is None or seen.trust is None or seen.leaf is None:
            return Carried(withdrawals=withdrawals.outcomes, again=withdrawals.again)
        signer = seen.trust.signer.certificate.serial_number
        leaf = seen.leaf.certificate.serial_number
        wanted = Wanted(leaf, frozenset({signer}), seen.clients)
        served = self._served(storage, snapshot, wanted)
        taken = bool(served) and all(s and signer in s.bundle_serials for s in served)
        # Nothing is delivered before there is a serving pair.
        first = seen.leaf.issued == NONE_YET
        delivered = self.consumers.deliver(
            _reference(storage), deliveries(storage, seen.trust, now, taken=taken, first=first)
        )
        again = min(delivered.again, withdrawals.again)
        if has_everywhere(delivered.outcomes, signer):
            self._everywhere[storage.name] = signer
            again = 0.0 if seen.leaf.waits else again
        restarted = self.restarter.restart(
            _reference(storage),
            storage.restart_deployments,
            delivered.outcomes,
            signer,
            first=not seen.trust.formers,
        )
        return Carried(
            delivered.outcomes,
            withdrawals.outcomes,
            restarted.outcomes,
            served,
            min(again, restarted.again),
        )

    def forget(self, storage: str) -> None:
        """The storage of this name is gone, or has no TLS any more."""
        self._everywhere.pop(storage, None)
        self.consumers.forget(storage)
        self.restarter.forget(storage)
        self.served.forget(storage)

    def _served(
        self, storage: EtcdStorage, snapshot: Snapshot, wanted: Wanted
    ) -> tuple[Served | None, ...]:
        ready = [pod for pod in snapshot.pods if is_ready(pod)]
        seen = self.served.look(storage.name, ready, wanted)
        return tuple(seen.get(pod["metadata"]["uid"]) for pod in ready)


def _is_foreign(obj: Mapping[str, Any] | None, storage: EtcdStorage) -> bool:
    return obj is not None and claim(obj, storage) is Claim.FOREIGN


def made(snapshot: Snapshot) -> Iterator[Stamp]:
    """Yield when the API server made each object of a storage, by its clock."""
    there = (
        *((resource.kind, obj) for resource, obj in snapshot.objects.items()),
        (REPLICA_SETS.kind, snapshot.replica_set),
        (SECRETS.kind, snapshot.authority),
        (SECRETS.kind, snapshot.serving),
        *((PODS.kind, pod) for pod in snapshot.pods),
    )
    for kind, obj in there:
        if obj is not None and (at := obj["metadata"].get("creationTimestamp")):
            yield datetime.fromisoformat(at), f"{kind} {obj['metadata']['name']}"


def addresses(service: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Return a Service's addresses in the cluster, () if it has none; None without one."""
    if service is None:
        return None
    spec = service.get("spec") or {}
    found = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return tuple(sorted(ip for ip in found if ip and ip != "None"))


def unfinished(withdrawals: Iterable[Outcome]) -> list[Consumer]:
    """Return who still has something that is to be taken away."""
    return [outcome.consumer for outcome in withdrawals if outcome.problem]


def has_everywhere(outcomes: Collection[Outcome], serial: int) -> bool:
    """Whether every ConfigMap holds the bundle of the authority `serial`."""
    bundles = [o for o in outcomes if o.consumer.kind == CONFIG_MAPS.kind]
    return all(o.problem is None and o.signed and o.signed.serial == serial for o in bundles)


def _reference(storage: EtcdStorage) -> StorageReference:
    return StorageReference(storage.name, storage.uid)
