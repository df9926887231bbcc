"""Calls: requests with an answer to wait for, repeated where client-go repeats them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception
from urllib3.exceptions import HTTPError

from informers.clock import Clock
from informers.errors import ApiError, ConnectionFailed
from informers.rest.connections import CONNECT_TIMEOUT
from informers.rest.slots import Slots
from informers.rest.throttle import Throttle
from informers.rest.transport import Request, Transport

RETRIES = 10
"""How often one call is repeated, as in client-go's rest/with_retry.go."""

_RECONNECT_DELAY = 1.0
"""Seconds before a GET whose connection was lost is sent again, as in client-go."""


class ClientMetrics(Protocol):
    """What a client reports, from any thread; `verb` is the HTTP method, in capitals."""

    def request(self, verb: str, code: str, *, again: bool) -> None:
        """One attempt ended by `code`, the HTTP status or "<error>"; `again` if not the first."""
        ...

    def duration(self, verb: str, seconds: float) -> None:
        """A call, no watch, is over, for good or ill and with all its attempts."""
        ...

    def throttled(self, verb: str, seconds: float) -> None:
        """The client's own limit held an attempt for so long, mostly 0; without one not told."""
        ...


class NoMetrics:
    """Counts nothing."""

    def request(self, verb: str, code: str, *, again: bool) -> None:
        pass

    def duration(self, verb: str, seconds: float) -> None:
        pass

    def throttled(self, verb: str, seconds: float) -> None:
        pass


class Calls:
    """Sends requests over `transport`, at most `at_once` calls at a time. Thread safe.

    `timeout` bounds a call in seconds: every wait and every attempt included.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        at_once: int,
        timeout: float,
        throttle: Throttle | None,
        metrics: ClientMetrics,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._slots = Slots(at_once, clock=clock)
        self._timeout = timeout
        self._throttle = throttle
        self._metrics = metrics

    def send(
        self, request: Request, timeout: urllib3.Timeout, *, again: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """One attempt, without any limit but `timeout`; the body is left to the caller."""
        code = "<error>"
        try:
            response = self._transport.send(request, timeout)
            code = str(response.status)
        except ApiError as error:
            code = str(error.code)
            raise
        finally:
            self._metrics.request(request.method, code, again=again)
        return response

    def call(self, request: Request, retries: int = RETRIES) -> bytes:
        """Send until there is an answer, a refusal that lasts, or no time left."""
        began = self._clock.monotonic()
        deadline = began + self._timeout
        failures: list[Exception] = []

        def enough(state: RetryCallState) -> bool:
            late = self._clock.monotonic() + state.upcoming_sleep >= deadline
            return late or state.attempt_number > retries

        retrying = Retrying(
            retry=retry_if_exception(lambda error: _delay(request.method, error) is not None),
            wait=lambda state: _delay(request.method, _error(state)) or 0.0,
            stop=enough,
            sleep=self._pause,
            before_sleep=lambda state: failures.append(_error(state)),
            reraise=True,
        )
        try:
            return retrying(lambda: self._attempt(request, deadline, again=bool(failures)))
        except (ApiError, ConnectionFailed) as error:
            error.previous = failures[-1] if failures else None
            raise
        finally:
            self._metrics.duration(request.method, self._clock.monotonic() - began)

    def _attempt(self, request: Request, deadline: float, *, again: bool) -> bytes:
        with self._place(deadline):
            self._wait_turn(request, deadline)
            left = max(deadline - self._clock.monotonic(), 0.001)
            timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, left), read=left)
            response = self.send(request, timeout, again=again)
            try:
                return self._read(response, deadline)
            except (HTTPError, OSError) as error:
                raise self._transport.failure(error) from error
            finally:
                response.release_conn()

    @contextmanager
    def _place(self, deadline: float) -> Iterator[None]:
        """Wait for a connection that no other call uses."""
        if not self._slots.take(deadline - self._clock.monotonic()):
            raise self._late("all connections were in use for as long as the call may take")
        try:
            yield
        finally:
            self._slots.give_back()

    def _wait_turn(self, request: Request, deadline: float) -> None:
        """Keep to the limit of requests a second, if there is one."""
        if self._throttle is None:
            return
        waited = self._throttle.wait(
            f"{request.method} {request.url}",
            deadline - self._clock.monotonic(),
            self._transport.closed,
        )
        if waited is None:
            raise self._late("client side rate limit: would have to wait longer than the deadline")
        self._metrics.throttled(request.method, waited)

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Read the body; a server that trickles it does not get more time than others."""
        parts = []
        for part in response.stream(1 << 20):
            parts.append(part)
            if self._clock.monotonic() > deadline:
                response.close()
                raise self._late("the answer took too long")
        return b"".join(parts)

    def _late(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(self._transport.server, what, timed_out=True)

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._transport.closed, seconds)


def _delay(method: str, error: BaseException) -> float | None:
    """Seconds until the call may be repeated, or None if it may not."""
    if isinstance(error, ApiError) and (error.code == 429 or error.code >= 500):
        return error.retry_after
    if isinstance(error, ConnectionFailed) and error.dropped and method == "GET":
        return _RECONNECT_DELAY
    return None


def _error(state: RetryCallState) -> Exception:
    """What the attempt failed with; tenacity asks for delays only after failures."""
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Exception) else RuntimeError("no failure")
