"""A certifier, its consumers on a server in memory, its gates as a test says."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.certifier import Certifier
from controller.consumers import Consumers, Restarts
from controller.gatecerts import Served
from controller.served import Wanted
from tests.support.applyserver import ApplyServer
from tests.support.clock import FakeClock
from tests.support.objects import NAMESPACE


@dataclass
class Gates:
    """Stands for `ServedCertificates`: `seen` has what the pods show, by uid."""

    seen: dict[str, Served] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    """What was asked for last, by storage."""

    def look(
        self, storage: str, pods: Iterable[Mapping[str, Any]], wanted: Wanted
    ) -> Mapping[str, Served]:
        self.wanted[storage] = wanted
        uids = {pod["metadata"]["uid"] for pod in pods}
        return {uid: seen for uid, seen in self.seen.items() if uid in uids}

    def forget(self, storage: str) -> None:
        self.wanted.pop(storage, None)


class Certifying:
    """All that a certifier works with; it goes on as it is when the controller starts anew."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.others = ApplyServer(self.clock)
        self.gates = Gates()

    @property
    def certifier(self) -> Certifier:
        """Return one as a start of the controller makes it."""
        client, rng = self.others.client, random.Random(1)
        return Certifier(
            NAMESPACE,
            Consumers(client, clock=self.clock, rng=rng),
            Restarts(client, clock=self.clock, rng=rng),
            self.gates,
        )
