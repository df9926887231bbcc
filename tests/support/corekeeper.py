"""The keeper of the core's users as a reconcile sees it, with a core that is a few sets."""

from controller.api.conditions import Problem
from controller.core import (
    Access,
    Candidate,
    CoreLook,
    PurgeLook,
    Trust,
    TrustLook,
    UserLook,
    UserState,
)

AWAY = Problem("CoreUnreachable", "the core is away: is https://core up?")
TAKEN = Problem("CoreUserConflict", "there is a user of this name that is not ours")


class CoreKeeper:
    """Answers from `users`, and does what it is told when `work` is called."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.foreign: set[str] = set()
        self.look = CoreLook(reachable=True, auth=True)
        self.trusts = TrustLook(Trust.FULL)
        self.access: list[Access | Problem] = []
        self.keys: dict[str, int] = {}
        """How many each storage has."""
        self.purging: dict[str, PurgeLook] = {}
        self.forgotten: list[str] = []
        self._wanted: dict[str, bool] = {}
        self._looks: dict[str, UserLook] = {}

    def use(self, access: Access | Problem) -> None:
        self.access.append(access)

    def core(self) -> CoreLook:
        return self.look

    def trust(self, candidate: Candidate) -> TrustLook:
        assert candidate.sign().cert_pem
        return self.trusts

    def want(self, storage: str, *, claimed: bool) -> UserLook:
        if claimed:
            self._wanted[storage] = True
        elif self.look.reachable:
            if storage in self.foreign:
                return UserLook(UserState.FAILED, TAKEN)
            return UserLook(UserState.FREE)
        return self._looks.get(storage, UserLook(UserState.PENDING))

    def drop(self, storage: str) -> UserLook:
        if self._wanted.get(storage, True):
            self._looks.pop(storage, None)
        self._wanted[storage] = False
        return self._looks.get(storage, UserLook(UserState.PENDING))

    def count(self, storage: str, last: int | None = None) -> int | None:
        self.purging.pop(storage, None)
        return self.keys.get(storage, last)

    def purge(self, storage: str) -> PurgeLook:
        return self.purging.setdefault(storage, PurgeLook())

    def forget(self, storage: str) -> None:
        self.forgotten.append(storage)
        self.purging.pop(storage, None)
        self._wanted.pop(storage, None)
        self._looks.pop(storage, None)

    def work(self) -> None:
        """Make and remove users, and remove keys, if the core can be reached."""
        for storage, wanted in self._wanted.items() if self.look.reachable else ():
            (self.users.add if wanted else self.users.discard)(storage)
            # Whoever claims a name has what is there.
            self.foreign.discard(storage)
            self._looks[storage] = UserLook(UserState.READY if wanted else UserState.GONE)
        for storage in self.purging if self.look.reachable else ():
            self.keys[storage] = 0
            self.purging[storage] = PurgeLook(done=True)

    def lose(self) -> None:
        """Let the core be out of reach from now on."""
        self.look = CoreLook(reachable=False, problem=AWAY, auth=self.look.auth)
