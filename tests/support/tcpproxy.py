"""A TCP connection to somewhere else that can be interrupted and restored."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hack.cluster import ports


class TcpProxy:
    """Forwards a port of loopback to `target`; while it is cut, connections are refused.

    A new `target` is that of new connections, as when a Service changes its endpoints.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._cut = False
        # None that Linux gives to somebody else's connection while this one is cut.
        (self.port,) = ports.free(1)
        self._listener = self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """End all connections and take no more; every thread has ended on return."""
        with self._lock:
            _shut(self._listener)
            for sock in self._open:
                _shut(sock)
            self._cut = True
        while self._threads:
            self._threads.pop().join()
        for sock in (self._listener, *self._open):
            sock.close()
        self._open.clear()

    def restore(self) -> None:
        """Take connections again, at the same port."""
        self._cut = False
        self._listener = self._listen()

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._start(self._forward_all, listener)
        return listener

    def _start(self, body: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=body, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _forward_all(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._forward(near)

    def _forward(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        with self._lock:
            # One that came just before the cut was not open yet when all that were ended.
            if self._cut:
                near.close()
                far.close()
                return
            self._open |= {near, far}
        self._start(self._pump, near, far)
        self._start(self._pump, far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(1 << 16):
                sink.sendall(part)
        _shut(source)
        _shut(sink)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
