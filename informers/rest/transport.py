"""One request over the wire: the pool, and errors that one can read."""

import ssl
import threading
from dataclasses import dataclass

import urllib3
from urllib3 import exceptions as http

from informers.errors import ApiError, ConnectionFailed
from informers.rest.config import ClusterConfig
from informers.rest.connections import (
    CONNECT_TIMEOUT,
    Left,
    Live,
    answers_within,
    make_interruptible,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out, credentials and agent apart."""

    method: str
    url: str
    body: bytes | None = None
    content_type: str | None = None


class Transport:
    """Sends requests over connections of its own; `close` cuts them all. Thread safe."""

    def __init__(self, config: ClusterConfig, pool_size: int, user_agent: str) -> None:
        self._config = config
        self._pool_size = pool_size
        self._user_agent = user_agent
        self._lock = threading.Lock()
        self._pool = _Pool.build(config, pool_size, Live())
        self.closed = threading.Event()

    @property
    def server(self) -> str:
        """The server's URL."""
        return self._config.server

    def close(self) -> None:
        """End the requests under way and refuse new ones."""
        self.closed.set()
        with self._lock:
            self._pool.live.cut()
            self._pool.close()

    def reconnect(self) -> None:
        """End the requests under way; new ones go over new connections."""
        with self._lock:
            self._pool.live.drop()

    def send(
        self, request: Request, authorization: str | None, left: Left
    ) -> urllib3.BaseHTTPResponse:
        """Send once; `left` bounds it, and whatever is read of the answer later.

        Returns a 2xx answer whose body is still to be read, by the caller; raises `ApiError` for
        any other and `ConnectionFailed` if none came.
        """
        response = self._transmit(request, authorization, left)
        if response.status >= 300:
            raise _refusal(response)
        return response

    def read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read the whole body, which gives the connection back."""
        try:
            return response.read()
        except (http.HTTPError, OSError) as error:
            raise self.failure(error) from error

    def late(self, what: str) -> ConnectionFailed:
        """The error for a time that is over; `what` says of what it was the time."""
        return ConnectionFailed(self.server, what, timed_out=True)

    def failure(self, error: BaseException) -> ConnectionFailed:
        """Say in one line what urllib3 says in a chain of exceptions."""
        chain = _chain(error)
        timed_out = isinstance(error, http.TimeoutError)
        # A refused connection is a ConnectTimeoutError by ancestry.
        timed_out &= not isinstance(error, http.NewConnectionError)
        dropped = isinstance(error, (http.ProtocolError, ConnectionResetError, BrokenPipeError))
        cause = "no answer in time" if timed_out else _cause(chain)
        return ConnectionFailed(
            self._config.server,
            f"connection lost: {cause}" if dropped else cause,
            refused=any(isinstance(link, ConnectionRefusedError) for link in chain),
            timed_out=timed_out,
            dropped=dropped,
        )

    def _transmit(
        self, request: Request, authorization: str | None, left: Left
    ) -> urllib3.BaseHTTPResponse:
        if self.closed.is_set():
            raise ConnectionFailed(self.server, "the client is closed")
        longest = left()
        if longest <= 0:
            raise self.late("no time was left to send the request")
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, longest), read=longest)
        headers = urllib3.HTTPHeaderDict(self._config.headers)
        headers.update({"Accept": "application/json", "User-Agent": self._user_agent})
        if authorization:
            headers["Authorization"] = authorization
        if request.content_type:
            headers["Content-Type"] = request.content_type
        try:
            with answers_within(left):
                return self._current_pool().manager.request(
                    request.method,
                    request.url,
                    body=request.body,
                    headers=headers,
                    timeout=timeout,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
        except (http.HTTPError, OSError) as error:
            raise self.failure(error) from error

    def _current_pool(self) -> "_Pool":
        """The pool, built anew if the credentials were renewed: old connections keep the old."""
        with self._lock:
            if self._pool.generation != self._config.generation and not self.closed.is_set():
                self._pool.close()
                # Requests under way on the old connections are still for `close` to cut.
                self._pool = _Pool.build(self._config, self._pool_size, self._pool.live)
            return self._pool


@dataclass(frozen=True, slots=True)
class _Pool:
    """Connections made with the credentials of one generation."""

    manager: urllib3.PoolManager
    generation: int
    live: Live

    @classmethod
    def build(cls, config: ClusterConfig, size: int, live: Live) -> "_Pool":
        generation = config.generation
        manager = config.new_pool(size)
        make_interruptible(manager, live)
        return cls(manager, generation, live)

    def close(self) -> None:
        """Close what is idle now and the rest as it comes back; `clear` leaves both to chance."""
        pools = self.manager.pools
        for pool in [pools[key] for key in pools.keys()]:  # noqa: SIM118 - not iterable itself
            pool.close()
        pools.clear()


def _refusal(response: urllib3.BaseHTTPResponse) -> ApiError:
    try:
        body = response.read()
    except (http.HTTPError, OSError):
        body = b""
    return ApiError.from_response(response.status, body, response.headers.get("Retry-After"))


def distrusts(error: ConnectionFailed) -> bool:
    """Whether it is the server's certificate that ended the connection, before any request."""
    return any(isinstance(link, ssl.SSLCertVerificationError) for link in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what caused it, outermost first."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    return chain


def _cause(chain: list[BaseException]) -> str:
    """What TLS or the system said first of all, or else urllib3."""
    for link in reversed(chain):
        # Python's own is an OSError too; some checks are urllib3's alone.
        if isinstance(link, (ssl.SSLError, http.SSLError)):
            return f"TLS: {link}"
        if isinstance(link, OSError):
            return link.strerror or str(link)
    return str(chain[0]) or type(chain[0]).__name__
