"""What runs for a storage: its objects, their revision, and how its pods are replaced.

The rest of the controller sees a data plane only through `DataPlane`: a pure function from a
storage and the facts about the core to the objects that should exist.
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
