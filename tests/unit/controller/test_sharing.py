"""Objects whose equal parts are one, and which are otherwise as they were."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.sharing import _KNOWN, Sharing
from tests.support.objects import desired_of

_LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, "", "a"])
_PARTS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=30,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), _PARTS, max_size=3), max_size=4))
def test_what_is_shared_is_equal_to_what_was_there(objects: list[dict[str, Any]]) -> None:
    sharing = Sharing()
    shared = [sharing.share(deepcopy(obj)) for obj in objects]
    # As text: 1, 1.0 and True are equal, and are not the same.
    assert repr(shared) == repr(objects)


def test_two_objects_have_their_equal_parts_in_common() -> None:
    sharing = Sharing()
    one, other = (sharing.share(deepcopy(desired_of().replica_set)) for _ in range(2))
    containers = [obj["spec"]["template"]["spec"]["containers"][0] for obj in (one, other)]
    assert containers[0] is not containers[1]
    for part in ("resources", "securityContext"):
        assert containers[0][part] is containers[1][part]


def test_no_more_is_remembered_than_a_few_parts() -> None:
    sharing = Sharing()
    for number in range(3 * _KNOWN):
        sharing.share({"metadata": {"uid": str(number)}})
        assert len(sharing._known) <= _KNOWN + 2
    one, other = (sharing.share({"spec": {"replicas": 2}}) for _ in range(2))
    assert one["spec"] is other["spec"]
