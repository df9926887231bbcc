"""Calls to the API server: plain JSON in and out, over one pool of connections.

Objects travel as dicts. Generated models would cost ten times the time and lose every field
that they do not know. One client is shared by all threads.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception
from urllib3.exceptions import HTTPError

from informers.clock import Clock
from informers.config import ClusterConfig
from informers.connections import CONNECT_TIMEOUT
from informers.errors import ApiError, ConnectionFailed
from informers.resource import Resource
from informers.transport import Request, Transport
from informers.watch import Watch

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

READ_TIMEOUT = 75.0
"""Seconds without a byte that end a watch: bookmarks come about once a minute."""

_RETRIES = 10
"""How often one call is repeated, as in client-go's rest/with_retry.go."""

_RECONNECT_DELAY = 1.0
"""Seconds before a GET whose connection was lost is sent again, as in client-go."""


class Client:
    """The API server of `config`.

    `timeout` bounds each call but watches, in seconds and retries included; `pool_size` is how
    many idle connections are kept. Calls raise `ApiError` or `ConnectionFailed`. A 429 or 5xx
    that says when to come back is repeated then, a GET also after a lost connection; both as
    long as the time allows. A 401 is repeated once if other credentials can be had.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        clock: Clock,
        pool_size: int = 10,
        user_agent: str = "etcdproxy-controller",
        timeout: float = 30.0,
    ) -> None:
        self._config = config
        self._clock = clock
        self._user_agent = user_agent
        self._timeout = timeout
        self._transport = Transport(config, pool_size, user_agent)

    def __repr__(self) -> str:
        return f"Client({self.server})"

    @property
    def server(self) -> str:
        """The server's URL."""
        return self._config.server

    def session(self) -> "Client":
        """A client like this one with connections of its own, which its `close` cuts."""
        return Client(
            self._config,
            clock=self._clock,
            pool_size=1,
            user_agent=self._user_agent,
            timeout=self._timeout,
        )

    def close(self) -> None:
        """Cut all connections, those in use included; every call fails from now on."""
        self._transport.close()

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Read one object."""
        return self._json("GET", resource.path(namespace, name))

    def list(
        self, resource: Resource, namespace: str | None = None, **query: str | int | bool | None
    ) -> dict[str, Any]:
        """Read the list object; `query` names are the API's, such as labelSelector and limit."""
        return self._json("GET", resource.path(namespace), query=query)

    def create(
        self, resource: Resource, obj: Mapping[str, Any], namespace: str | None = None
    ) -> dict[str, Any]:
        """POST `obj` and return what was stored."""
        return self._json("POST", resource.path(namespace), body=obj)

    def patch(  # noqa: PLR0913 - the options of the request, all by name
        self,
        resource: Resource,
        name: str,
        body: object,
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        content_type: str = MERGE_PATCH,
        query: Mapping[str, str | int | bool | None] | None = None,
    ) -> dict[str, Any]:
        """Patch one object or its subresource and return what was stored.

        Server-side apply is `content_type=APPLY_PATCH` with a fieldManager in `query`.
        """
        path = resource.path(namespace, name, subresource)
        return self._json("PATCH", path, body=body, content_type=content_type, query=query)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        preconditions: Mapping[str, str] | None = None,
        propagation: str | None = None,
    ) -> dict[str, Any]:
        """Delete one object; the answer is its last state or a Status.

        `preconditions` may hold uid and resourceVersion; `propagation` is Background,
        Foreground or Orphan.
        """
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if preconditions:
            options["preconditions"] = dict(preconditions)
        if propagation:
            options["propagationPolicy"] = propagation
        return self._json("DELETE", resource.path(namespace, name), body=options)

    def post_subresource(
        self,
        resource: Resource,
        name: str,
        subresource: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
    ) -> dict[str, Any]:
        """POST to a subresource, such as a pod's eviction."""
        return self._json("POST", resource.path(namespace, name, subresource), body=body)

    def raw_get(self, path: str) -> bytes:
        """GET a path that is no object, such as /version or /readyz."""
        return self._call(Request("GET", self._url(path)))

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: Mapping[str, str | int | bool | None],
        read_timeout: float = READ_TIMEOUT,
    ) -> Watch:
        """Open a watch: a context manager that iterates over its events.

        One attempt, no deadline; `read_timeout` seconds without a byte end it by a
        `ConnectionFailed` that is `timed_out`.
        """
        url = self._url(resource.path(namespace), {**query, "watch": True})
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read_timeout)
        response = self._transport.send(Request("GET", url), timeout)
        return Watch(response, self._transport.failure)

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str | int | bool | None] | None = None,
    ) -> dict[str, Any]:
        request = Request(method, self._url(path, query))
        if body is not None:
            request = replace(request, body=orjson.dumps(body), content_type=content_type)
        answer = self._call(request)
        try:
            obj = orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise ConnectionFailed(self.server, f"the answer is not JSON: {error}") from error
        if not isinstance(obj, dict):
            raise ConnectionFailed(self.server, "the answer is not a JSON object")
        return obj

    def _url(self, path: str, query: Mapping[str, str | int | bool | None] | None = None) -> str:
        pairs = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in (query or {}).items()
            if value is not None
        }
        return self.server + path + ("?" + urlencode(pairs) if pairs else "")

    def _call(self, request: Request) -> bytes:
        """Send until there is an answer, a refusal that lasts, or no time left."""
        deadline = self._clock.monotonic() + self._timeout

        def enough(state: RetryCallState) -> bool:
            late = self._clock.monotonic() + state.upcoming_sleep >= deadline
            return late or state.attempt_number > _RETRIES

        retrying = Retrying(
            retry=retry_if_exception(lambda error: _delay(request.method, error) is not None),
            wait=lambda state: _delay(request.method, _error(state)) or 0.0,
            stop=enough,
            sleep=self._pause,
            reraise=True,
        )
        return retrying(self._attempt, request, deadline)

    def _attempt(self, request: Request, deadline: float) -> bytes:
        left = max(deadline - self._clock.monotonic(), 0.001)
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, left), read=left)
        response = self._transport.send(request, timeout)
        try:
            return self._read(response, deadline)
        except (HTTPError, OSError) as error:
            raise self._transport.failure(error) from error
        finally:
            response.release_conn()

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Read the body; a server that trickles it does not get more time than others."""
        parts = []
        for part in response.stream(1 << 20):
            parts.append(part)
            if self._clock.monotonic() > deadline:
                response.close()
                raise ConnectionFailed(self.server, "the answer took too long", timed_out=True)
        return b"".join(parts)

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._transport.closed, seconds)


def _delay(method: str, error: BaseException | None) -> float | None:
    """Seconds until the call may be repeated, or None if it may not."""
    if isinstance(error, ApiError) and (error.code == 429 or error.code >= 500):
        return error.retry_after
    if isinstance(error, ConnectionFailed) and error.dropped and method == "GET":
        return _RECONNECT_DELAY
    return None


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
