from collections.abc import Iterator
from concurrent import futures
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from controller.core import Access
from controller.dataplane.gate import Gate
from hack.dataplane import CoreEtcd, GatePod, Tenant
from hack.dataplane.keyvalue import MESSAGES, KeyValue, access_of_core, access_of_pod
from hack.dataplane.programs import Programs


class Kept:
    """Keys in this process, behind the two calls."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {}

    def put(self, request: Any, _: grpc.ServicerContext) -> Any:
        self.keys[request.key] = request.value
        return MESSAGES["PutResponse"]()

    def range(self, request: Any, _: grpc.ServicerContext) -> Any:
        found = [self.keys[request.key]] if request.key in self.keys else []
        return MESSAGES["RangeResponse"](kvs=[{"value": value} for value in found])

    def handlers(self) -> dict[str, Any]:
        return {
            "Put": _unary(self.put, "PutRequest"),
            "Range": _unary(self.range, "RangeRequest"),
        }


def _unary(behaviour: Any, request: str) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        behaviour, MESSAGES[request].FromString, lambda answer: answer.SerializeToString()
    )


@pytest.fixture
def url() -> Iterator[str]:
    with futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        handler = grpc.method_handlers_generic_handler("etcdserverpb.KV", Kept().handlers())
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"http://127.0.0.1:{port}"
        server.stop(None).wait()


def test_what_was_put_is_there(url: str) -> None:
    with KeyValue(Access((url,))) as keys:
        assert keys.get("/k") is None
        keys.put("/k", b"\xffv")
        assert keys.get("/k") == b"\xffv"


def test_the_way_to_a_core(tmp_path: Path, noting: Programs) -> None:
    plain = CoreEtcd(tmp_path / "plain", noting)
    assert access_of_core(plain) == Access(plain.urls)
    core = CoreEtcd(tmp_path / "tls", noting, tls=True)
    ca, root = core.certificates.authority.cert_pem, core.certificates.root
    assert access_of_core(core) == Access(core.urls, ca, root.cert_pem, root.key_pem)
    shared = core.certificates.shared
    assert access_of_core(core, shared).cert_pem == shared.cert_pem


def test_the_way_to_a_pod(tmp_path: Path, noting: Programs) -> None:
    gate = Gate("a", "Direct", auth=True, core_urls=("https://127.0.0.1:1",), drain_token="secret")
    plain = GatePod(tmp_path / "plain", noting, gate)
    assert access_of_pod(plain) == Access((plain.endpoint,))
    pod = GatePod(tmp_path / "tls", noting, replace(gate, client_sans=(Tenant.URI,)))
    access = access_of_pod(pod)
    assert (access.urls, access.ca_pem) == ((pod.endpoint,), pod.tenant.authority.cert_pem)
    assert access.cert_pem is not None
