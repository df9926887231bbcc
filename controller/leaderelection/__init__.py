"""One leader among several controllers, by a Lease; in the manner of client-go.

Written anew because the official Python client's releases nothing, and ends at the first error of
the network. `election` decides, without a thread or a call; `elector` has the threads, `lock`
reads and writes the Lease, of which a `record` is the content; `metrics` are client-go's.
"""

from controller.leaderelection.election import LeaderElectionConfig
from controller.leaderelection.elector import LeaderCallbacks, LeaderElector, new_identity
from controller.leaderelection.lock import LeaseLock
from controller.leaderelection.metrics import LeaderElectionMetrics

__all__ = [
    "LeaderCallbacks",
    "LeaderElectionConfig",
    "LeaderElectionMetrics",
    "LeaderElector",
    "LeaseLock",
    "new_identity",
]
