"""What runs for a storage: its objects, their revision, and how its pods are replaced.

The rest of the controller sees a data plane only through `DataPlane`: a pure function from a
storage and the facts about the core to the objects that should exist.

`interface` is that seam, `gated` the one there is: `pods` with a `gate` and perhaps `grpcproxy` in
them, and their `exposure` by Service, policy and budget. `names` are those of all of these, `core`
is where the pods find the core etcd, and `rolling` decides the next step of replacing them.
"""

from controller.dataplane.core import CoreEtcd, UserSecrets, core_problem
from controller.dataplane.gated import GatedDataPlane
from controller.dataplane.interface import DataPlane, Desired, Facts
from controller.dataplane.pods import Images
from controller.dataplane.rolling import RollingStep, rolling_step

__all__ = [
    "CoreEtcd",
    "DataPlane",
    "Desired",
    "Facts",
    "GatedDataPlane",
    "Images",
    "RollingStep",
    "UserSecrets",
    "core_problem",
    "rolling_step",
]
