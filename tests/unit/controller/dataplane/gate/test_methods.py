"""What passes, call by call."""

import pytest

from controller.dataplane.gate.methods import Method, allowed
from tests.unit.controller.dataplane.gate.conftest import MakeGate

KEYS = {
    *("/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put", "/etcdserverpb.KV/DeleteRange"),
    *("/etcdserverpb.KV/Txn", "/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseGrant"),
}
LEASES = {
    *("/etcdserverpb.Lease/LeaseKeepAlive", "/etcdserverpb.Lease/LeaseRevoke"),
    "/etcdserverpb.Lease/LeaseTimeToLive",
}
DIRECT = {"/etcdserverpb.KV/RangeStream", "/etcdserverpb.Maintenance/Status"}


@pytest.mark.parametrize(
    ("mode", "auth", "paths"),
    [
        ("Proxy", False, KEYS),
        ("Proxy", True, KEYS | LEASES),
        ("Direct", True, KEYS | LEASES | DIRECT),
        # Without users a tenant would read and write everybody's keys.
        ("Direct", False, set()),
    ],
)
def test_what_passes(make_gate: MakeGate, mode: str, paths: set[str], *, auth: bool) -> None:
    methods = allowed(make_gate(mode=mode, auth=auth))
    assert {method.path for method in methods} == paths
    assert len(methods) == len(paths)


def test_what_streams_is_what_stays_open(make_gate: MakeGate) -> None:
    methods = allowed(make_gate(mode="Direct", auth=True))
    assert {m.name for m in methods if m.streams} == {"Watch", "LeaseKeepAlive"}


def test_a_path_is_that_of_grpc() -> None:
    assert Method("p.S", "M").path == "/p.S/M"
