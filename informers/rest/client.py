"""Calls to the API server: plain JSON in and out, over one pool of connections.

Objects travel as dicts. Generated models would cost ten times the time and lose every field
that they do not know. One client is shared by all threads.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

import orjson

from informers.clock import Clock
from informers.errors import ConnectionFailed
from informers.resource import Resource
from informers.rest.attempts import Attempts, ClientMetrics, NoMetrics
from informers.rest.calls import RETRIES, Calls
from informers.rest.config import ClusterConfig
from informers.rest.throttle import Throttle
from informers.rest.transport import Request, Transport
from informers.rest.watch import Watch

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

READ_TIMEOUT = 75.0
"""Seconds without a byte that end a watch: bookmarks come about once a minute."""

_TIME_TIMEOUT = 10.0
"""Seconds: a time that comes later tells nothing."""


class Client:
    """The API server of `config`.

    `timeout` bounds each call but watches, in seconds and with all waits and retries; `pool_size`
    is how many calls are made at a time and how many connections are kept for them, further
    calls wait. `throttle` limits the requests a second but for watches, which are few and last.
    An exec plugin has all the time it wants of the one call that must run it, as in client-go.

    Calls raise `ApiError` or `ConnectionFailed`. A 429 or 5xx that says when to come back is
    repeated then, a GET also after a lost connection; both as long as the time allows. A 401 is
    repeated once if other credentials can be had.
    """

    def __init__(  # noqa: PLR0913 - the options of a client, all by name
        self,
        config: ClusterConfig,
        *,
        clock: Clock,
        pool_size: int = 10,
        user_agent: str = "etcdproxy-controller",
        timeout: float = 30.0,
        throttle: Throttle | None = None,
        metrics: ClientMetrics | None = None,
    ) -> None:
        self._config = config
        self._one_like_this = partial(
            Client,
            config,
            clock=clock,
            pool_size=1,
            user_agent=user_agent,
            timeout=timeout,
            throttle=throttle,
            metrics=metrics,
        )
        metrics = metrics or NoMetrics()
        self._transport = Transport(config, pool_size, user_agent)
        attempts = partial(Attempts, self._transport, config, clock=clock, metrics=metrics)
        self._watches = attempts(throttle=None)
        self._calls = Calls(
            self._transport,
            attempts(throttle=throttle),
            clock=clock,
            at_once=pool_size,
            timeout=timeout,
            metrics=metrics,
        )

    def __repr__(self) -> str:
        return f"Client({self.server})"

    @property
    def server(self) -> str:
        """The server's URL."""
        return self._config.server

    def session(self) -> "Client":
        """A client like this one with a connection of its own, which its `close` cuts."""
        return self._one_like_this()

    def close(self) -> None:
        """Cut all connections, those in use included; every call fails from now on."""
        self._transport.close()

    def reconnect(self) -> None:
        """Cut all connections, those in use included; what follows opens new ones."""
        self._transport.reconnect()

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

    def post_subresource(  # noqa: PLR0913 - the options of the request, all by name
        self,
        resource: Resource,
        name: str,
        subresource: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        dry_run: bool = False,
        max_retries: int = RETRIES,
    ) -> dict[str, Any]:
        """POST to a subresource, such as a pod's eviction.

        A `dry_run` is answered as the request itself would be, and changes nothing. With
        `max_retries` 0 a 429 that says when to come back is the caller's to wait out.
        """
        path = resource.path(namespace, name, subresource)
        query = {"dryRun": "All" if dry_run else None}
        return self._json("POST", path, body=body, query=query, max_retries=max_retries)

    def raw_get(self, path: str) -> bytes:
        """GET a path that is no object, such as /version or /readyz."""
        return self._calls.call(Request("GET", self._url(path)))

    def server_time(self) -> datetime | None:
        """The server's clock, to the second; None if it, or a proxy, does not tell it."""
        url = self._url("/version")
        response = self._watches.send(Request("GET", url), lambda: _TIME_TIMEOUT)
        self._transport.read(response)
        try:
            return parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return None

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
        response = self._watches.send(Request("GET", url), lambda: read_timeout)
        return Watch(response, self._transport.failure)

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, str | int | bool | None] | None = None,
        max_retries: int = RETRIES,
    ) -> dict[str, Any]:
        request = Request(method, self._url(path, query))
        if body is not None:
            request = replace(request, body=orjson.dumps(body), content_type=content_type)
        answer = self._calls.call(request, max_retries)
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
