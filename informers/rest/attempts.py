"""One attempt of a call or a watch: with credentials, in its turn, and counted."""

from typing import Protocol

import urllib3

from informers.clock import Clock
from informers.errors import ApiError, ConnectionFailed
from informers.rest.config import ClusterConfig
from informers.rest.connections import Left
from informers.rest.throttle import Throttle
from informers.rest.transport import Request, Transport, distrusts


class ClientMetrics(Protocol):
    """What a client reports, from any thread; `verb` is the HTTP method, in capitals."""

    def request(self, verb: str, code: str, *, again: bool) -> None:
        """One request ended by `code`, the HTTP status or "<error>"; `again` if not the first."""
        ...

    def duration(self, verb: str, seconds: float) -> None:
        """A call, no watch, is over, for good or ill and with all its attempts."""
        ...

    def throttled(self, verb: str, seconds: float) -> None:
        """The client's own limit held a request for so long, mostly 0; without one not told."""
        ...


class NoMetrics:
    """Counts nothing."""

    def request(self, verb: str, code: str, *, again: bool) -> None:
        pass

    def duration(self, verb: str, seconds: float) -> None:
        pass

    def throttled(self, verb: str, seconds: float) -> None:
        pass


class Attempts:
    """Sends what it is given over `transport` as who `config` says we are. Thread safe.

    Credentials and trust that turn out to be old are renewed, and the request is sent again. Each
    sending waits for its turn with `throttle`, if there is one, and counts in `metrics`.
    """

    def __init__(
        self,
        transport: Transport,
        config: ClusterConfig,
        *,
        clock: Clock,
        throttle: Throttle | None,
        metrics: ClientMetrics,
    ) -> None:
        self._transport = transport
        self._config = config
        self._clock = clock
        self._throttle = throttle
        self._metrics = metrics

    def send(
        self, request: Request, left: Left, *, again: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """Return a 2xx answer whose body is still to be read, by the caller.

        Raises `ApiError` for any other and `ConnectionFailed` if none came.
        """
        generation = self._config.generation
        try:
            return self._authorized(request, left, again=again)
        except ConnectionFailed as error:
            # Nothing was sent yet: the server's certificate comes before that.
            if not distrusts(error) or not self._config.renew_trust(generation, left()):
                raise
        return self._authorized(request, left, again=True)

    def _authorized(
        self, request: Request, left: Left, *, again: bool
    ) -> urllib3.BaseHTTPResponse:
        self._wait_turn(request, left)
        identity = self._config.identity(self._clock.monotonic(), left())
        try:
            return self._counted(request, identity.authorization, left, again=again)
        except ApiError as error:
            if error.code != 401:
                raise
            fresh = self._config.renewed(identity, self._clock.monotonic(), left())
            if fresh is None:
                raise
        self._wait_turn(request, left)
        return self._counted(request, fresh.authorization, left, again=True)

    def _counted(
        self, request: Request, authorization: str | None, left: Left, *, again: bool
    ) -> urllib3.BaseHTTPResponse:
        code = "<error>"
        try:
            response = self._transport.send(request, authorization, left)
            code = str(response.status)
        except ApiError as error:
            code = str(error.code)
            raise
        finally:
            self._metrics.request(request.method, code, again=again)
        return response

    def _wait_turn(self, request: Request, left: Left) -> None:
        """Keep to the limit of requests a second, if there is one."""
        if self._throttle is None:
            return
        waited = self._throttle.wait(
            f"{request.method} {request.url}", left(), self._transport.closed
        )
        if waited is None:
            raise self._transport.late(
                "client side rate limit: would have to wait longer than the deadline"
            )
        self._metrics.throttled(request.method, waited)
