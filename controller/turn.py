"""What one storage may do of its roll now: a pure answer, but for the slot that is asked for.

Without a slot a storage keeps the template that runs, and no pod of it is evicted; all else that
belongs to it is mended as ever.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from controller import podstate
from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.dataplane import Desired
from controller.dataplane.rolling import Json, Stage, is_edited, pod_revision, pods_of, stage
from controller.ownership import Claim, claim
from controller.plan import Evict, Plan, Snapshot, plan_storage
from controller.rollouts import LOOK, Rollouts

ROLLOUT_STUCK: Final = "RolloutStuck"


@dataclass(frozen=True, slots=True)
class Turn:
    """How far a storage's roll is, whether it may go on, and the objects to have until then."""

    stage: Stage
    allowed: bool
    desired: Desired

    @property
    def again(self) -> float | None:
        """The seconds after which the roll is worth another look without any news."""
        rolls = self.stage in {Stage.OUTDATED, Stage.ROLLING, Stage.STUCK}
        return LOOK if rolls and self.allowed else None

    def plan(self, storage: EtcdStorage, snapshot: Snapshot) -> Plan:
        """Decide what to write for `storage` now."""
        plan = plan_storage(storage, self.desired, snapshot)
        if self.allowed:
            return plan
        kept = tuple(write for write in plan.writes if not isinstance(write, Evict))
        return replace(plan, writes=kept)

    def concerns(self, snapshot: Snapshot) -> tuple[Problem, ...]:
        """Say what the roll waits for if it has waited for long."""
        replica_set = snapshot.replica_set
        if not self.allowed or self.stage is not Stage.STUCK or replica_set is None:
            return ()
        pods = pods_of(replica_set, snapshot.pods)
        new = [pod for pod in pods if pod_revision(pod) == self.desired.revision]
        why = (
            podstate.waiting(new)
            or podstate.failure(replica_set)
            or "see the condition Progressing"
        )
        message = f"no new pod has become ready for a long time, and old ones are kept: {why}"
        return (Problem(ROLLOUT_STUCK, message),)


def take_turn(
    rollouts: Rollouts,
    storage: EtcdStorage,
    desired: Desired,
    snapshot: Snapshot,
    now: datetime,
) -> Turn:
    """Ask for a slot if the storage needs one for `desired`."""
    replica_set = snapshot.replica_set
    if (
        replica_set is None
        or not can_roll(replica_set, desired, storage)
        # Restored without a slot: the roll comes after that.
        or is_edited(replica_set, desired.revision)
    ):
        rollouts.leave(storage.name)
        return Turn(Stage.NOTHING, allowed=True, desired=desired)
    pods = pods_of(replica_set, snapshot.pods)
    found = stage(replica_set, pods, revision=desired.revision, now=now)
    allowed = rollouts.may_roll(storage.name, desired.revision, found)
    return Turn(found, allowed, desired if allowed else held_back(desired, replica_set))


def can_roll(replica_set: Json, desired: Desired, storage: EtcdStorage) -> bool:
    """Whether `replica_set` is ours to roll, and not one that has to be made anew."""
    same: bool = replica_set["spec"]["selector"] == desired.replica_set["spec"]["selector"]
    return same and claim(replica_set, storage) in {Claim.OWNED, Claim.ORPHAN}


def held_back(desired: Desired, replica_set: Json) -> Desired:
    """Return `desired` with the template that `replica_set` has, which is the one to keep."""
    spec: dict[str, Any] = {
        **desired.replica_set["spec"],
        "template": replica_set["spec"]["template"],
    }
    return replace(desired, replica_set={**desired.replica_set, "spec": spec})
