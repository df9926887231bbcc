"""The ReplicaSet controller and the kubelet of a `MemoryServer`, one move at a time.

Every move that is one watch or one write in a real cluster is a method, so that a test can put
anything in between: the controller reconciling, caches that are behind, a stop. As the real one
does, the ReplicaSet controller counts its pods before it makes or deletes any.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.dataplane.rolling import is_ready, is_terminating, pod_revision, same_template
from controller.ownership import controller_of
from controller.resources import PODS, REPLICA_SETS
from tests.support.memoryserver import MemoryServer

Json = dict[str, Any]

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class ReplicaSets:
    """Works on the one ReplicaSet `name`; `broken` holds revisions that never become ready."""

    def __init__(self, server: MemoryServer, name: str) -> None:
        self.broken: set[str | None] = set()
        self._server = server
        self._name = name
        self._seen: Json = server.peek(REPLICA_SETS, name)
        self._counted: list[Json] = []
        self._status: Json = {}
        self._made = 0

    def alive(self) -> list[Json]:
        uid = self._seen["metadata"]["uid"]
        return [
            pod
            for pod in self._server.all(PODS)
            if (controller_of(pod) or {}).get("uid") == uid and not is_terminating(pod)
        ]

    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.alive())

    def able(self) -> int:
        """How many pods serve, or will again when whatever they wait for is over."""
        return sum(self.is_able(pod) for pod in self.alive())

    def is_able(self, pod: Json) -> bool:
        return pod_revision(pod) not in self.broken

    def knows(self, revision: str) -> bool:
        """Whether a pod made now would be of this revision."""
        return same_template(pod_revision(self._seen["spec"]["template"]), revision)

    def look(self) -> None:
        """Hear of the ReplicaSet as it is now."""
        self._seen = self._server.peek(REPLICA_SETS, self._name)

    def manage(self) -> None:
        """Count the pods; make those that are missing, or delete those that are too many."""
        self._manage(self.alive())

    def manage_late(self) -> None:
        """The same, before it has heard which of those it counted last have gone since."""
        there = self.alive()
        names = {pod["metadata"]["name"] for pod in there}
        self._manage(
            [*there, *(pod for pod in self._counted if pod["metadata"]["name"] not in names)]
        )

    def _manage(self, alive: list[Json]) -> None:
        self._counted = alive
        self._status = {
            "observedGeneration": self._seen["metadata"]["generation"],
            "replicas": len(alive),
            "readyReplicas": sum(is_ready(pod) for pod in alive),
        }
        difference = self._seen["spec"]["replicas"] - len(alive)
        for _ in range(difference):
            self._make_pod()
        # Of those that are too many the ones that serve nobody go first, then the youngest.
        ranked = sorted(alive, key=lambda pod: (is_ready(pod), -pod["status"]["made"]))
        for pod in ranked[: max(0, -difference)]:
            self._counted.remove(pod)
            self._end(pod)

    def observe(self) -> None:
        """Write the status: what was managed last, and what was counted then."""
        status = self._status
        self._server.edit(REPLICA_SETS, self._name, lambda rs: rs.update(status=status))

    def make_ready(self, turn: int = 0) -> None:
        """Let one pod that can be ready become it."""
        able = [pod for pod in self.alive() if not is_ready(pod) and self.is_able(pod)]
        if able:
            self._say_ready(able[turn % len(able)], "True")

    def rest(self) -> None:
        """Let no pod be ready for now, as while the core restarts."""
        for pod in self.alive():
            if is_ready(pod):
                self._say_ready(pod, "False")

    def finish(self, turn: int = 0) -> None:
        """Let one pod that was told to end be gone."""
        ending = [pod for pod in self._server.all(PODS) if is_terminating(pod)]
        if ending:
            self._server.remove(PODS, ending[turn % len(ending)]["metadata"]["name"])

    def move(self, kind: int, turn: int = 0) -> None:
        """Make one of all the moves."""
        moves = (
            self.look,
            self.manage,
            self.manage_late,
            self.observe,
            lambda: self.make_ready(turn),
            lambda: self.finish(turn),
        )
        moves[kind % len(moves)]()

    def settle(self) -> None:
        """Let everything happen that can happen without another write of the controller."""
        for _ in range(3):
            self.look()
            self.manage()
            for _ in self.alive():
                self.make_ready()
            while any(is_terminating(pod) for pod in self._server.all(PODS)):
                self.finish()
            self.observe()

    def _say_ready(self, pod: Json, status: str) -> None:
        pod["status"]["conditions"] = [{"type": "Ready", "status": status}]
        self._server.put(PODS, pod)

    def _make_pod(self) -> None:
        self._made += 1
        # Real suffixes are random: the order of names must not be the order of age.
        suffix = hashlib.sha256(str(self._made).encode()).hexdigest()[:5]
        made = _BEGAN + timedelta(seconds=self._made)
        meta = self._seen["metadata"]
        owner = {"kind": "ReplicaSet", "uid": meta["uid"], "controller": True}
        template = self._seen["spec"]["template"]
        pod = {
            "metadata": {
                "name": f"{self._name}-{suffix}",
                "namespace": meta["namespace"],
                "creationTimestamp": f"{made:%Y-%m-%dT%H:%M:%SZ}",
                "uid": f"uid-of-pod-{self._made}",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending", "made": self._made},
        }
        self._server.put(PODS, pod)

    def _end(self, pod: Json) -> None:
        if pod in self.alive():
            pod["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
            self._server.put(PODS, pod)
