"""The core etcd as the controller sees it: for each storage a role, a user and its keys.

`keeper` is the one thread that asks and changes it, and `looks` what it is told and tells. It
works in `rounds` on an `agenda` of storages; `users` decides which changes a user needs, `keys`
counts and removes keys, page by page of a `sweep`; `trust` finds out which authority for clients
the core takes, `compaction` whether anybody compacts it. `identity` has names, prefixes and
permissions. The calls are those of `client`, by a `connection` to one of the members and with the
`messages` of etcd; `errors` are what they raise. `members` is for doctor alone.

`controller.core.client`, which imports gRPC, is not imported here: that costs 22 MiB of memory
(10 of them private) and 0.1 s, and a controller without users in the core has no need of it.
"""

from controller.core.identity import user_name
from controller.core.keeper import ClosableCore, UserKeeper
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
    "ClosableCore",
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
