"""Which revision a template is written under: whose pods it is to tell apart."""

from collections.abc import Callable
from typing import Any

import pytest

from controller.dataplane.interface import REVISION_LABEL
from controller.edits import remarked
from controller.transforms import slim_replica_set
from tests.support.objects import desired_of, owned_by, read

Json = dict[str, Any]
Change = Callable[[Json], object]

WANTED = desired_of()


def there(change: Change = dict, revision: str | None = None, generation: int = 4) -> Json:
    """Return the ReplicaSet as our cache has it, after somebody has made a change."""
    replica_set = owned_by(read(), desired_of().replica_set)
    replica_set["metadata"]["generation"] = generation
    if revision:
        replica_set["spec"]["template"]["metadata"]["labels"][REVISION_LABEL] = revision
    change(replica_set["spec"]["template"])
    return slim_replica_set(replica_set)


def edit(template: Json) -> None:
    template["spec"]["containers"][0]["image"] = "of somebody else"


def edit_configuration(template: Json) -> None:
    annotations = template["metadata"]["annotations"]
    name = next(name for name in annotations if name.startswith("gate."))
    annotations[name] += " "


def add(template: Json) -> None:
    template["metadata"]["annotations"]["restartedAt"] = "now"
    template["spec"]["containers"][0]["terminationMessagePolicy"] = "File"
    template["spec"]["dnsPolicy"] = "ClusterFirst"


def unmark(template: Json) -> None:
    del template["metadata"]["labels"][REVISION_LABEL]


@pytest.mark.parametrize(
    "replica_set",
    [
        pytest.param(None, id="none is there"),
        pytest.param(there(), id="as desired"),
        pytest.param(there(add), id="with what others add, and the server's defaults"),
        pytest.param(there(edit, revision="another"), id="of another revision"),
        pytest.param(there(unmark), id="of the first controller"),
    ],
)
def test_a_template_that_nobody_has_edited_keeps_the_hash_of_itself(
    replica_set: Json | None,
) -> None:
    assert remarked(WANTED, replica_set) == WANTED


@pytest.mark.parametrize("change", [edit, edit_configuration])
def test_one_that_was_edited_is_restored_under_a_revision_of_its_own(change: Change) -> None:
    restored = remarked(WANTED, there(change))
    assert restored.revision == f"{WANTED.revision}.4"
    assert remarked(WANTED, there(change)) == restored, "the same picture, the same revision"
    again = there(change, revision=restored.revision, generation=6)
    assert remarked(WANTED, again).revision == f"{WANTED.revision}.6"


def test_nothing_but_the_revision_is_another() -> None:
    restored = remarked(WANTED, there(edit))
    labels = restored.replica_set["spec"]["template"]["metadata"]["labels"]
    labels[REVISION_LABEL] = WANTED.revision
    assert restored == WANTED


def test_one_that_was_restored_keeps_its_revision() -> None:
    restored = f"{WANTED.revision}.4"
    for generation in (5, 9):
        replica_set = there(add, revision=restored, generation=generation)
        assert remarked(WANTED, replica_set).revision == restored
