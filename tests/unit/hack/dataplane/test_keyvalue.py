from dataclasses import replace
from pathlib import Path

from controller.core import Access
from controller.dataplane.gate import Gate
from hack.dataplane import CoreEtcd, GatePod
from hack.dataplane.keyvalue import KeyValue, access_of_core, access_of_pod
from hack.dataplane.programs import Programs
from tests.support.keyvalueserver import serving


def test_what_was_put_is_there() -> None:
    with serving() as server, KeyValue(Access((server.url,))) as keys:
        assert keys.get("/k") is None
        keys.put("/k", b"\xffv")
        assert keys.get("/k") == b"\xffv"
        assert server.keys == {b"/k": b"\xffv"}


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
    pod = GatePod(tmp_path / "tls", noting, replace(gate, tls=True))
    access = access_of_pod(pod)
    assert (access.urls, access.ca_pem) == ((pod.endpoint,), pod.tenant.authority.cert_pem)
    assert access.cert_pem is not None
