"""The Lease that is fought for, as client-go's resourcelock has it."""

from datetime import datetime
from typing import Any, Final, Protocol
from uuid import uuid4

from controller.api.times import rfc3339
from controller.leaderelection.record import LeaderElectionRecord, Lease
from controller.resources import EVENTS, LEASES
from informers import ApiError, Client
from informers.errors import is_not_found

LEADER_ELECTION: Final = "LeaderElection"
"""The reason of events, as in client-go."""


class Lock(Protocol):
    """Reads and writes one lease; all calls raise `ApiError` or `ConnectionFailed`."""

    def get(self) -> Lease | None:
        """Read it; None if there is none."""
        ...

    def create(self, record: LeaderElectionRecord) -> Lease:
        """Make it; refused if it is there."""
        ...

    def update(self, record: LeaderElectionRecord, resource_version: str) -> Lease:
        """Write it; refused unless it is still of this version."""
        ...

    def record_event(self, message: str, now: datetime) -> None:
        """Send an event about it."""
        ...

    def close(self) -> None:
        """Cut the calls that are under way; every call fails from now on."""
        ...


class LeaseLock:
    """A Lease of the API server. `client` is used for nothing else, and closed with this.

    No other calls may hold those up by which a leader stays one; and whatever a call waits for,
    the client's timeout bounds it. Labels, annotations and fields of the spec that are not ours
    stay as they are.
    """

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._uid = ""

    def get(self) -> Lease | None:
        try:
            return self._seen(self._client.get(LEASES, self._name, self._namespace))
        except ApiError as error:
            if is_not_found(error):
                return None
            raise

    def create(self, record: LeaderElectionRecord) -> Lease:
        metadata = {"name": self._name, "namespace": self._namespace}
        obj: dict[str, Any] = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": record.spec(),
        }
        return self._seen(self._client.create(LEASES, obj, self._namespace))

    def update(self, record: LeaderElectionRecord, resource_version: str) -> Lease:
        patch = {"metadata": {"resourceVersion": resource_version}, "spec": record.spec()}
        return self._seen(self._client.patch(LEASES, self._name, patch, namespace=self._namespace))

    def record_event(self, message: str, now: datetime) -> None:
        time = rfc3339(now)
        about = {"name": self._name, "namespace": self._namespace, "uid": self._uid}
        event = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{self._name}.{uuid4().hex[:16]}",
                "namespace": self._namespace,
            },
            "involvedObject": {"apiVersion": LEASES.api_version, "kind": LEASES.kind, **about},
            "type": "Normal",
            "reason": LEADER_ELECTION,
            "message": message,
            "source": {"component": self._name},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
        }
        self._client.create(EVENTS, event, self._namespace)

    def _seen(self, obj: dict[str, Any]) -> Lease:
        self._uid = obj["metadata"]["uid"]
        return Lease.of(obj)

    def close(self) -> None:
        self._client.close()
