"""A gRPC client that a library would not let be: any path, any header, any bytes.

`Schema` knows the messages from etcd's own descriptors, so that whatever a new etcd adds can be
sent too. `Connection` speaks HTTP/2 frame by frame, in the thread of its user.
"""

import socket
import ssl
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DEADLINE = 30.0
"""Seconds that an answer may take on a machine that is busy. A request that hangs longer is none
that was refused."""

OK = 0
PERMISSION_DENIED = 7
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
UNAVAILABLE = 14
"""Codes of gRPC."""

_CHUNK = 65536
_SILENCE = 0.2
"""Seconds after which no more of an answer is expected."""
_HEADERS = (("te", "trailers"), ("content-type", "application/grpc"))


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service, `/etcdserverpb.KV/Range`."""

    path: str
    input: str
    """Full name of the message it takes."""
    output: str
    client_streams: bool
    server_streams: bool


class Schema:
    """The services and messages of a serialised FileDescriptorSet."""

    def __init__(self, descriptors: bytes) -> None:
        self._files = descriptor_pb2.FileDescriptorSet.FromString(descriptors).file
        self._pool = descriptor_pool.DescriptorPool()
        for file in self._files:
            self._pool.Add(file)

    @cached_property
    def methods(self) -> dict[str, Method]:
        """Every method of every service, by path."""
        found = [
            Method(
                f"/{file.package}.{service.name}/{method.name}",
                method.input_type.removeprefix("."),
                method.output_type.removeprefix("."),
                method.client_streaming,
                method.server_streaming,
            )
            for file in self._files
            for service in file.service
            for method in service.method
        ]
        return {method.path: method for method in found}

    def make(self, message: str, /, **fields: Any) -> bytes:
        """Serialise a message; nested ones are dicts."""
        return bytes(self._class(message)(**fields).SerializeToString())

    def read(self, message: str, content: bytes) -> Any:
        """Parse a message."""
        return self._class(message).FromString(content)

    def _class(self, message: str) -> Any:
        name = message if "." in message else f"etcdserverpb.{message}"
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens, and what is shown to it there."""

    port: int
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    server_name: str = "localhost"

    def dial(self) -> socket.socket:
        """Connect a plain or TLS socket; OSError if the server does not want that."""
        sock = socket.create_connection((self.host, self.port), DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is None:
            return sock
        try:
            return self.context.wrap_socket(sock, server_hostname=self.server_name)
        except OSError:
            sock.close()
            raise


class ClosedError(ConnectionError):
    """The server has ended the connection."""


@dataclass(slots=True)
class Answer:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    """Of the head and the trailer."""
    body: bytearray = field(default_factory=bytearray)
    reset: int | None = None
    """The error code of HTTP/2 if the stream was reset."""
    ended: bool = False

    @property
    def http(self) -> int:
        return int(self.headers.get(":status", "0"))

    @property
    def code(self) -> int | None:
        """Of gRPC; None if it was not given."""
        given = self.headers.get("grpc-status")
        return None if given is None else int(given)

    @property
    def text(self) -> str:
        return self.headers.get("grpc-message", "")

    def messages(self) -> list[bytes]:
        """Return those that have arrived whole."""
        return list(_unframe(bytes(self.body)))


class Stream:
    """One request; `answer` grows while the connection is pumped."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self._connection = connection
        self.number = number
        self.answer = Answer()

    def send(self, message: bytes) -> None:
        """Send one framed message."""
        self.send_raw(frame(message))

    def send_raw(self, content: bytes, *, end: bool = False) -> None:
        """Send bytes as they are, and nothing any more once the server has ended the stream."""
        self._connection.send(self, content, end=end)

    def end(self) -> None:
        self.send_raw(b"", end=True)

    def reset(self) -> None:
        self._connection.reset(self)

    def wait(self, deadline: float = DEADLINE) -> Answer:
        """Wait for the end of the answer; TimeoutError if it does not come."""
        self._connection.pump(lambda: self.answer.ended, deadline)
        return self.answer

    def receive(self, count: int = 1, deadline: float = DEADLINE) -> list[bytes]:
        """Wait until `count` messages have arrived, or the answer has ended, and return all."""
        answer = self.answer
        self._connection.pump(lambda: answer.ended or len(answer.messages()) >= count, deadline)
        return answer.messages()


class Connection:
    """One connection, of one thread.

    Its methods raise ClosedError when the server ends it, TimeoutError when nothing comes.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            # What is wrong with a request is for the other side to say.
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        self._streams: dict[int, Stream] = {}
        self.goaway = False
        self._socket = endpoint.dial()
        try:
            self._h2.initiate_connection()
            self._h2.increment_flow_control_window(2**30)
            self._flush()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(
        self,
        path: str,
        *messages: bytes,
        headers: Iterable[tuple[str, str]] = (),
        deadline: float = DEADLINE,
    ) -> Answer:
        """Send all messages, end the request, and wait for the whole answer."""
        body = b"".join(frame(message) for message in messages)
        return self.exchange(path, body, headers=headers, deadline=deadline)

    def exchange(
        self,
        path: str,
        body: bytes,
        *,
        headers: Iterable[tuple[str, str]] = (),
        deadline: float = DEADLINE,
    ) -> Answer:
        """Send a body as it is, and wait for the whole answer."""
        stream = self.open(path, headers=headers)
        stream.send_raw(body, end=True)
        return stream.wait(deadline)

    def open(self, path: str, *, headers: Iterable[tuple[str, str]] = ()) -> Stream:
        """Begin a request. Headers of the names of our own replace these."""
        scheme = "https" if self._endpoint.context else "http"
        head = [
            *((":method", "POST"), (":scheme", scheme), (":path", path)),
            *((":authority", self._endpoint.server_name), *_HEADERS),
        ]
        given = list(headers)
        names = {name for name, _ in given}
        head = [pair for pair in head if pair[0] not in names]
        # Pseudo-headers come first.
        whole = sorted([*head, *given], key=lambda pair: not pair[0].startswith(":"))
        stream = Stream(self, self._h2.get_next_available_stream_id())
        self._streams[stream.number] = stream
        self._h2.send_headers(stream.number, whole)
        self._flush()
        return stream

    def send(self, stream: Stream, content: bytes, *, end: bool) -> None:
        rest = memoryview(content)
        while rest and not stream.answer.ended:
            size = self._writable(stream.number)
            if size == 0:
                self.pump(lambda: stream.answer.ended or self._writable(stream.number) > 0)
                continue
            piece, rest = bytes(rest[:size]), rest[size:]
            # With the last piece, as every client has it: a server that hears of the end only
            # later may answer before.
            self._h2.send_data(stream.number, piece, end_stream=end and not rest)
            self._flush()
        if end and not content and not stream.answer.ended:
            self._h2.end_stream(stream.number)
            self._flush()

    def reset(self, stream: Stream) -> None:
        self._h2.reset_stream(stream.number, h2.errors.ErrorCodes.CANCEL)
        stream.answer.ended = True
        self._flush()

    def pump(self, done: Any, deadline: float = DEADLINE) -> None:
        """Read until `done()` says true."""
        until = time.monotonic() + deadline
        while not done():
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer")
            self._socket.settimeout(left)
            try:
                content = self._socket.recv(_CHUNK)
            except TimeoutError:
                raise TimeoutError("no answer") from None
            except OSError as error:
                raise ClosedError(str(error)) from error
            if not content:
                raise ClosedError("the server has ended the connection")
            self._take(content)

    def _writable(self, number: int) -> int:
        window = self._h2.local_flow_control_window(number)
        return min(window, self._h2.max_outbound_frame_size)

    def _take(self, content: bytes) -> None:
        try:
            events = self._h2.receive_data(content)
        except h2.exceptions.ProtocolError as error:
            raise ClosedError(str(error)) from error
        for event in events:
            self._see(event)
        self._flush()

    def _see(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = True
            if event.error_code:
                raise ClosedError(f"GOAWAY {event.error_code}")
        number = getattr(event, "stream_id", None)
        stream = self._streams.get(number) if number is not None else None
        if stream is None:
            return
        answer = stream.answer
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            answer.headers.update((str(k), str(v)) for k, v in event.headers or ())
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream.number)
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code or 0)
            answer.ended = True
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True

    def _flush(self) -> None:
        try:
            self._socket.settimeout(DEADLINE)
            self._socket.sendall(self._h2.data_to_send())
        except TimeoutError:
            raise TimeoutError("the server does not read") from None
        except OSError as error:
            raise ClosedError(str(error)) from error


def frame(message: bytes, *, compressed: int = 0) -> bytes:
    """Put gRPC's prefix before a message."""
    return struct.pack(">BI", compressed, len(message)) + message


def _unframe(body: bytes) -> Iterator[bytes]:
    at = 0
    while len(body) >= at + 5:
        size = struct.unpack_from(">I", body, at + 1)[0]
        if len(body) < at + 5 + size:
            return
        yield body[at + 5 : at + 5 + size]
        at += 5 + size


def raw(endpoint: Endpoint, request: bytes, *, deadline: float = 1.0) -> bytes:
    """Send bytes and return what comes back until the server closes or is silent.

    `deadline` is that of the first bytes. Empty where it hangs up.
    """
    answer = b""
    try:
        with endpoint.dial() as sock:
            sock.settimeout(deadline)
            sock.sendall(request)
            while content := sock.recv(_CHUNK):
                answer += content
                sock.settimeout(_SILENCE)
    except OSError:
        pass
    return answer
