"""Decisions on single objects, carried out by server-side apply in memory."""

from copy import deepcopy
from typing import Any

import pytest

from controller.api.conditions import Problem
from controller.api.storage import StorageReference
from controller.consumers.consumer import Consumer, Delivery, manager
from controller.consumers.decide import (
    Apply,
    Keep,
    Refuse,
    changed_on_the_way,
    decide,
    decide_withdrawal,
)
from controller.resources import CONFIG_MAPS, SECRETS
from informers import APPLY_PATCH, Resource
from tests.support.applyserver import ApplyServer
from tests.support.deliveries import (
    BUNDLE,
    OTHER,
    PAIR,
    STORAGE,
    PairMaker,
    bundle,
    config_map,
    encoded,
    secret,
)

Json = dict[str, Any]
ANNOTATION = "etcd.xmudrii.com/certificate-signed-by"


class World:
    """One object, and the decisions on it carried out."""

    def __init__(self, consumer: Consumer) -> None:
        self.server = ApplyServer()
        self.consumer = consumer
        self.place: tuple[Resource, str, str] = (
            consumer.resource,
            consumer.namespace,
            consumer.name,
        )

    @property
    def present(self) -> Json | None:
        return self.server.peek(*self.place) if self.server.has(*self.place) else None

    def deliver(self, delivery: Delivery, storage: StorageReference = STORAGE) -> Problem | None:
        """Bring it there; what there was to do is done then. Returns what was in the way."""
        decision = decide(self.present, delivery, storage)
        if isinstance(decision, Refuse):
            return decision.problem
        if isinstance(decision, Apply):
            self.apply(decision, storage)
        assert isinstance(decide(self.present, delivery, storage), Keep)
        return None

    def withdraw(self, storage: StorageReference = STORAGE) -> Problem | None:
        decision = decide_withdrawal(self.present, self.consumer, storage)
        if isinstance(decision, Refuse):
            return decision.problem
        if isinstance(decision, Apply):
            self.apply(decision, storage)
        assert decide_withdrawal(self.present, self.consumer, storage) == Keep(None)
        return None

    def apply(self, decision: Apply, storage: StorageReference) -> None:
        resource, namespace, name = self.place
        query = {"fieldManager": manager(storage), "force": True}
        self.server.patch(
            *(resource, name, decision.body),
            namespace=namespace,
            content_type=APPLY_PATCH,
            query=query,
        )

    def data(self) -> Json:
        return dict((self.present or {}).get("data") or {})

    def meta(self) -> Json:
        return dict((self.present or {})["metadata"])


def test_an_object_that_is_not_there_is_made_and_goes_with_its_storage() -> None:
    world = World(BUNDLE)
    assert world.deliver(bundle("CA 1")) is None
    assert world.data() == {"serving-ca.crt": "CA 1"}
    assert world.meta()["annotations"][ANNOTATION] == "authority 1"
    (owner,) = world.meta()["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("EtcdStorage", STORAGE.uid)
    assert "controller" not in owner


def test_an_object_of_ours_stays_its_storages_and_follows_one_of_its_name() -> None:
    world = World(BUNDLE)
    world.deliver(bundle("CA 1"))
    world.deliver(bundle("CA 2"))
    assert [o["uid"] for o in world.meta()["ownerReferences"]] == [STORAGE.uid]
    again = StorageReference(STORAGE.name, "33333333-3333-3333-3333-333333333333")
    world.deliver(bundle("CA 2"), again)
    assert [o["uid"] for o in world.meta()["ownerReferences"]] == [again.uid]


def test_into_an_object_of_theirs_we_merge_and_take_no_part_in_its_end() -> None:
    world = World(BUNDLE)
    theirs = {"annotations": {"a": "b"}, "labels": {"c": "d"}}
    world.server.put(CONFIG_MAPS, config_map({"mine": "x"}, metadata=theirs))
    assert world.deliver(bundle("CA 1")) is None
    assert world.data() == {"mine": "x", "serving-ca.crt": "CA 1"}
    assert world.meta()["annotations"]["a"] == "b"
    assert world.meta()["labels"] == {"c": "d"}
    assert "ownerReferences" not in world.meta()


def test_an_owner_reference_that_was_taken_away_stays_away() -> None:
    world = World(BUNDLE)
    world.deliver(bundle("CA 1"))
    world.server.edit(*world.place, lambda obj: obj["metadata"].pop("ownerReferences"))
    world.deliver(bundle("CA 2"))
    assert world.meta().get("ownerReferences", []) == []


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_is_no_content(blank: str) -> None:
    world = World(BUNDLE)
    world.server.put(CONFIG_MAPS, config_map({"serving-ca.crt": blank}))
    assert world.deliver(bundle("CA 1")) is None
    assert world.data() == {"serving-ca.crt": "CA 1"}


def test_a_secret_of_a_type_that_needs_both_keys_is_filled_and_emptied() -> None:
    world = World(PAIR)
    blanks = {"tls.crt": "", "tls.key": encoded("\n")}
    world.server.put(SECRETS, secret(blanks, type="kubernetes.io/tls"))
    makes = PairMaker()
    assert world.deliver(makes.delivery()) is None
    assert world.data() == makes.pair(1)
    assert world.withdraw() is None
    assert world.data() == {"tls.crt": "", "tls.key": ""}
    assert world.deliver(makes.delivery()) is None
    assert world.data() == makes.pair(2)


def test_content_that_somebody_wrote_is_left_alone_and_told_by_key_and_writer() -> None:
    world = World(PAIR)
    world.server.put(SECRETS, secret({"tls.key": encoded("theirs")}, type="Opaque"), by="helm")
    before = world.present
    problem = world.deliver(PairMaker().delivery())
    assert problem is not None
    assert (problem.reason, problem.passes) == ("ForeignContent", False)
    for word in ("Secret team-a/etcd-client", "tls.key", "helm", "remove the key"):
        assert word in problem.message
    assert encoded("theirs") not in problem.message
    assert world.present == before
    world.server.edit(*world.place, lambda obj: obj["data"].pop("tls.key"))
    assert world.deliver(PairMaker().delivery()) is None


def test_of_a_writer_that_the_server_does_not_know_it_is_said_so() -> None:
    world = World(BUNDLE)
    obj = world.server.put(CONFIG_MAPS, config_map({"serving-ca.crt": "theirs"}))
    del obj["metadata"]["managedFields"]
    decision = decide(obj, bundle(), STORAGE)
    assert isinstance(decision, Refuse)
    assert "nobody knows whom" in decision.problem.message


def test_content_in_binary_data_is_foreign_too() -> None:
    world = World(BUNDLE)
    world.server.put(CONFIG_MAPS, config_map(binaryData={"serving-ca.crt": encoded("x")}))
    problem = world.deliver(bundle())
    assert problem is not None
    assert problem.reason == "ForeignContent"


@pytest.mark.parametrize("by", ["etcdproxy-controller", "before-first-apply"])
def test_what_the_first_controller_made_is_called_that(by: str) -> None:
    world = World(PAIR)
    old = {"annotations": {ANNOTATION: "etcd-name"}}
    world.server.put(SECRETS, secret({"tls.crt": encoded("RSA")}, metadata=old), by=by)
    problem = world.deliver(PairMaker().delivery())
    assert problem is not None
    assert problem.reason == "ForeignContent"
    assert "controller of 2018" in problem.message
    assert "delete the object, or its keys" in problem.message


def test_a_pair_of_ours_that_has_the_old_annotations_is_not_taken_for_an_old_one() -> None:
    world = World(PAIR)
    makes = PairMaker()
    world.deliver(makes.delivery())
    world.server.edit(*world.place, lambda o: o["data"].update({"tls.key": encoded("mine")}))
    problem = world.deliver(makes.delivery())
    assert problem is not None
    assert "kubectl-edit" in problem.message
    assert "2018" not in problem.message


def test_two_storages_do_not_take_an_object_from_each_other() -> None:
    world = World(BUNDLE)
    world.deliver(bundle("CA 1"))
    problem = world.deliver(bundle("CA of other"), OTHER)
    assert problem is not None
    assert f"EtcdStorage {STORAGE.name}" in problem.message
    assert world.data() == {"serving-ca.crt": "CA 1"}
    assert world.withdraw(OTHER) is None
    assert world.data() == {"serving-ca.crt": "CA 1"}
    assert world.withdraw() is None
    assert world.deliver(bundle("CA of other"), OTHER) is None


@pytest.mark.parametrize("becomes", ["changed", None])
@pytest.mark.parametrize("what", ["serving-ca.crt", ANNOTATION])
def test_what_the_cluster_changes_as_we_write_it_is_told(what: str, becomes: str | None) -> None:
    decision = decide(None, bundle(), STORAGE)
    assert isinstance(decision, Apply)
    stored = deepcopy(decision.body)
    assert changed_on_the_way(stored, decision.body, BUNDLE) is None
    for fields in (stored["data"], stored["metadata"]["annotations"]):
        if what in fields:
            fields[what] = becomes
        if becomes is None:
            fields.pop(what, None)
    problem = changed_on_the_way(stored, decision.body, BUNDLE)
    assert problem is not None
    assert (problem.reason, problem.passes) == ("ForeignContent", False)
    for word in (str(BUNDLE), what, "webhook"):
        assert word in problem.message
    assert "CA 1" not in problem.message


def test_what_was_emptied_is_as_it_should_be() -> None:
    world = World(PAIR)
    world.server.put(SECRETS, secret({"tls.crt": "", "tls.key": ""}, type="kubernetes.io/tls"))
    world.deliver(PairMaker().delivery())
    decision = decide_withdrawal(world.present, PAIR, STORAGE)
    assert isinstance(decision, Apply)
    assert changed_on_the_way({"metadata": {}}, decision.body, PAIR) is None


def test_a_pair_is_kept_as_long_as_it_is_good() -> None:
    world = World(PAIR)
    makes = PairMaker()
    world.deliver(makes.delivery())
    version = world.meta()["resourceVersion"]
    world.deliver(makes.delivery())
    assert world.meta()["resourceVersion"] == version
    makes.authority = 2
    world.deliver(makes.delivery())
    assert world.data() == makes.pair(2)


@pytest.mark.parametrize("lost", [["tls.crt"], ["tls.key"], ["tls.crt", "tls.key"]])
@pytest.mark.parametrize("blank", [True, False])
def test_a_pair_that_lost_a_part_is_made_anew(lost: list[str], *, blank: bool) -> None:
    world = World(PAIR)
    makes = PairMaker()
    world.deliver(makes.delivery())

    def lose(obj: Json) -> None:
        for key in lost:
            obj["data"].pop(key)
            obj["data"] |= {key: ""} if blank else {}

    world.server.edit(*world.place, lose)
    assert world.deliver(makes.delivery()) is None
    assert world.data() == makes.pair(2)


def test_our_content_written_back_by_a_restore_is_ours_again() -> None:
    world = World(PAIR)
    makes = PairMaker()
    world.deliver(makes.delivery())
    saved = world.data()
    world.server.remove(*world.place)
    world.server.put(SECRETS, secret(saved), by="velero")
    assert world.deliver(makes.delivery()) is None
    assert world.data() == saved
    makes.authority = 2
    assert world.deliver(makes.delivery()) is None
    assert world.data() == makes.pair(2)


def test_annotations_of_ours_are_put_right() -> None:
    world = World(BUNDLE)
    world.deliver(bundle())
    changed = {ANNOTATION: "somebody"}
    world.server.edit(*world.place, lambda obj: obj["metadata"]["annotations"].update(changed))
    assert world.deliver(bundle()) is None
    assert world.meta()["annotations"][ANNOTATION] == "authority 1"


def test_an_immutable_object_is_told_unless_it_holds_what_it_should() -> None:
    world = World(BUNDLE)
    world.server.put(CONFIG_MAPS, config_map({"x": "y"}, immutable=True))
    problem = world.deliver(bundle("CA 1"))
    assert problem is not None
    assert problem.reason == "ConsumerImmutable"
    assert "delete it" in problem.message
    assert world.withdraw() is None

    world = World(BUNDLE)
    world.deliver(bundle("CA 1"))
    world.server.edit(*world.place, lambda obj: obj.update(immutable=True))
    assert world.deliver(bundle("CA 1")) is None
    assert world.deliver(bundle("CA 2")) is not None
    problem = world.withdraw()
    assert problem is not None
    assert problem.reason == "ConsumerImmutable"


def test_an_object_that_is_being_deleted_is_waited_for() -> None:
    world = World(BUNDLE)
    world.deliver(bundle())
    end = {"deletionTimestamp": "2026-01-02T03:04:05Z"}
    world.server.edit(*world.place, lambda obj: obj["metadata"].update(end))
    problem = world.deliver(bundle("CA 2"))
    assert problem is not None
    assert (problem.reason, problem.passes) == ("ConsumerLeaving", True)
    assert world.withdraw() is None


def test_a_withdrawal_takes_what_is_ours_and_leaves_the_rest() -> None:
    world = World(BUNDLE)
    theirs = {"annotations": {"a": "b"}}
    world.server.put(CONFIG_MAPS, config_map({"mine": "x"}, metadata=theirs))
    world.deliver(bundle())
    assert world.withdraw() is None
    assert world.data() == {"mine": "x"}
    assert world.meta()["annotations"] == {"a": "b"}

    world = World(PAIR)
    world.deliver(PairMaker().delivery())
    assert world.withdraw() is None
    assert world.data() == {}
    assert world.meta()["ownerReferences"] == []

    world = World(PAIR)
    assert world.withdraw() is None
    assert world.present is None


def test_a_decision_holds_for_the_object_it_was_made_on() -> None:
    decision = decide(None, bundle(), STORAGE)
    assert isinstance(decision, Apply)
    assert decision.body["metadata"]["resourceVersion"] == "1"
    world = World(BUNDLE)
    there = world.server.put(CONFIG_MAPS, config_map())["metadata"]
    decision = decide(world.present, bundle(), STORAGE)
    assert isinstance(decision, Apply)
    for name in ("uid", "resourceVersion"):
        assert decision.body["metadata"][name] == there[name]
    assert "CA 1" not in repr(decision)
