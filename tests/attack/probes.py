"""Attacks on the ports beside the endpoint: probes, drain, Envoy's admin, what is on loopback."""

from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException

from tests.attack.scene import NEIGHBOURS, Scene, refused, together, works
from tests.attack.transport import SNAPSHOT
from tests.support.etcdrpc import Connection

ADMIN = (
    *("/", "/help", "/config_dump", "/clusters", "/stats", "/server_info", "/logging"),
    *(
        "/stats/prometheus",
        "/listeners",
        "/memory",
        "/runtime",
        "/hot_restart_version",
        "/init_dump",
    ),
    *("/quitquitquit", "/healthcheck/fail", "/drain_listeners", "/drain_listeners?graceful"),
    *("/reset_counters", "/runtime_modify?x=y", "/cpuprofiler?enable=y", "/contention"),
    *("/reopen_logs", "/logging?level=trace", "/heap_dump", "/tap", "/allocprofiler"),
)
"""What Envoy's admin endpoint serves."""

DRAINS = (
    *("/drain", "/drain/", "/drain/x", "/drain/%2e%2e/drain_listeners", "//drain", "/drain/*"),
    *("/drain?", "/drain/?token=x", "/DRAIN/", "/drain/../drain/", "/drain/" + "a" * 4096),
)

ROUNDABOUT = (
    *("/ready/../config_dump", "/metrics/../config_dump", "/metrics/../quitquitquit", "//stats"),
    *("/metrics/", "/metrics%2f..%2fconfig_dump", "/live/../stats", "/%63onfig_dump", "/ready/x"),
    *("/certs/../config_dump", "/certs%2f..%2fconfig_dump", "/Certs", "//certs"),
    *("/metrics;/config_dump", "/metrics\\..\\config_dump", "/metrics#/config_dump", "/.//stats"),
)
"""Ways from a path that is served to one that is not."""


def admin_paths(scene: Scene) -> None:
    """Envoy's admin through the port of the probes."""
    for path in (*ADMIN, *ROUNDABOUT):
        for method in ("GET", "POST"):
            status, body = _ask(scene, method, path)
            assert status in {400, 404, 405, 0}, (method, path, status, body[:200])
    works(scene.tenant, scene.schema, scene.key(b"k"))


def drain(scene: Scene) -> None:
    """Drain without the word for it."""
    for path in DRAINS:
        for method in ("GET", "POST", "PUT"):
            status, body = _ask(scene, method, path)
            assert status in {400, 404, 405, 414, 0}, (method, path, status, body[:200])
    _undrained(scene)


def probes_only_read(scene: Scene) -> None:
    """The probes answer GET and nothing else."""
    for path in ("/ready", "/live", "/metrics", "/certs", "/clients"):
        for method in ("POST", "PUT", "DELETE", "CONNECT", "TRACE"):
            status, _ = _ask(scene, method, path)
            assert status in {400, 403, 404, 405, 0}, (method, path, status)
    _undrained(scene)


def metrics_questions(scene: Scene) -> None:
    """Questions in the query, which the admin would take for options."""
    plain, _ = _ask(scene, "GET", "/metrics")
    assert plain == 200
    for query in (
        "?filter=(a+)+$",
        "?format=json",
        "?histogram_buckets=detailed",
        "?/config_dump",
    ):
        status, body = _ask(scene, "GET", f"/metrics{query}")
        assert status != 200 or body.startswith(b"#"), (query, body[:100])
        assert b"static_resources" not in body


def certificates(scene: Scene) -> None:
    """What is told of certificates: nothing that is secret, and nothing of the others."""
    status, body = _ask(scene, "GET", "/certs")
    assert status == 200
    for secret in (b"PRIVATE", b"BEGIN", *(f"etcd-{name}.".encode() for name in NEIGHBOURS)):
        assert secret not in body, secret
    for query in ("?x", "?format=text", "?/config_dump", "/", "/x", ";x"):
        status, _ = _ask(scene, "GET", f"/certs{query}")
        assert status in {400, 404}, (query, status)


def grpc_at_probes(scene: Scene) -> None:
    """Methods of etcd at the port of the probes, by HTTP/2 without TLS and with."""

    def attack(path: str) -> None:
        for context in {None, scene.tenant.context}:
            endpoint = replace(scene.tenant, port=scene.probe, context=context)
            with suppress(OSError), Connection(endpoint) as connection:
                refused(connection.call(path, b""))

    together(attack, (SNAPSHOT, "/etcdserverpb.KV/Range", "/config_dump"))


def headers(scene: Scene) -> None:
    """Headers that would lead a probe to the admin."""
    for header in ("x_envoy_original_path", "Host", "X_Rewrite_URL", "x_original_url"):
        for path in ("/ready", "/live", "/config_dump"):
            status, body = _ask(scene, "GET", path, **{header: "/config_dump"})
            assert b"static_resources" not in body, (header, path)
            assert path != "/config_dump" or status in {0, 400, 404}, (header, status)


def private_ports(scene: Scene) -> None:
    """What the pod keeps on loopback cannot be dialled from outside."""
    reached = []
    for port in scene.private:
        try:
            replace(scene.tenant, port=port, context=None).dial().close()
        except OSError:
            continue
        reached.append(port)
    assert not reached


def _undrained(scene: Scene) -> None:
    """A gate that drains says so by ending connections after an answer."""
    request = scene.make("RangeRequest", key=scene.key(b"k"))
    with scene.connect() as connection:
        for _ in range(3):
            connection.call("/etcdserverpb.KV/Range", request)
        assert not connection.goaway


def _ask(scene: Scene, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Return status and body of an HTTP/1.1 request to the probes; 0 where it hangs up."""
    with closing(HTTPConnection(scene.tenant.host, scene.probe, timeout=3.0)) as connection:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": "probe", "Content-Length": "0", **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        try:
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.read()
        except (HTTPException, ConnectionError):
            return 0, b""
