"""The pages for operators, asked for over real connections."""

import contextlib
import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from controller.httpserver import (
    AT_ONCE,
    OF_ONE_CLIENT,
    PATIENCE,
    HttpServer,
    Page,
    Pages,
    Request,
    metrics_page,
)
from tests.support.clock import FakeClock
from tests.support.eventually import eventually

TEXT = Page("text/plain; charset=utf-8", b"fine")


def broken(_: Request) -> Page:
    raise KeyError("a bug")


@contextmanager
def serving(pages: Pages, clock: FakeClock | None = None) -> Iterator[int]:
    """Serve at a port of the loopback interface."""
    server = HttpServer(("127.0.0.1", 0), pages, clock=clock or FakeClock())
    with server.serving():
        yield server.port


def ask(port: int, path: str, method: str = "GET", accept: str = "*/*") -> tuple[int, str, bytes]:
    """Return code, content type and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_a_page_and_nothing_besides() -> None:
    with serving({"/page": lambda _: TEXT, "/broken": broken}) as port:
        assert ask(port, "/page") == (200, TEXT.content_type, TEXT.body)
        assert ask(port, "/page?with=this")[0] == 200
        for path in ("/", "/metrics", "/page/", "/../page", "/%70age", "*"):
            assert ask(port, path)[0] == 404
        assert ask(port, "/page", "POST")[0] == 501
        with capture_logs() as logs:
            code, _, body = ask(port, "/broken")
        assert (code, b"a bug" in body) == (500, False)
        assert [(log["event"], log["path"]) for log in logs] == [("page_failed", "/broken")]


def test_metrics_in_the_form_that_is_asked_for() -> None:
    registry = CollectorRegistry()
    Gauge("some", "Some gauge", registry=registry).set(3)
    with serving({"/metrics": metrics_page(registry)}) as port:
        code, form, body = ask(port, "/metrics", accept="text/plain;version=0.0.4")
        assert (code, form) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b"# HELP some Some gauge\n# TYPE some gauge\nsome 3.0\n" in body
        code, form, body = ask(port, "/metrics", accept="application/openmetrics-text")
        assert (code, form.partition(";")[0]) == (200, "application/openmetrics-text")
        assert body.endswith(b"# EOF\n")
        with capture_logs() as logs:
            nonsense = "application/openmetrics-text; version=abc"
            assert ask(port, "/metrics", accept=nonsense)[0] == 200
        assert logs == []


def test_who_takes_too_long_is_cut_and_others_have_room_again() -> None:
    clock = FakeClock()
    with contextlib.ExitStack() as held, serving({"/page": lambda _: TEXT}, clock) as port:
        slow = [held.enter_context(connect(port, client=1)) for _ in range(OF_ONE_CLIENT)]
        for connection in slow:
            connection.sendall(b"GET /page HTTP/1.0\r\nAnd-then: ")
        # All places of the client are taken, so one more is turned away.
        eventually(lambda: turned_away(port), what="no room for another")
        clock.step(PATIENCE)
        assert [connection.recv(1) for connection in slow] == [b""] * OF_ONE_CLIENT
        eventually(lambda: not turned_away(port), what="room again")


def test_where_all_places_are_held_the_oldest_gives_way() -> None:
    """Or a few pods together could keep the kubelet from its answers, again and again."""
    with contextlib.ExitStack() as held, serving({"/page": lambda _: TEXT}) as port:
        many = range(AT_ONCE)
        slow = [held.enter_context(connect(port, client=2 + n // OF_ONE_CLIENT)) for n in many]
        assert not turned_away(port)
        assert slow[0].recv(1) == b""
        slow[1].sendall(b"GET /page HTTP/1.0\r\n\r\n")
        assert slow[1].recv(4) == b"HTTP"


def test_who_holds_all_that_it_gets_leaves_room_for_others() -> None:
    """Or any pod could keep the kubelet from its answers, and so have the program restarted."""
    with contextlib.ExitStack() as held, serving({"/page": lambda _: TEXT}) as port:
        greedy = [held.enter_context(connect(port, client=2)) for _ in range(AT_ONCE)]
        assert [one.recv(1) for one in greedy[OF_ONE_CLIENT:]] == [b""] * (AT_ONCE - OF_ONE_CLIENT)
        assert not turned_away(port)


def connect(port: int, client: int) -> socket.socket:
    """Connect from the address 127.0.0.`client`."""
    return socket.create_connection(("127.0.0.1", port), 10, (f"127.0.0.{client}", 0))


def turned_away(port: int) -> bool:
    try:
        return ask(port, "/page") != (200, TEXT.content_type, TEXT.body)
    except (ConnectionError, http.client.HTTPException):
        return True


def test_the_end_cuts_what_is_under_way_and_frees_the_port() -> None:
    with serving({}) as port:
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.sendall(b"GET ")
        assert ask(port, "/")[0] == 404  # so the one before it has been taken on
    with connection:
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/")
    socket.create_server(("127.0.0.1", port)).close()


def test_without_a_host_every_address_is_listened_on() -> None:
    server = HttpServer(("", 0), {"/page": lambda _: TEXT}, clock=FakeClock())
    with server.serving():
        hosts = ["127.0.0.1", *(["[::1]"] if socket.has_dualstack_ipv6() else [])]
        for host in hosts:
            url = f"http://{host}:{server.port}/page"
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.read() == TEXT.body


def test_a_port_in_use_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        HttpServer(("127.0.0.1", taken.getsockname()[1]), {}, clock=FakeClock())


def test_an_ipv6_address() -> None:
    server = HttpServer(("::1", 0), {}, clock=FakeClock())
    with server.serving(), pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://[::1]:{server.port}/", timeout=10)
