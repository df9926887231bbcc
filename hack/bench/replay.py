"""A server that plays the same events to whoever watches: plain HTTP, encoded beforehand.

It stands for an API server that is never the bottleneck. A list, or a watch that begins with
the objects that exist, gives some ReplicaSets; a watch then gives the events, each a change of
one of these and a chunk of its own, as an API server sends them. The stream stays open until
the client leaves. `python -m hack.bench.replay EVENTS` prints the URL and plays until its
standard input ends.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import orjson

from hack.bench.load import REPLICA_SETS, stored

OBJECTS = 1000
"""How many there are; the events change them in turn."""

_TOGETHER = 64
"""Chunks per write, which is the server's affair alone."""

_KIND = {"apiVersion": REPLICA_SETS.api_version, "kind": REPLICA_SETS.kind}


class Recording:
    """The answers: `listed` as a whole, `initial` and `events` in parts of a chunked body."""

    def __init__(self, events: int, objects: int = OBJECTS) -> None:
        existing = [stored(number, number + 1) for number in range(objects)]
        meta = {"resourceVersion": str(objects)}
        kind = {**_KIND, "kind": f"{REPLICA_SETS.kind}List"}
        self.listed = orjson.dumps({**kind, "metadata": meta, "items": existing})
        end = {**meta, "annotations": {"k8s.io/initial-events-end": "true"}}
        bookmark = _chunk("BOOKMARK", {**_KIND, "metadata": end})
        self.initial = _joined([*(_chunk("ADDED", obj) for obj in existing), bookmark])
        changes = (stored(n % objects, objects + 1 + n) for n in range(events))
        self.events = _joined([_chunk("MODIFIED", obj) for obj in changes])


def _chunk(kind: str, obj: object) -> bytes:
    line = orjson.dumps({"type": kind, "object": obj}) + b"\n"
    return b"%x\r\n%b\r\n" % (len(line), line)


def _joined(chunks: list[bytes]) -> list[bytes]:
    return [b"".join(chunks[at : at + _TOGETHER]) for at in range(0, len(chunks), _TOGETHER)]


class ReplayServer(ThreadingHTTPServer):
    """Plays `recording` on a free port of loopback."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.recording = recording

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ReplayServer

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        recording = self.server.recording
        if query.get("watch", "").lower() not in {"true", "1"}:
            self._begin("Content-Length", str(len(recording.listed)))
            self.wfile.write(recording.listed)
            return
        self.close_connection = True
        self._begin("Transfer-Encoding", "chunked")
        initial = recording.initial if "sendInitialEvents" in query else []
        try:
            for part in [*initial, *recording.events]:
                self.wfile.write(part)
            # The end of the client is the end of the stream.
            self.rfile.read(1)
        except OSError:
            pass

    def _begin(self, name: str, value: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


def main(events: int) -> None:
    with ReplayServer(Recording(events)) as server:
        print(server.url, flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
