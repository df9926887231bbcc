"""Put and Range of etcd, of keys in this process; leases that do not exist, and quiet watches."""

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc

from hack.dataplane.keyvalue import MESSAGES


class KeyValueServer:
    """What was put is in `keys`; with `refusal` every call ends with that code."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.calls = 0
        self.refusal: grpc.StatusCode | None = None
        self.url = ""

    def put(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._take(context)
        self.keys[request.key] = request.value
        return MESSAGES["PutResponse"]()

    def range(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._take(context)
        end = request.range_end or request.key + b"\0"
        found = [value for key, value in self.keys.items() if request.key <= key < end]
        return MESSAGES["RangeResponse"](kvs=[{"value": value} for value in found])

    def revoke(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        self._take(context)
        context.abort(grpc.StatusCode.NOT_FOUND, "requested lease not found")

    def watch(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._take(context)
        for _ in requests:
            yield b"created"

    def _take(self, context: grpc.ServicerContext) -> None:
        self.calls += 1
        if self.refusal:
            context.abort(self.refusal, "as the test wants it")


@contextmanager
def serving() -> Iterator[KeyValueServer]:
    """Serve on loopback, without TLS."""
    kept = KeyValueServer()
    methods = {
        "Put": _unary(kept.put, "PutRequest"),
        "Range": _unary(kept.range, "RangeRequest"),
    }
    with futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        services = {
            "KV": methods,
            "Lease": {"LeaseRevoke": grpc.unary_unary_rpc_method_handler(kept.revoke)},
            "Watch": {"Watch": grpc.stream_stream_rpc_method_handler(kept.watch)},
        }
        handlers = [
            grpc.method_handlers_generic_handler(f"etcdserverpb.{name}", each)
            for name, each in services.items()
        ]
        server.add_generic_rpc_handlers(handlers)
        kept.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield kept
        finally:
            server.stop(None).wait()


def _unary(behaviour: Any, request: str) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        behaviour, MESSAGES[request].FromString, lambda answer: answer.SerializeToString()
    )
