"""What the rest of the controller reads off desired objects."""

import dataclasses

from tests.support.objects import FACTS, desired_of


def test_revision_and_isolation_are_those_on_the_template() -> None:
    desired = desired_of()
    labels = desired.replica_set["spec"]["template"]["metadata"]["labels"]
    assert desired.revision == labels["etcd.xmudrii.com/revision"]
    assert desired.isolation == labels["etcd.xmudrii.com/isolation"] == "Gate"
    checked = dataclasses.replace(FACTS, auth=True, users=True)
    assert desired_of(facts=checked).isolation == "Core"
