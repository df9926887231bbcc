"""How a transaction is bounded; the script itself runs in tests/integration/dataplane."""

from controller.dataplane.gate import bodies, limits, transactions


def test_all_that_the_core_would_read_of_it_is_looked_at() -> None:
    found = transactions.on_route()
    assert found[bodies.LUA]["name"] == transactions.GUARD
    [bound] = found[bodies.BUFFER]["buffer"].values()
    # etcd: --max-request-bytes, and what it allows gRPC beside that; the frame.
    assert bound == (3 << 19) + (512 << 10) + 5


def test_a_refusal_says_what_to_do_and_breaks_no_script() -> None:
    for bound in (limits.TXN_READS, limits.TXN_LISTS, limits.TXN_FIELDS):
        assert f" {bound} " in transactions.REFUSAL
    assert '"' not in transactions.REFUSAL


def test_etcds_own_bound_fits() -> None:
    # 128 comparisons and as many operations in each branch, with one field each, and the reads.
    lists = 128 + 2 * 2 * 128
    assert lists + 128 * 5 + limits.TXN_READS * 13 < limits.TXN_FIELDS
