"""The tenant's place: what it can reach, what it holds, and what it must not get at."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.attack.picture import Core, Picture
from tests.support.etcdrpc import OK, Answer, Connection, Endpoint, Schema

T = TypeVar("T")

MARK = b"what-another-tenant-has-written"
"""Part of every value of the others: an answer that carries it has leaked."""

NEIGHBOURS = ("aa", "a-b", "a0", "b", "root")
"""Storages beside `a`: names that begin alike, that sort next to it, and etcd's own user."""

STORAGE = "a"
"""The attacker."""
OTHER = NEIGHBOURS[0]
"""The tenant whose endpoint must go on serving."""

PULSE = b"/aa/pulse"
"""The one key of another tenant that changes meanwhile, for watches to see or not to see."""

SECRETS = (
    *(f"/{name}/secret".encode() for name in NEIGHBOURS),
    *(b"/registry/secret", b"secret", b"/", b"/a", b"/a0", b"\xff"),
)
"""Keys of others, some of them right before or after those of the attacker."""

LEASE_SECONDS = 3600
"""Of others' leases: longer than all attacks take."""


@dataclass(frozen=True, slots=True)
class Place:
    """How a tenant's pods are made."""

    mode: str
    """Proxy or Direct."""
    auth: bool
    """Whether the core checks users."""

    def __str__(self) -> str:
        return f"{self.mode} {'with' if self.auth else 'without'} auth"


@dataclass(frozen=True, slots=True)
class Scene:
    """One tenant of a core among others, and one who attacks."""

    place: Place
    schema: Schema
    tenant: Endpoint
    """The tenant's own endpoint, with its own certificate where there is TLS."""
    undetermined: Endpoint
    """The same by TLS that does not say which protocol is wanted inside, as HTTP/1 would."""
    other: Endpoint
    """The endpoint of another tenant, as that tenant uses it."""
    probe: int
    """Port of the probes at the tenant's host."""
    private: tuple[int, ...]
    """Ports that the pod keeps to itself."""
    core: Core
    leases: dict[str, int]
    """The other tenant's: `held` has keys of its, `empty` has none yet."""
    strangers: Mapping[str, Endpoint] = field(default_factory=dict)
    """The tenant's endpoint with certificates that are not the tenant's; empty without TLS."""

    def connect(self) -> Connection:
        return Connection(self.tenant)

    @property
    def prefix(self) -> bytes:
        """Where its keys lie in the core."""
        return f"/{STORAGE}/".encode()

    def key(self, name: bytes) -> bytes:
        """Return how the tenant calls a key of its own."""
        return name if self.place.mode == "Proxy" else self.prefix + name

    @property
    def other_key(self) -> bytes:
        """How the other tenant calls a key of its own."""
        return b"k" if self.place.mode == "Proxy" else f"/{OTHER}/k".encode()

    def make(self, message: str, /, **fields: Any) -> bytes:
        return self.schema.make(message, **fields)

    def call(self, path: str, /, **fields: Any) -> Answer:
        """Call a unary method with a well-formed message, on a connection of its own."""
        message = self.schema.make(self.schema.methods[path].input, **fields)
        with self.connect() as connection:
            return connection.call(path, message)

    def picture(self) -> Picture:
        """Look at all that is not the tenant's, but for what changes by itself."""
        seen = self.core.picture(self.prefix, set(self.leases.values()))
        keys = {key: value for key, value in seen.keys.items() if key != PULSE}
        return replace(seen, keys=keys)

    def clear(self) -> None:
        """Remove the tenant's own keys, whatever attacks have made of them."""
        end = self.prefix[:-1] + b"0"
        self.core.call("/etcdserverpb.KV/DeleteRange", key=self.prefix, range_end=end)

    def attempt(self, path: str, message: bytes, *headers: tuple[str, str]) -> Answer:
        """Call on a connection of its own; that the server ends it is an answer too."""
        try:
            with self.connect() as connection:
                answer = connection.call(path, message, headers=headers)
        except ConnectionError:
            answer = Answer(reset=0, ended=True)
        blind(answer.body)
        return answer

    def read(self, path: str, answer: Answer) -> Any:
        """Parse the one message of a good answer."""
        assert answer.code == OK, describe(answer)
        return self.schema.read(self.schema.methods[path].output, answer.messages()[0])


def furnish(core: Core) -> dict[str, int]:
    """Write what the others have, again if need be, and return their leases."""
    for key in (*SECRETS, PULSE):
        core.put(key, MARK)
    leases = {"held": core.grant(LEASE_SECONDS), "empty": core.grant(LEASE_SECONDS)}
    core.put(f"/{OTHER}/leased-secret".encode(), MARK, leases["held"])
    core.put(f"/{STORAGE}/k".encode(), b"own")
    return leases


def describe(answer: Answer) -> str:
    """Say what came back, for the message of a failed test."""
    return f"{answer.headers} reset={answer.reset} {bytes(answer.body[:200])!r}"


def refused(answer: Answer, *codes: int) -> None:
    """Fail unless the answer is an error, of one of these codes if any are given, and no more."""
    assert not answer.messages(), describe(answer)
    assert answer.code != OK, describe(answer)
    if codes:
        assert answer.code in codes, describe(answer)
    else:
        assert answer.code or answer.http >= 400 or answer.reset is not None, describe(answer)


def blind(content: bytes | bytearray) -> None:
    """Fail if anything of another tenant's is in it."""
    assert MARK not in content, bytes(content[:300])


def together(attack: Callable[[T], None], things: Iterable[T]) -> None:
    """Attack with all of these at once; fail as the first of them that fails.

    Envoy takes a second to end a connection that it does not like.
    """
    with ThreadPoolExecutor(96) as pool:
        list(pool.map(attack, things))


def works(endpoint: Endpoint, schema: Schema, key: bytes) -> None:
    """Fail unless the endpoint serves a read of this key."""
    with Connection(endpoint) as connection:
        answer = connection.call("/etcdserverpb.KV/Range", schema.make("RangeRequest", key=key))
    assert answer.code == OK, describe(answer)
