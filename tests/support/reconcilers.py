"""A reconciler on a server in memory, put together as the controller does it."""

from collections.abc import Callable
from datetime import datetime

from controller.api.storage import RESERVED_NAMES
from controller.certmetrics import CertificateMetrics
from controller.consistency import ConsistencyStore
from controller.coreusers import CoreUsers
from controller.events import Recorder
from controller.fights import Fights
from controller.reconcile import Reconciler
from controller.rollouts import Rollouts
from tests.support.certifying import Certifying
from tests.support.clock import FakeClock
from tests.support.corekeeper import CoreKeeper
from tests.support.memoryserver import MemoryServer
from tests.support.objects import CORE, NAMESPACE, PLANE, KnownRandom


def reconciler(
    server: MemoryServer,
    recorder: Recorder,
    now: Callable[[], datetime],
    users: CoreUsers | None = None,
) -> Reconciler:
    """Return one that remembers nothing, as after a start, without a limit of rollouts.

    `dataclasses.replace` gives it other parts.
    """
    listers = server.listers(users=users is not None)
    return Reconciler(
        client=server.client,
        listers=listers,
        consistency=ConsistencyStore(listers.written(), FakeClock()),
        dataplane=PLANE,
        core=CORE,
        namespace=NAMESPACE,
        reserved_names=RESERVED_NAMES,
        recorder=recorder,
        now=now,
        rng=KnownRandom(),
        rollouts=Rollouts(0, FakeClock(), lambda _: None),
        certifier=Certifying().certifier,
        keeper=users.keeper if users else CoreKeeper(),
        metrics=CertificateMetrics(now),
        fights=Fights(server.client, NAMESPACE, FakeClock()),
        users=users,
    )
