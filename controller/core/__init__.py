"""The core etcd as the controller sees it: for each storage a role, a user and its keys.

`controller.core.client`, which imports gRPC, is not imported here: that costs 22 MiB of memory
(10 of them private) and 0.1 s, and a controller without users in the core has no need of it.
"""

from controller.core.identity import user_name
from controller.core.keeper import UserKeeper
from controller.core.looks import (
    Access,
    Candidate,
    CoreLook,
    Listeners,
    Pace,
    PurgeLook,
    Trust,
    TrustLook,
    UserLook,
    UserState,
)

__all__ = [
    "Access",
    "Candidate",
    "CoreLook",
    "Listeners",
    "Pace",
    "PurgeLook",
    "Trust",
    "TrustLook",
    "UserKeeper",
    "UserLook",
    "UserState",
    "user_name",
]
