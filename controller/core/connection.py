"""Calls to the core etcd by gRPC, to one of its members at a time.

gRPC's own Python library is the client: none of the etcd libraries that are kept up does what is
needed here. Looked at in late 2026: aetcd 1.0 (2026-06) opens plain connections only;
etcd-sdk-python, etcd3 and their forks know TLS but no users and roles, and read keys from files
only; etcd3gw speaks to the JSON gateway, which does not look at the client certificate's name.
"""

import os
import threading
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

# What fails is an exception here and a message for the operator, and not also a line of C++ on
# standard error, which gRPC decides on when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from controller.core.errors import (
    AlreadyExistsError,
    ClosedError,
    CompactedError,
    CoreError,
    DeniedError,
    NotFoundError,
    UnreachableError,
)
from controller.core.looks import Access

DEADLINE: Final = 5.0
"""Seconds for a call to one member. etcd itself gives up on a proposal after 7; a core this slow
serves nobody."""

_OPTIONS: Final = (
    # The core is in the cluster: HTTPS_PROXY of the environment is for what is not.
    ("grpc.enable_http_proxy", 0),
    # The list of 10,000 users.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # A connection to a member that vanished is found in 40 s; etcd allows a ping every 5 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

_TRIES: Final = 5


class _UsersChangedError(CoreError):
    """Some user changed while the core worked on the call; nothing was done."""


_BY_TEXT: Final = {
    "revision of auth store is old": _UsersChangedError,
    "user name not found": NotFoundError,
    "role name not found": NotFoundError,
    "role is not granted to the user": NotFoundError,
    "permission is not granted to the role": NotFoundError,
    "user name already exists": AlreadyExistsError,
    "role name already exists": AlreadyExistsError,
    "required revision has been compacted": CompactedError,
    # With TLS a user without a common name, with none no user at all.
    "user name is empty": DeniedError,
}
"""etcd gives one code, FAILED_PRECONDITION, to most of these: its text tells them apart."""

_BY_CODE: Final = {
    grpc.StatusCode.UNAVAILABLE: UnreachableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnreachableError,
    grpc.StatusCode.PERMISSION_DENIED: DeniedError,
    grpc.StatusCode.UNAUTHENTICATED: DeniedError,
}


class Connection:
    """A channel to one member; the next one's turn comes when it does not answer.

    `call` is for one thread, `close` for any.
    """

    def __init__(self, access: Access, *, deadline: float = DEADLINE) -> None:
        """Open nothing yet. Raises ValueError unless the URLs are some, and all of one kind."""
        self._secure = _is_secure(access.urls)
        self._access = access
        self._deadline = deadline
        self._lock = threading.Lock()
        self._next = 0
        self._channel: grpc.Channel | None = None
        self._closed = False

    def call(self, method: str, request: Any, answer: type[Any]) -> Any:
        """Return the answer to a call of `method`, as `Auth/AuthStatus`.

        Each member is asked in turn until one answers, so a change may be asked for twice: the
        second answer is then AlreadyExistsError or NotFoundError. Raises CoreError.
        """
        failures = []
        for _ in self._access.urls:
            url = self._access.urls[self._next]
            try:
                return self._insist(url, method, request, answer)
            except UnreachableError as error:
                failures.append(f"{url}: {error}")
                self._turn()
        raise UnreachableError("; ".join(failures))

    def close(self) -> None:
        """End the call that waits, and refuse further ones; both raise ClosedError."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _insist(self, url: str, method: str, request: Any, answer: type[Any]) -> Any:
        """Ask again while users change between the core's look at ours and the call itself."""
        for _ in range(_TRIES - 1):
            with suppress(_UsersChangedError):
                return self._call(url, method, request, answer)
        return self._call(url, method, request, answer)

    def _call(self, url: str, method: str, request: Any, answer: type[Any]) -> Any:
        ask = self._open(url).unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return ask(request, timeout=self._deadline)
        except (grpc.RpcError, ValueError) as error:
            # gRPC raises ValueError where its channel was closed before the call.
            if self._closed:
                raise ClosedError("the connection to the core etcd was closed") from error
            raise _translated(error) from error

    def _open(self, url: str) -> grpc.Channel:
        with self._lock:
            if self._closed:
                raise ClosedError("the connection to the core etcd was closed")
            if self._channel is None:
                self._channel = self._connect(urlsplit(url).netloc)
            return self._channel

    def _connect(self, target: str) -> grpc.Channel:
        if not self._secure:
            return grpc.insecure_channel(target, _OPTIONS)
        access = self._access
        credentials = grpc.ssl_channel_credentials(access.ca_pem, access.key_pem, access.cert_pem)
        return grpc.secure_channel(target, credentials, _OPTIONS)

    def _turn(self) -> None:
        """Take the next member, by a new channel: one that failed waits before it tries again."""
        self._next = (self._next + 1) % len(self._access.urls)
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


def _is_secure(urls: tuple[str, ...]) -> bool:
    schemes = {urlsplit(url).scheme for url in urls}
    if schemes not in ({"http"}, {"https"}):
        raise ValueError(f"the core's URLs must be all http or all https: {', '.join(urls)}")
    return schemes == {"https"}


def _translated(error: Exception) -> CoreError:
    if not isinstance(error, grpc.Call):
        return CoreError(str(error))
    text = error.details() or ""
    for part, kind in _BY_TEXT.items():
        if part in text:
            return kind(text)
    kind = _BY_CODE.get(error.code(), CoreError)
    return kind(text or error.code().name)
