"""One open watch: a stream of events, one JSON document per line."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from informers.errors import ConnectionFailed

Event = dict[str, Any]
"""A metav1.WatchEvent: {"type": ADDED | MODIFIED | DELETED | BOOKMARK | ERROR, "object": ...}"""

_CHUNK = 1 << 16
"""Bytes per read at most; what the server has flushed never waits for more."""


class Watch:
    """Iterates over the events of one request; made by `Client.watch`.

    The iteration ends when the server ends the stream, and raises `ConnectionFailed` when the
    stream breaks. What follows the last newline is no event and is dropped. Only one thread
    iterates, and may stop and go on; closing the client from another one ends it at once.
    """

    def __init__(
        self,
        response: urllib3.BaseHTTPResponse,
        failure: Callable[[BaseException], ConnectionFailed],
    ) -> None:
        self._response = response
        self._failure = failure
        self._events = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._response.close()
        # Or else the garbage collector does it, while the pool may have its fill again.
        self._response.release_conn()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def _read(self) -> Iterator[Event]:
        try:
            for line in _lines(_arrivals(self._response)):
                yield decode(line)
        except (HTTPError, OSError) as error:
            raise self._failure(error) from error


def decode(line: bytes) -> Event:
    """Parse one line; what is no event becomes an ERROR event, as client-go reports it."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _undecodable(str(error))
    if not (isinstance(event, dict) and isinstance(event.get("object"), dict)):
        return _undecodable("not a watch event")
    return event


def _undecodable(why: str) -> Event:
    status = {
        "kind": "Status",
        "code": 500,
        "reason": "InternalError",
        "message": f"unable to decode an event from the watch stream: {why}",
        "details": {"causes": [{"reason": "ClientWatchDecoding", "message": why}]},
    }
    return {"type": "ERROR", "object": status}


def _arrivals(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body as it comes. Proxies that speak HTTP/1.0 send it without chunks.

    `read1` would do for both, and take up to twice as long for chunks.
    """
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        return response.stream(_CHUNK)
    return iter(lambda: response.read1(_CHUNK), b"")


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut at newlines. Parts of a long line are joined once, not once per chunk."""
    parts: list[bytes] = []
    for chunk in chunks:
        if b"\n" not in chunk:
            parts.append(chunk)
            continue
        *lines, rest = chunk.split(b"\n")
        lines[0] = b"".join([*parts, lines[0]])
        parts = [rest]
        yield from filter(None, lines)
