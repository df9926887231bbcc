"""What stays open, each shown, so that the README's list is neither longer nor shorter."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.attack.keys import PUT, RANGE, WATCH
from tests.attack.leases import KEEP_ALIVE, REVOKE, TIME_TO_LIVE
from tests.attack.methods import DIRECT_ONLY, EVERYWHERE, PROXY, WITH_AUTH
from tests.attack.scene import LEASE_SECONDS, PULSE, Place, Scene, describe
from tests.support.etcdrpc import OK

STATUS = "/etcdserverpb.Maintenance/Status"


@dataclass(frozen=True, slots=True)
class Open:
    """Something that a tenant learns of others, or can do to them."""

    text: str
    """As the README says it."""
    places: frozenset[Place]
    show: Callable[[Scene], None]
    """Fails where it is not open any more."""


def revision(scene: Scene) -> None:
    """See how much the others write."""
    before = scene.read(RANGE, scene.call(RANGE, key=scene.key(b"k"))).header.revision
    scene.core.put(PULSE, b"more")
    scene.core.put(PULSE, b"and more")
    after = scene.read(RANGE, scene.call(RANGE, key=scene.key(b"k"))).header.revision
    assert after >= before + 2


def space(scene: Scene) -> None:
    """Write as much as one likes."""
    for number in range(4):
        key = scene.key(b"filler-%d" % number)
        answer = scene.call(PUT, key=key, value=bytes(2**20))
        assert answer.code == OK, describe(answer)
    scene.clear()


def foreign_lease(scene: Scene) -> None:
    """Bind an own key to another's lease."""
    lease = scene.core.grant(LEASE_SECONDS)
    scene.core.put(b"/aa/for-a-while", b"v", lease)
    answer = scene.call(PUT, key=scene.key(b"bound"), lease=lease)
    assert answer.code == OK, describe(answer)
    scene.core.revoke(lease)
    assert scene.core.get(scene.prefix + b"bound") is None


def empty_lease(scene: Scene) -> None:
    """Attach to, prolong and revoke a lease that nobody has put a key on."""
    lease = scene.core.grant(LEASE_SECONDS)
    with scene.connect() as connection:
        stream = connection.open(KEEP_ALIVE)
        stream.send(scene.make("LeaseKeepAliveRequest", ID=lease))
        assert stream.receive(), describe(stream.answer)
    attached = scene.call(PUT, key=scene.key(b"squatter"), lease=lease)
    assert attached.code == OK, describe(attached)
    revoked = scene.call(REVOKE, ID=lease)
    assert revoked.code == OK, describe(revoked)
    assert lease not in scene.core.leases()


def lives(scene: Scene) -> None:
    """Ask how long another's lease lives, without its keys."""
    answer = scene.call(TIME_TO_LIVE, ID=scene.leases["held"])
    assert scene.read(TIME_TO_LIVE, answer).grantedTTL == LEASE_SECONDS


def figures(scene: Scene) -> None:
    """Ask how large the core is, and read the key by which API servers agree on who compacts."""
    assert scene.read(STATUS, scene.call(STATUS)).dbSize > 0
    key = b"compact_rev_key"
    scene.core.put(key, b"1")
    found = scene.read(RANGE, scene.call(RANGE, key=key)).kvs
    assert [pair.value for pair in found] == [b"1"]


def read_in_vain(scene: Scene) -> None:
    """Make the core read and sort all own values, and take one."""
    for number in range(4):
        key = scene.key(b"sorted-%d" % number)
        assert scene.call(PUT, key=key, value=b"%d" % number).code == OK
    ends = {"key": scene.key(b"sorted-"), "range_end": scene.key(b"sorted.")}
    answer = scene.call(RANGE, **ends, sort_order=2, sort_target=4, limit=1)
    found = scene.read(RANGE, answer)
    assert ([pair.value for pair in found.kvs], found.count) == ([b"3"], 4)
    scene.clear()


def past(scene: Scene) -> None:
    """Watch what has changed since the first revision, many times at once."""
    create = {"key": scene.key(b"never"), "start_revision": 1}
    with scene.connect() as connection:
        streams = [connection.open(WATCH) for _ in range(32)]
        for stream in streams:
            stream.send(scene.make("WatchRequest", create_request=create))
        for stream in streams:
            [answer] = stream.receive()
            assert scene.schema.read("etcdserverpb.WatchResponse", answer).created
            stream.reset()


OPEN = (
    Open(
        "Every answer carries the core's revision: a tenant sees how much all storages write"
        " together, but not who or what.",
        EVERYWHERE,
        revision,
    ),
    Open(
        "All storages share the core's disk, memory and speed: a tenant can fill the core's quota"
        " with data or, at two a second, with leases. The gate bounds connections, requests under"
        " way, watches, the speed of lists and new leases, not what is stored.",
        EVERYWHERE,
        space,
    ),
    Open(
        "The speed of lists holds for answers that are taken: a list that is sorted by value,"
        " filtered or cancelled costs the core the whole read. Beside 4 such at once over 40 MB of"
        " a tenant's own data others' writes took 12 to 29 ms (median; p99 about 105), and beside"
        " plain lists 1.7 (p99 31), on a busy machine.",
        EVERYWHERE,
        read_in_vain,
    ),
    Open(
        "A watch that starts in the past makes the core read what everybody has written since:"
        " with 100,000 changes kept, 32 of them at once made others' writes ten times slower"
        " (p99). A short `--auto-compaction-retention` of the core keeps fewer.",
        EVERYWHERE,
        past,
    ),
    Open(
        "On a core without users a tenant can put its own key on another tenant's lease, if it"
        " guesses the number: it learns that the lease exists, and its key goes with it.",
        frozenset((PROXY,)),
        foreign_lease,
    ),
    Open(
        "On a core with users a lease is nobody's until a key is put on it: until then a tenant"
        " that guesses its number can prolong or revoke it, or put a key of its own on it, after"
        " which the tenant that granted it is refused.",
        WITH_AUTH,
        empty_lease,
    ),
    Open(
        "On a core with users a tenant that guesses a lease's number can ask how long it lives,"
        " but not for its keys.",
        WITH_AUTH,
        lives,
    ),
    Open(
        "In mode Direct a tenant can ask for the core's version, size, quota and raft figures,"
        " which API servers need, and read `compact_rev_key`, a counter of theirs outside of every"
        " storage.",
        DIRECT_ONLY,
        figures,
    ),
)
