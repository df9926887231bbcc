import base64
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.soak.kubelet import Key, Kubelet, Volume, content
from tests.support.eventually import eventually

SECRET: Key = ("Secret", "ns", "pair")


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    volumes = {SECRET: Volume(tmp_path / "pair", ("tls.crt", "tls.key"))}
    running = Kubelet(volumes, 0.02, random.Random(1))
    yield running
    running.stop()


def secret(name: str = "pair", **data: bytes) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {
        "kind": "Secret",
        "metadata": {"namespace": "ns", "name": name},
        "data": {key.replace("_", "."): value for key, value in encoded.items()},
    }


def test_what_is_mounted_comes_and_nothing_else_does(tmp_path: Path, kubelet: Kubelet) -> None:
    assert not kubelet.has_brought(SECRET)
    kubelet.on_add(secret("other", tls_crt=b"o", tls_key=b"o"), True)
    kubelet.on_add(secret(tls_crt=b"1", tls_key=b"1", ca_crt=b"1"), True)
    eventually(lambda: kubelet.has_brought(SECRET))
    # Complete as soon as the link is there; the names that lead into it come right after it.
    assert {path.name for path in (tmp_path / "pair" / "..data").iterdir()} == {
        "tls.crt",
        "tls.key",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


def test_the_last_of_several_changes_comes(tmp_path: Path, kubelet: Kubelet) -> None:
    for at in range(5):
        kubelet.on_update({}, secret(tls_crt=b"%d" % at, tls_key=b"%d" % at))
    read = (tmp_path / "pair" / "..data" / "tls.crt").read_bytes
    eventually(lambda: kubelet.has_brought(SECRET) and read() == b"4")
    assert kubelet.failures == []


def test_what_lacks_a_file_is_not_brought(tmp_path: Path, kubelet: Kubelet) -> None:
    kubelet.on_add(secret(tls_crt=b"1", tls_key=b"1"), False)
    eventually(lambda: kubelet.has_brought(SECRET))
    kubelet.on_update({}, secret(tls_crt=b"2"))
    kubelet.on_update({}, secret(tls_crt=b"3", tls_key=b"3"))
    read = (tmp_path / "pair" / "..data" / "tls.crt").read_bytes
    assert eventually(lambda: read() != b"1" and read()) == b"3"


def test_what_breaks_it_is_told(tmp_path: Path, kubelet: Kubelet) -> None:
    (tmp_path / "pair").write_text("no folder")
    kubelet.on_add(secret(tls_crt=b"1", tls_key=b"1"), False)
    eventually(lambda: kubelet.failures)


def test_a_config_map_is_text() -> None:
    assert content({"kind": "ConfigMap", "data": {"ca": "it"}}) == {"ca": b"it"}
    assert content({"kind": "Secret"}) == {}
