"""The bounds fit each other, and what etcd and Envoy do."""

from pathlib import Path

from controller.dataplane.gate import limits

FOLDER = Path(limits.__file__).parent


def test_every_bound_is_used() -> None:
    code = "".join(path.read_text() for path in FOLDER.glob("*.py") if path.name != "limits.py")
    bounds = [name for name in vars(limits) if name.isupper() and name[0] != "_"]
    assert [name for name in bounds if f"limits.{name}" not in code and name not in code] == []


def test_every_connection_is_told_of_a_drain_before_its_end() -> None:
    # Envoy tells those without an answer in the last third, unless the grace does not fit there.
    assert limits.DRAIN_GRACE < limits.DRAIN_SECONDS / 3


def test_a_watch_hears_where_it_is_shortly_before_it_ends() -> None:
    # etcd says so every 10 minutes, and up to a tenth later.
    last = 2 * 10 * 60, 2 * 11 * 60
    assert last[1] < limits.STREAM_LIFE < last[0] + 5 * 60


def test_clients_that_use_up_their_connections_keep_nobody_else_out() -> None:
    assert limits.ALL_CONNECTIONS >= 2 * limits.CONNECTIONS


def test_the_core_allows_our_pings() -> None:
    # With room for what is late, and then early: etcd wants 5 s between two.
    assert limits.UPSTREAM_KEEPALIVE >= 2 * 5
    # A third ping without a stream would be one too many.
    assert limits.UPSTREAM_IDLE < 3 * limits.UPSTREAM_KEEPALIVE


def test_a_health_check_finds_its_connection_open() -> None:
    # Envoy waits up to a fifth longer.
    assert 1.2 * limits.HEALTH_INTERVAL + limits.HEALTH_TIMEOUT < limits.UPSTREAM_IDLE


def test_a_connection_that_is_not_read_leaves_room_for_others() -> None:
    assert limits.CONNECTION_WINDOW >= 16 * limits.STREAM_WINDOW


def test_all_that_is_on_its_way_can_be_tried_again_at_once() -> None:
    assert limits.RETRIES >= limits.WRITES + limits.READS


def test_the_heap_fits_the_container() -> None:
    assert limits.HEAP < (limits.MEMORY_LIMIT_MIB - 65) << 20


def test_a_client_that_resumes_all_its_watches_has_room_beside_others() -> None:
    # An API server stores some hundreds of resources.
    assert limits.STREAM_WATCHES >= 1000
    assert limits.WATCHES >= 4 * limits.STREAM_WATCHES
    assert limits.WATCH_STREAMS < limits.REQUESTS
    # Of the stream's bytes, a second's burst and one more.
    assert 2 * limits.STREAMED_KIB << 10 > 1000 * 200


def test_the_longest_lease_fits_three_bytes_and_what_people_grant() -> None:
    assert 24 * 3600 < limits.LEASE_TTL < 1 << 21
