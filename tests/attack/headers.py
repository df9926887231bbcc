"""Attacks by what a request says about itself: forged users, and words to Envoy or to etcd."""

from tests.attack.keys import PUT, RANGE
from tests.attack.scene import Scene, blind, describe, refused, together
from tests.support.etcdrpc import OK, UNIMPLEMENTED, Connection

OWN = b"own-value"

FORGED = (
    *(("token", "root.1"), ("token", ""), ("token", "aaaaaaaaaaaaaaaa.2"), ("authorization", "x")),
    *(("authorization", "Bearer root.1"), ("authorization", "Basic cm9vdDpyb290")),
    *(("grpcgateway-accept", "application/json"), ("grpcgateway-authorization", "root.1")),
    *(("grpcgateway-token", "root.1"), ("token-bin", "cm9vdA"), ("x-forwarded-client-cert", "x")),
    *(("client-api-version", "3.0.0"), ("user", "root"), ("x-forwarded-user", "root")),
    *(("x-remote-user", "root"), ("x-forwarded-client-cert", "Subject=CN=root;URI=root")),
)
"""Headers that could make another of the tenant, or nobody."""

TO_ENVOY = (
    *(("x-envoy-original-path", "/etcdserverpb.Maintenance/Snapshot"),),
    *(("x-envoy-original-dst-host", "127.0.0.1:1"), ("x-envoy-original-host", "admin")),
    *(("x-envoy-upstream-rq-timeout-ms", "1"), ("x-envoy-expected-rq-timeout-ms", "1")),
    *(("x-envoy-upstream-rq-per-try-timeout-ms", "1"), ("x-envoy-force-trace", "true")),
    *(("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "50"), ("x-envoy-hedge-on", "true")),
    *(("x-envoy-retry-grpc-on", "unknown"), ("x-envoy-internal", "true")),
    *(("x-envoy-upstream-alt-stat-name", "mine"), ("x-envoy-decorator-operation", "mine")),
    *(("x-envoy-fault-abort-request", "503"), ("x-envoy-fault-delay-request", "3000")),
    *(("x-envoy-ratelimited", "true"), ("x-envoy-attempt-count", "5"), ("x-envoy-ip-tags", "x")),
    *(("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https"), ("x-request-id", "x")),
    *(("x-forwarded-host", "admin"), ("x-original-url", "/config_dump"), ("via", "gate")),
    *(("x-http-method-override", "GET"), ("x-envoy-downstream-service-cluster", "admin")),
    *(("x-envoy-downstream-service-node", "admin"), ("x-envoy-external-address", "127.0.0.1")),
)
"""Headers that mean something to Envoy, or to another proxy."""

CONTROLS = ("/etcdserverpb.Maintenance/Snapshot", "/etcdserverpb.Auth/UserList")

AUTHORITIES = (
    *("", "admin", "readiness", "127.0.0.1:23792", "root@localhost", "localhost:1", "*", "/"),
    "a b",
)


def forged_users(scene: Scene) -> None:
    """No header makes the tenant anybody else: its own requests go on as if it were not there."""
    scene.core.put(scene.prefix + b"own", OWN)
    with scene.connect() as connection:
        for header in FORGED:
            _own(scene, connection, header)
            _foreign(scene, connection, header)
        _own(scene, connection, *FORGED)
    _refuses_controls(scene, *FORGED)


def words_to_envoy(scene: Scene) -> None:
    """No header changes where a request goes, how long it may take or how often it is tried."""
    scene.core.put(scene.prefix + b"own", OWN)
    with scene.connect() as connection:
        for header in TO_ENVOY:
            _own(scene, connection, header)
            _foreign(scene, connection, header)
    _refuses_controls(scene, *TO_ENVOY)


def authorities(scene: Scene) -> None:
    """Whatever host a request names, it gets no other than this tenant's keys, or is refused."""

    def attack(authority: str) -> None:
        header = (":authority", authority)
        whole = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
        scene.attempt(RANGE, whole, header)
        for path in CONTROLS:
            refused(scene.attempt(path, b"", header))

    together(attack, AUTHORITIES)


def giant_metadata(scene: Scene) -> None:
    """Headers of a hundred kilobytes, and a thousand of them."""
    for headers in ([("x-big", "x" * 100_000)], [(f"x-{n}", "y" * 64) for n in range(1_000)]):
        refused(scene.attempt(RANGE, b"", *headers))


def expired_deadlines(scene: Scene) -> None:
    """Deadlines that have passed, and such that are none."""
    message = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
    with scene.connect() as connection:
        for timeout in ("0n", "1n", "99999999H", "-1S", "x", ""):
            blind(connection.call(RANGE, message, headers=[("grpc-timeout", timeout)]).body)


def _own(scene: Scene, connection: Connection, *headers: tuple[str, str]) -> None:
    message = scene.make("RangeRequest", key=scene.key(b"own"))
    answer = connection.call(RANGE, message, headers=headers)
    assert answer.code == OK, f"{headers}: {describe(answer)}"
    assert OWN in answer.body, headers


def _foreign(scene: Scene, connection: Connection, *headers: tuple[str, str]) -> None:
    whole = scene.make("RangeRequest", key=b"\0", range_end=b"\0")
    blind(connection.call(RANGE, whole, headers=headers).body)
    put = scene.make("PutRequest", key=b"/aa/secret", value=b"mine", prev_kv=True)
    blind(connection.call(PUT, put, headers=headers).body)


def _refuses_controls(scene: Scene, *headers: tuple[str, str]) -> None:
    with scene.connect() as connection:
        for path in CONTROLS:
            refused(connection.call(path, b"", headers=headers), UNIMPLEMENTED)
