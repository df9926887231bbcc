from pathlib import Path

import pytest

from hack.dataplane import BareProxy, CoreEtcd, answers
from hack.dataplane.programs import Programs
from tests.unit.hack.dataplane.conftest import given


@pytest.mark.parametrize("tls", [False, True])
def test_it_is_started_as_the_first_controller_did(
    tmp_path: Path, noting: Programs, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    monkeypatch.setattr(answers, "await_answer", lambda *_: None)
    core = CoreEtcd(tmp_path / "core", noting, tls=tls)
    with BareProxy(tmp_path / "bare", noting, core, "a") as proxy:
        arguments = given(proxy.process)
    assert arguments[:4] == [
        *("grpc-proxy", "start"),
        f"--endpoints={core.url}",
        "--namespace=/a/",
    ]
    assert [flag.partition("=")[0] for flag in arguments[5:]] == (
        ["--cacert", "--cert", "--key"] if tls else []
    )
    assert proxy.endpoint == f"http://{arguments[4].partition('=')[2]}"
    assert proxy.etcdctl().endpoint == proxy.endpoint
    assert not proxy.process.alive
