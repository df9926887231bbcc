from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hack.dataplane import CoreEtcd, answers
from hack.dataplane.programs import Programs
from tests.unit.hack.dataplane.conftest import given


@pytest.fixture(autouse=True)
def no_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins serve nothing."""
    monkeypatch.setattr(answers, "await_answer", lambda *_: None)


def test_members_know_each_other(tmp_path: Path, noting: Programs) -> None:
    with CoreEtcd(tmp_path / "core", noting, members=3) as core:
        assert [urlsplit(url).scheme for url in core.urls] == ["http"] * 3
        assert len({*core.urls, *map(core.metrics_url, range(3))}) == 6
        flags = [given(member) for member in core.members]
    clusters = {flag for member in flags for flag in member if "--initial-cluster=" in flag}
    assert len(clusters) == 1
    assert clusters.pop().count("core-") == 3
    assert not any("cert" in flag for member in flags for flag in member)
    assert not any(member.alive for member in core.members)


def test_a_core_with_tls_takes_only_clients_with_a_certificate(
    tmp_path: Path, noting: Programs
) -> None:
    core = CoreEtcd(tmp_path / "core", noting, tls=True, flags=["--quota-backend-bytes=1"])
    with core:
        flags = given(core.members[0])
    assert core.url.startswith("https://")
    assert not core.auth
    assert "--client-cert-auth" in flags
    # Given last, so that it wins over what is there by itself.
    assert flags[-1] == "--quota-backend-bytes=1"
    assert (tmp_path / "core" / "pki" / "server.key").exists()


def test_etcdctl_comes_as_the_administrator_unless_told(tmp_path: Path, noting: Programs) -> None:
    plain = CoreEtcd(tmp_path / "plain", noting)
    assert plain.etcdctl().tls == ()
    assert plain.etcdctl().endpoint == plain.url
    core = CoreEtcd(tmp_path / "core", noting, auth=True)
    assert core.tls
    assert core.etcdctl().tls == core.certificates.flags(core.certificates.root)
    assert core.etcdctl(core.certificates.shared).tls != core.etcdctl().tls


def test_a_core_that_cannot_start_leaves_nothing(
    tmp_path: Path, noting: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(answers, "await_answer", fail)
    core = CoreEtcd(tmp_path / "core", noting)
    with pytest.raises(KeyboardInterrupt):
        core.start()
    assert not core.members[0].alive
