"""Serves pages over HTTP to whoever operates the controller, each made when it is asked for.

Anybody in the cluster may ask: a request has a few seconds from its first byte to its last, and
only so many are served at once, of one client a few of them, whose further ones are turned away.
Where all together are too many the oldest gives way, so that nobody waits for who holds on.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from workqueue import Clock

PATIENCE: Final = 10.0
"""Seconds for one request. Prometheus gives up after as many by default."""

AT_ONCE: Final = 16
"""Requests."""

OF_ONE_CLIENT: Final = 4
"""Requests of one address: who holds all that it gets leaves room for the kubelet's, without whose
answers the program would be started again."""

_LOOK: Final = 0.5
"""Seconds between two looks for requests that are over their time, and for the end."""

_log = structlog.get_logger("controller.http")


@dataclass(frozen=True, slots=True)
class Request:
    """What a page is made for: the forms that are accepted, and the values of each parameter."""

    accept: str = ""
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered."""

    content_type: str
    body: bytes
    code: HTTPStatus = HTTPStatus.OK


MakePage = Callable[[Request], Page]
Pages = Mapping[str, MakePage]
"""By path."""


def metrics_page(registry: CollectorRegistry) -> MakePage:
    """Return what makes the page with all metrics of `registry`, as Prometheus reads it."""

    def page(request: Request) -> Page:
        try:
            encode, content_type = choose_encoder(request.accept)
        except TypeError:  # by a version that is none, which nobody should be able to fill logs by
            encode, content_type = choose_encoder("")
        return Page(content_type, encode(registry))

    return page


class HttpServer:
    """Listens from the start, and answers while `serving`; may be used once."""

    def __init__(self, address: tuple[str, int], pages: Pages, *, clock: Clock) -> None:
        """Raises OSError if nobody can listen at `address`; its host '' is every one of ours."""
        self._server = _Server(_listen(*address), pages, clock)

    @property
    def port(self) -> int:
        return int(self._server.socket.getsockname()[1])

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Answer; at the end requests that are under way are cut."""
        thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK,), name="http", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _listen(host: str, port: int) -> socket.socket:
    if host == "" and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that the end waits for them, whose connections it has cut

    def __init__(self, listening: socket.socket, pages: Pages, clock: Clock) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.pages = pages
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Any, tuple[float, str]] = {}
        """Connections, by when each has to be over, and from which address."""

    def process_request(self, request: Any, client_address: Any) -> None:
        client = client_address[0]
        with self._lock:
            theirs = sum(1 for _, address in self._open.values() if address == client)
            room = theirs < OF_ONE_CLIENT
            if room:
                self._make_room_locked()
                self._open[request] = self._clock.monotonic() + PATIENCE, client
        if room:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self._cut(self._clock.monotonic())

    def server_close(self) -> None:
        self._cut(float("inf"))
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Whoever asked has gone, or was cut."""
        _log.debug("http_request_broke", exc_info=True)

    def _make_room_locked(self) -> None:
        """Cut the oldest if there is no room for one more; to be called with the lock held."""
        if len(self._open) >= AT_ONCE:
            oldest = next(iter(self._open))
            del self._open[oldest]
            _cut(oldest)

    def _cut(self, until: float) -> None:
        with self._lock:
            for request in [request for request, (end, _) in self._open.items() if end <= until]:
                _cut(request)


def _cut(request: socket.socket) -> None:
    """End a connection, but not close it, which is for the thread that reads from it."""
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        make = self.server.pages.get(asked.path)
        if make is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            query = parse_qs(asked.query, keep_blank_values=True)
            page = make(Request(self.headers.get("Accept", ""), query))
        except Exception:  # noqa: BLE001 - whatever it is, whoever asks is told
            _log.exception("page_failed", path=self.path)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self.send_response(page.code)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def version_string(self) -> str:
        """Tell nobody which Python this is."""
        return "etcdproxy-controller"

    def log_message(self, *_: object) -> None:
        """Scrapes are no news."""
