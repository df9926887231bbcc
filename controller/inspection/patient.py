"""What a doctor examines."""

from dataclasses import dataclass
from datetime import datetime

from controller.inspection.cluster import Cluster
from controller.inspection.deployment import Setup
from controller.options import Options
from informers import Client


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined, and from where.

    `flags` are the controller's, where they were given; `core_urls` are how the core is reached
    from here, () as the controller does. `inside`: this is a pod, so the core has to answer.
    """

    client: Client
    namespace: str
    flags: tuple[str, ...]
    core_urls: tuple[str, ...]
    inside: bool
    now: datetime
    setup: Setup | None = None
    """Of the controller; None as long as nobody knows."""

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.client)

    @property
    def options(self) -> Options | None:
        """The controller's, if its flags are known and good."""
        options = self.setup.options if self.setup else None
        return options if isinstance(options, Options) else None
