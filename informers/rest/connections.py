"""TCP connections that another thread can cut, so that stopping never waits for a server.

urllib3 can shut a connection down only once an answer's headers are in. A server that accepts
and then says nothing would hold a stopping thread until a timeout; so each connection keeps a
second handle of its socket from the moment it stands, TLS handshake included.
"""

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection

CONNECT_TIMEOUT = 5.0
"""Seconds for the TCP connection to stand; the one phase that cannot be cut short."""

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 9}
"""What client-go asks of the kernel: Go's dialer with its 30 s, and Go's defaults beside it."""

_USER_TIMEOUT_MS = 60_000
"""Unacknowledged data, probes included, ends the connection after this long."""

_READ_AHEAD = 1 << 17
"""Bytes that a connection takes from the kernel at once, if there are so many."""

Left = Callable[[], float]
"""Says for how many seconds the next bytes of an answer may be waited for; 0 or less: no more."""

_left: ContextVar[Left] = ContextVar("left")


class Live:
    """The sockets of one client that stand at present. Thread safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: set[socket.socket] = set()
        self._cut = False

    def add(self, sock: socket.socket) -> socket.socket:
        """Keep a handle of `sock` and return it; cut it at once if all have been cut."""
        handle = sock.dup()
        with self._lock:
            self._handles.add(handle)
            if self._cut:
                _shut(handle)
        return handle

    def remove(self, handle: socket.socket) -> None:
        """Forget the handle: the connection is closed, or about to be."""
        with self._lock:
            self._handles.discard(handle)
            handle.close()

    def cut(self) -> None:
        """End every connection, now and in future: blocked readers see the end of the stream."""
        with self._lock:
            self._cut = True
        self.drop()

    def drop(self) -> None:
        """End every connection that stands now, as `cut` does, but none of those to come."""
        with self._lock:
            for handle in self._handles:
                _shut(handle)


def socket_options() -> list[tuple[int, int, int]]:
    """Keepalive and user timeout as far as the platform knows them, on urllib3's own options."""
    options = [(int(a), int(b), int(c)) for a, b, c in HTTPConnection.default_socket_options]
    options.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    wanted = {**_KEEPALIVE, "TCP_USER_TIMEOUT": _USER_TIMEOUT_MS}
    for name, value in wanted.items():
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def make_interruptible(manager: urllib3.PoolManager, live: Live) -> None:
    """Let the connections of `manager` be cut through `live`.

    Works for whatever classes the manager uses, those for proxies included.
    """
    classes: dict[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {
        scheme: type(base.__name__, (base,), {"ConnectionCls": _tracked(base.ConnectionCls, live)})
        for scheme, base in classes.items()
    }


@contextlib.contextmanager
def answers_within(left: Left) -> Iterator[None]:
    """Bound the answers to requests that are sent in here, to their last byte, by `left`.

    urllib3 has no way to hand it down. A timeout of its own bounds the single read, and so not a
    server that sends a byte now and then.
    """
    token = _left.set(left)
    try:
        yield
    finally:
        _left.reset(token)


class _Bounded(io.RawIOBase):
    """The bytes of a socket, each wait for some as long as `left` says at the time."""

    def __init__(self, sock: socket.socket, left: Left) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._left()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _ReadingAhead(HTTPResponse):
    """Takes more from the kernel at once than http.client's 8 kB, which slow a busy watch down."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Bounded(sock, _left.get()), _READ_AHEAD)


def _tracked(base: Any, live: Live) -> Any:
    """A connection class like `base` that reports each socket of its own to `live`."""

    class Tracked(base):  # type: ignore[misc] # the base depends on scheme and proxy
        response_class = _ReadingAhead
        _handle: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            self._handle = live.add(sock)
            return sock

        def getresponse(self) -> Any:
            # "Connection: close" makes http.client close this at the headers. The body is still
            # to come then, and to be cut: the handle stays until urllib3 closes this, which it
            # also does before it connects anew.
            handle, self._handle = self._handle, None
            try:
                return super().getresponse()
            finally:
                self._handle = handle

        def close(self) -> None:
            super().close()
            self._forget()

        def _forget(self) -> None:
            if self._handle is not None:
                live.remove(self._handle)
                self._handle = None

    return Tracked


def _shut(handle: socket.socket) -> None:
    # The peer may have ended the connection just before.
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
