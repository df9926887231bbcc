"""A core of three members, one of which dies."""

from hack.dataplane import CoreEtcd
from tests.integration.dataplane.conftest import MakeCore, MakePod


def follower(core: CoreEtcd) -> int:
    """Return the index of a member that does not lead."""
    found = core.etcdctl().json("endpoint", "status")
    statuses = {status["Endpoint"]: status["Status"] for status in found}
    leads = [statuses[url]["header"]["member_id"] == statuses[url]["leader"] for url in core.urls]
    return leads.index(False)


def test_no_request_fails_that_a_dead_member_has_not_seen(
    make_core: MakeCore, make_pod: MakePod
) -> None:
    core = make_core(members=3)
    pod = make_pod(core, "members")
    client = pod.etcdctl()
    for number in range(6):
        client.run("put", "k", str(number))
    core.stop_member(follower(core), grace=0)
    # Each would meet it with one chance in three.
    for number in range(12):
        client.run("put", "k", str(number))
        assert client.run("get", "k", "--print-value-only").split() == [str(number)]
