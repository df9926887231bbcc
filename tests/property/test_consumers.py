"""Deliveries over made-up histories of an object: they end, and touch nobody's content."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.storage import StorageReference
from controller.consumers.consumer import manager
from controller.consumers.decide import Apply, Keep, Refuse, decide, decide_withdrawal
from controller.consumers.fields import owned
from controller.resources import SECRETS
from informers import APPLY_PATCH
from tests.support.applyserver import ApplyServer
from tests.support.deliveries import OTHER, PAIR, STORAGE, PairMaker, encoded, secret

Json = dict[str, Any]

KEYS = ("tls.crt", "tls.key")
PLACE = (SECRETS, PAIR.namespace, PAIR.name)


class World:
    """A Secret that two storages name, and that its owner writes as well."""

    def __init__(self) -> None:
        self.server = ApplyServer()
        self.makers = {STORAGE: PairMaker(), OTHER: PairMaker(authority=100)}
        self.written: dict[str, str] = {}
        """What the owner wrote last under a key, as long as it stands there."""

    @property
    def present(self) -> Json | None:
        return self.server.peek(*PLACE) if self.server.has(*PLACE) else None

    @property
    def theirs(self) -> dict[str, str]:
        """What of the data is the owner's alone: with what we brought, too, it is not."""
        ours = self.ours(STORAGE) | self.ours(OTHER)
        return {key: v for key, v in self.written.items() if ("data", key) not in ours}

    def data(self) -> dict[str, str]:
        return dict((self.present or {}).get("data") or {})

    def deliver(self, storage: StorageReference) -> None:
        delivery = self.makers[storage].delivery()
        for tries in range(2):
            decision = decide(self.present, delivery, storage)
            if isinstance(decision, Refuse):
                assert self.theirs or self.ours(OTHER if storage is STORAGE else STORAGE)
            if not isinstance(decision, Apply):
                break
            assert tries == 0, "an applied plan is empty"
            self.apply(decision, storage)
        if isinstance(decision, Keep):
            serial = decision.content.signed.serial if decision.content else 0
            assert {k: self.data()[k] for k in KEYS} == self.makers[storage].pair(serial)

    def withdraw(self, storage: StorageReference) -> None:
        before, theirs = self.data(), self.ours(OTHER if storage is STORAGE else STORAGE)
        decision = decide_withdrawal(self.present, PAIR, storage)
        if isinstance(decision, Apply):
            self.apply(decision, storage)
        assert decide_withdrawal(self.present, PAIR, storage) == Keep(None)
        assert not self.ours(storage)
        assert {key: before[key] for _, key in theirs} == {
            key: value for key, value in self.data().items() if ("data", key) in theirs
        }

    def ours(self, storage: StorageReference) -> set[tuple[str, ...]]:
        """Return the data of a storage."""
        paths = owned(self.present or {"metadata": {}}, manager(storage))
        return {path for path in paths if path[0] == "data"}

    def apply(self, decision: Apply, storage: StorageReference) -> None:
        theirs = self.theirs
        query = {"fieldManager": manager(storage), "force": True}
        self.server.patch(
            *(SECRETS, PAIR.name, decision.body),
            namespace=PAIR.namespace,
            content_type=APPLY_PATCH,
            query=query,
        )
        data = self.data()
        assert theirs.items() <= data.items(), "somebody's content is gone"
        self.written = {key: v for key, v in self.written.items() if data.get(key) == v}

    def write(self, key: str, value: str | None) -> None:
        """Let the owner write a key, or take it away."""

        def change(obj: Json) -> None:
            data = obj.setdefault("data", {})
            data.pop(key, None)
            data |= {} if value is None else {key: encoded(value)}

        if self.present is None:
            self.server.put(SECRETS, secret({}))
        before = self.data().get(key)
        self.server.edit(*PLACE, change)
        if self.data().get(key) != before:
            self.written.pop(key, None)
            self.written |= {key: encoded(value)} if value and value.strip() else {}

    def remove(self) -> None:
        if self.present is not None:
            self.server.remove(*PLACE)
        self.written.clear()


def _step(kind: str, *values: Any) -> Callable[[World], None]:
    return lambda world: getattr(world, kind)(*values)


def _renew(world: World) -> None:
    world.makers[STORAGE].authority += 1


STORAGES = st.sampled_from([STORAGE, OTHER])
STEPS = st.one_of(
    st.builds(_step, st.just("deliver"), STORAGES),
    st.builds(_step, st.just("withdraw"), STORAGES),
    st.builds(
        _step,
        st.just("write"),
        st.sampled_from([*KEYS, "theirs"]),
        st.sampled_from([None, "", " ", "x", "certificate 1 by 1", "private key 1"]),
    ),
    st.just(_step("remove")),
    st.just(_renew),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(STEPS, max_size=10))
def test_every_history_ends_with_a_good_pair_or_with_what_somebody_wrote(
    history: list[Callable[[World], None]],
) -> None:
    world = World()
    for step in history:
        step(world)
    world.withdraw(OTHER)
    world.deliver(STORAGE)
    for key in KEYS:
        if key in world.theirs:
            world.write(key, None)
    world.deliver(STORAGE)
    assert {("data", key) for key in KEYS} <= world.ours(STORAGE)
