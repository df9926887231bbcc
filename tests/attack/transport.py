"""Attacks below gRPC: other protocols on the port, odd paths and methods, floods of streams."""

import struct
from contextlib import suppress
from itertools import product

from controller.dataplane.gate import limits
from tests.attack.keys import RANGE, WATCH
from tests.attack.scene import Scene, blind, describe, refused, together, works
from tests.support.etcdrpc import OK, UNAVAILABLE, UNIMPLEMENTED, Connection, frame, raw

SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"

PATHS = (
    *(f"/{SNAPSHOT}", f"{SNAPSHOT}/", f"{SNAPSHOT}?", f"{SNAPSHOT}#", f"/.{SNAPSHOT}"),
    *(f"/x/..{SNAPSHOT}", "/etcdserverpb.Maintenance//Snapshot", SNAPSHOT[1:], "", "/", "*"),
    *("/etcdserverpb.Maintenance%2FSnapshot", "/etcdserverpb%2EMaintenance/Snapshot"),
    *("/etcdserverpb.KV/Range/../../etcdserverpb.Maintenance/Snapshot", "/Snapshot"),
    *("/etcdserverpb.KV/Range?/etcdserverpb.Maintenance/Snapshot", "/ETCDSERVERPB.KV/RANGE"),
    *("/etcdserverpb.KV/Range/%2e%2e/%2e%2e/etcdserverpb.Maintenance/Snapshot",),
    *("/etcdserverpb.KV/Range;/etcdserverpb.Maintenance/Snapshot", "/etcdserverpb.KV\\Range"),
    *("/etcdserverpb.KV/Range#/../../etcdserverpb.Maintenance/Snapshot",),
    *("/etcdserverpb.maintenance/snapshot", "/Etcdserverpb.Maintenance/Snapshot"),
    *(f"http://127.0.0.1{SNAPSHOT}", f"{SNAPSHOT} ", f" {SNAPSHOT}", f"{SNAPSHOT}\x00"),
)
"""What might be taken for the snapshot behind the gate and for something else at it."""

GATEWAY = (
    *("/v3/maintenance/snapshot", "/v3/kv/range", "/v3/cluster/member/list", "/v3/auth/user/list"),
    *("/v3alpha/kv/range", "/v3beta/kv/range", "/v3/lease/leases", "/v3/watch", "/v3/kv/txn"),
    *("/v2/keys", "/v2/members", "/metrics", "/health", "/livez", "/readyz", "/version"),
    *("/debug/pprof/", "/debug/vars", "/debug/requests", "/config/local/log", "/proxy/health"),
    *("/proxy/metrics", "/members", "/raft", "/raft/probing", "/downgrade/enabled", "/"),
    *("/config_dump", "/stats", "/drain_listeners?graceful", "/quitquitquit", "/ready", "/live"),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
)
"""What etcd, grpc-proxy and Envoy serve by HTTP somewhere."""

SMUGGLED = (
    *(("content-length", "1"), ("content-length", "99999"), ("transfer-encoding", "chunked")),
    *(("connection", "close"), ("upgrade", "h2c"), ("te", "gzip")),
    *(("x\r\ny", "z"), ("x", f"y\r\n:path: {SNAPSHOT}"), (":path", RANGE + "\r\nx: y")),
    (":status", "200"),
)
"""What would end a request for one side only, or say another one after it."""
MEANINGLESS = (("host", "admin"), ("expect", "100-continue"), (":scheme", "file"))
"""What says nothing to the gate, which so lets it through with an own read."""

REFLECTION = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.channelz.v1.Channelz/GetTopChannels",
    "/etcdserverpb.LeaderProxy/Anything",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
)

_JSON = (("content-type", "application/json"),)
_EVERYTHING = b'{"key": "AA==", "range_end": "AA=="}'


def paths(scene: Scene) -> None:
    """Paths that mean one thing to the gate and another to what is behind it."""
    together(lambda path: refused(scene.attempt(path, b"")), PATHS)


def gateway(scene: Scene) -> None:
    """The JSON gateway and all that is served by HTTP, by HTTP/2 on the same port."""
    with scene.connect() as connection:
        for path in GATEWAY:
            for method in ("GET", "POST"):
                headers = [*_JSON, (":method", method)]
                answer = connection.exchange(path, _EVERYTHING, headers=headers)
                assert answer.http != 200 or answer.code, f"{path}: {describe(answer)}"
                blind(answer.body)


def http1(scene: Scene) -> None:
    """The same by HTTP/1.0 and HTTP/1.1, and by nothing that is HTTP."""

    def attack(begin: tuple[str, str]) -> None:
        path, version = begin
        head = f"POST {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n"
        size = f"Content-Length: {len(_EVERYTHING)}\r\n\r\n"
        answer = raw(scene.undetermined, f"{head}{size}".encode() + _EVERYTHING)
        assert b" 200 " not in answer[:20], answer
        blind(answer)

    together(attack, product((*GATEWAY, RANGE, SNAPSHOT), ("1.0", "1.1")))
    for content in (
        b"\0" * 64,
        b"stats\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nXX",
    ):
        blind(raw(scene.tenant, content, deadline=0.2))


def upgrade(scene: Scene) -> None:
    """HTTP/1.1 that asks to become HTTP/2, or something else."""

    def attack(protocol: str) -> None:
        lines = (
            *("GET /v3/watch HTTP/1.1", "Host: localhost", f"Upgrade: {protocol}"),
            *("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Sec-WebSocket-Version: 13"),
            *(
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                "Connection: Upgrade, HTTP2-Settings",
            ),
        )
        answer = raw(scene.undetermined, "\r\n".join((*lines, "", "")).encode())
        assert b" 101 " not in answer[:20], answer
        blind(answer)

    together(attack, ("h2c", "websocket", "tcp"))


def methods(scene: Scene) -> None:
    """Other methods than POST, CONNECT in both of its forms among them."""
    message = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
    names = ("GET", "HEAD", "PUT", "OPTIONS", "TRACE", "CONNECT", "PRI", "get")
    protocols = ("websocket", "connect-udp", "bytestream")

    def attack(headers: list[tuple[str, str]]) -> None:
        refused(scene.attempt(RANGE, message, *headers))

    extended = [[(":method", "CONNECT"), (":protocol", protocol)] for protocol in protocols]
    together(attack, [*([(":method", name)] for name in names), *extended])


def content_types(scene: Scene) -> None:
    """What is not gRPC by its own word gets to no other handler than gRPC's."""
    message = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
    for kind in (
        "application/json",
        "text/plain",
        "application/grpc-web",
        "application/grpcx",
        "",
    ):
        refused(scene.attempt(RANGE, message, ("content-type", kind)))


def reflection(scene: Scene) -> None:
    """Services that would tell about the server, or are none of etcd's own."""
    with scene.connect() as connection:
        for path in REFLECTION:
            refused(connection.call(path, b""))


def smuggling(scene: Scene) -> None:
    """Headers that end a request early for one side only, or are none in HTTP/2."""
    own = scene.make("RangeRequest", key=scene.key(b"k"))

    def attack(header: tuple[str, str]) -> None:
        refused(scene.attempt(RANGE, own, header))

    together(attack, SMUGGLED)
    with scene.connect() as connection:
        for header in MEANINGLESS:
            answer = connection.call(RANGE, own, headers=[header])
            assert answer.code == OK, f"{header}: {describe(answer)}"
            refused(connection.call(SNAPSHOT, b"", headers=[header]), UNIMPLEMENTED)
    _still_served(scene)


def rapid_resets(scene: Scene) -> None:
    """Two thousand requests, each reset as soon as it is sent."""
    message = scene.make("RangeRequest", key=scene.key(b"k"))
    with suppress(ConnectionError), scene.connect() as connection:
        for _ in range(2_000):
            stream = connection.open(RANGE)
            stream.send(message)
            stream.reset()
    _still_served(scene)


def many_streams(scene: Scene) -> None:
    """More streams of watches on a connection than are allowed."""
    message = scene.make("WatchRequest", create_request={"key": scene.key(b"k")})
    with suppress(ConnectionError, TimeoutError), scene.connect() as connection:
        for _ in range(1_500):
            connection.open(WATCH).send(message)
    _still_served(scene)


def many_watches(scene: Scene) -> None:
    """More watches on a stream, and on all streams, than are allowed."""
    # Of before all revisions: grpc-proxy asks the core before it makes one, which takes its time.
    create = {"key": scene.key(b"k"), "start_revision": -1}
    message = frame(scene.make("WatchRequest", create_request=create))
    most = limits.STREAM_WATCHES
    with scene.connect() as connection:
        streams = [connection.open(WATCH) for _ in range(1 + limits.WATCHES // most)]
        for stream in streams:
            stream.send_raw(message * most)
            stream.receive(most)
            if stream == streams[0]:
                stream.send_raw(message)
                assert len(stream.receive(most + 1)) == most
        refused(connection.call(WATCH), UNAVAILABLE)
    _still_served(scene)


def many_connections(scene: Scene) -> None:
    """Two hundred connections that say nothing."""
    opened: list[Connection] = []
    try:
        with suppress(OSError):
            opened.extend(scene.connect() for _ in range(200))
        works(scene.other, scene.schema, scene.other_key)
    finally:
        for connection in opened:
            connection.close()
    _still_served(scene)


def floods(scene: Scene) -> None:
    """Settings, pings, priorities, empty frames and endless headers, ten thousand of each."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0)
    for flood in (
        *(_frame(4, 0, 0), _frame(6, 0, 0, bytes(8)), _frame(2, 0, 1, bytes(5)), _frame(0, 0, 1)),
        *(_frame(9, 0, 1, bytes(64)), _frame(8, 0, 0, b"\0\0\0\1"), _frame(3, 0, 1, bytes(4))),
    ):
        raw(scene.tenant, preface + flood * 10_000, deadline=0.2)
        raw(scene.tenant, preface + _frame(1, 0, 1, b"\x82") + flood * 10_000, deadline=0.2)
    _still_served(scene)


def _still_served(scene: Scene) -> None:
    works(scene.other, scene.schema, scene.other_key)
    works(scene.tenant, scene.schema, scene.key(b"k"))


def _frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    size = struct.pack(">I", len(content))[1:]
    return size + bytes([kind, flags]) + struct.pack(">I", stream) + content
