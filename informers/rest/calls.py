"""Calls: requests with an answer to wait for, repeated where client-go repeats them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tenacity import RetryCallState, Retrying, retry_if_exception

from informers.clock import Clock
from informers.errors import ApiError, ConnectionFailed, is_too_large_resource_version
from informers.rest.attempts import Attempts, ClientMetrics
from informers.rest.connections import Left
from informers.rest.slots import Slots
from informers.rest.transport import Request, Transport

RETRIES = 10
"""How often one call is repeated, as in client-go's rest/with_retry.go."""

_RECONNECT_DELAY = 1.0
"""Seconds before a GET whose connection was lost is sent again, as in client-go."""


class Calls:
    """Makes `attempts`, at most `at_once` calls at a time. Thread safe.

    `timeout` bounds a call in seconds: every wait and every attempt included.
    """

    def __init__(
        self,
        transport: Transport,
        attempts: Attempts,
        *,
        clock: Clock,
        at_once: int,
        timeout: float,
        metrics: ClientMetrics,
    ) -> None:
        self._transport = transport
        self._attempts = attempts
        self._clock = clock
        self._slots = Slots(at_once, clock=clock)
        self._timeout = timeout
        self._metrics = metrics

    def call(self, request: Request, retries: int = RETRIES) -> bytes:
        """Send until there is an answer, a refusal that lasts, or no time left."""
        began = self._clock.monotonic()
        deadline = began + self._timeout
        failures: list[Exception] = []
        states: list[RetryCallState] = []

        def left() -> float:
            return deadline - self._clock.monotonic()

        def enough(state: RetryCallState) -> bool:
            return state.upcoming_sleep >= left() or state.attempt_number > retries

        retrying = Retrying(
            retry=retry_if_exception(lambda error: _delay(request.method, error) is not None),
            wait=lambda state: _delay(request.method, _error(state)) or 0.0,
            stop=enough,
            sleep=self._pause,
            before=states.append,
            before_sleep=lambda state: failures.append(_error(state)),
            reraise=True,
        )
        try:
            return retrying(lambda: self._attempt(request, left, again=bool(failures)))
        except (ApiError, ConnectionFailed) as error:
            error.previous = failures[-1] if failures else None
            raise
        finally:
            # What is kept of the last attempt refers to itself: each call would leave its bodies,
            # and each failure its callers' objects, in memory until the collector comes by.
            retrying.iter_state.reset()
            failures.clear()
            while states:
                states.pop().outcome = None
            self._metrics.duration(request.method, self._clock.monotonic() - began)

    def _attempt(self, request: Request, left: Left, *, again: bool) -> bytes:
        with self._place(left):
            return self._transport.read(self._attempts.send(request, left, again=again))

    @contextmanager
    def _place(self, left: Left) -> Iterator[None]:
        """Wait for a connection that no other call uses."""
        if not self._slots.take(left()):
            raise self._transport.late(
                "all connections were in use for as long as the call may take"
            )
        try:
            yield
        finally:
            self._slots.give_back()

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._transport.closed, seconds)


def _delay(method: str, error: BaseException) -> float | None:
    """Seconds until the call may be repeated, or None if it may not.

    A version from the future is the caller's to give up, whatever the server says of coming back:
    after a restore from a backup it may never be reached.
    """
    if is_too_large_resource_version(error):
        return None
    if isinstance(error, ApiError) and (error.code == 429 or error.code >= 500):
        return error.retry_after
    if isinstance(error, ConnectionFailed) and error.dropped and method == "GET":
        return _RECONNECT_DELAY
    return None


def _error(state: RetryCallState) -> Exception:
    """What the attempt failed with; tenacity asks for delays only after failures."""
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Exception) else RuntimeError("no failure")
