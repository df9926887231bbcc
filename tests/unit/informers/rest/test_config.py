"""Credentials and trust over time, by the clock of the caller, and the identity of a pod."""

from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from informers.errors import ConfigError
from informers.rest.config import LOOK_AFTER, ClusterConfig, load_config
from tests.support.kubeconfig import answer, exec_plugin, kubeconfig
from tests.support.tls import authority, pair, write_pair


def test_server_and_token_are_read(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc"}))
    assert config.server == "https://example.com:6443"
    assert config.authorization(0) == "Bearer abc"
    assert config.headers == ()


def test_a_token_loses_the_line_break_at_its_end(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc\n"}))
    assert config.authorization(0) == "Bearer abc"


def test_without_a_token_there_is_no_header(tmp_path: Path) -> None:
    assert load_config(kubeconfig(tmp_path)).authorization(0) is None


def test_impersonation_goes_along(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc", "as": "jane"}))
    assert config.headers == (("Impersonate-User", "jane"),)


class TestTokenFile:
    @pytest.fixture
    def token(self, tmp_path: Path) -> Path:
        path = tmp_path / "token"
        path.write_text("old\n")
        return path

    @pytest.fixture
    def config(self, tmp_path: Path, token: Path) -> ClusterConfig:
        return load_config(kubeconfig(tmp_path, {"tokenFile": str(token)}))

    def test_is_read_again_as_time_goes_by(self, token: Path, config: ClusterConfig) -> None:
        assert config.authorization(0) == "Bearer old"
        token.write_text("new\n")
        assert config.authorization(49) == "Bearer old"
        assert config.authorization(50) == "Bearer new"

    def test_is_read_again_after_a_401(self, token: Path, config: ClusterConfig) -> None:
        config.authorization(0)
        token.write_text("new\n")
        assert not config.renew(0, 1)
        assert config.authorization(1) == "Bearer new"
        # Its connections are as good as before.
        assert config.generation == 0

    @pytest.mark.parametrize("content", [None, ""])
    def test_that_is_of_no_use_leaves_the_old_one(
        self, token: Path, config: ClusterConfig, content: str | None
    ) -> None:
        token.unlink() if content is None else token.write_text(content)
        assert not config.renew(0, 1)
        assert config.authorization(1) == config.authorization(100) == "Bearer old"


class TestRenewal:
    def test_asks_a_plugin_again(self, tmp_path: Path) -> None:
        config = load_config(kubeconfig(tmp_path, exec_plugin(tmp_path, {"token": "old"})))
        assert not config.renew(0, 0)
        answer(tmp_path, {"token": "new"})
        assert config.authorization(1e6) == "Bearer old"
        assert config.renew(0, 0)
        assert (config.authorization(0), config.generation) == ("Bearer new", 1)

    def test_is_done_once_for_all_who_ask(self, tmp_path: Path) -> None:
        config = load_config(kubeconfig(tmp_path, {"token": "old"}))
        kubeconfig(tmp_path, {"token": "new"})
        assert config.renew(0, 0)
        assert config.renew(0, 0)
        assert config.generation == 1

    def test_that_fails_keeps_what_is_there(self, tmp_path: Path) -> None:
        path = Path(kubeconfig(tmp_path, {"token": "abc"}))
        config = load_config(str(path))
        path.unlink()
        assert not config.renew(0, 0)
        assert config.authorization(0) == "Bearer abc"


class TestFilesOfTls:
    @pytest.fixture
    def config(self, tmp_path: Path) -> ClusterConfig:
        ca = authority()
        (tmp_path / "ca.crt").write_bytes(ca.cert_pem)
        write_pair(tmp_path, pair(ca, "me"))
        cluster = {"server": "https://example.com", "certificate-authority": "ca.crt"}
        user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
        return load_config(kubeconfig(tmp_path, user, cluster=cluster))

    @pytest.mark.parametrize("what", ["ca", "pair"])
    def test_are_looked_at_every_minute(
        self, tmp_path: Path, config: ClusterConfig, what: str
    ) -> None:
        config.authorization(0)
        if what == "ca":
            (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
        else:
            write_pair(tmp_path, pair(authority(), "new"))
        config.authorization(LOOK_AFTER - 1)
        assert config.generation == 0
        config.authorization(LOOK_AFTER)
        assert config.generation == 1
        config.authorization(2 * LOOK_AFTER)
        assert config.generation == 1

    def test_are_looked_at_when_the_server_does_not_match_them(
        self, tmp_path: Path, config: ClusterConfig
    ) -> None:
        assert not config.renew_trust(0)
        (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
        assert config.renew_trust(0)
        assert config.renew_trust(0)
        assert config.generation == 1

    def test_are_looked_at_after_a_401(self, tmp_path: Path, config: ClusterConfig) -> None:
        assert not config.renew(0, 0)
        write_pair(tmp_path, pair(authority(), "new"))
        assert config.renew(0, 0)
        assert not config.renew(1, 0)

    def test_that_are_no_good_change_nothing(self, tmp_path: Path, config: ClusterConfig) -> None:
        config.authorization(0)
        (tmp_path / "ca.crt").write_text("half of a cert")
        config.authorization(LOOK_AFTER)
        assert not config.renew_trust(0)
        assert not config.renew(0, 0)
        assert config.generation == 0


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's mount, and the environment of a pod."""
    (tmp_path / "token").write_text("pod-token\n")
    (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


class TestInCluster:
    @pytest.mark.usefixtures("mount")
    def test_server_and_token_come_from_the_mount(self) -> None:
        config = load_config(None)
        assert config.server == "https://[fd00::1]:443"
        assert config.authorization(0) == "Bearer pod-token"

    def test_the_token_is_read_again_and_kept_if_that_fails(self, mount: Path) -> None:
        config = load_config(None)
        config.authorization(0)
        (mount / "token").write_text("next-token")
        assert config.authorization(49) == "Bearer pod-token"
        assert config.authorization(50) == "Bearer next-token"
        (mount / "token").write_text("")
        assert config.authorization(100) == "Bearer next-token"
        (mount / "token").unlink()
        assert config.authorization(150) == "Bearer next-token"
        assert not config.renew(0, 151)
        assert config.authorization(151) == "Bearer next-token"

    @pytest.mark.parametrize(
        ("missing", "says"),
        [("token", "token file does not exist"), ("ca.crt", "certification file does not exist")],
    )
    def test_both_files_are_needed(self, mount: Path, missing: str, says: str) -> None:
        (mount / missing).unlink()
        with pytest.raises(ConfigError, match=says):
            load_config(None)

    @pytest.mark.usefixtures("mount")
    @pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    def test_so_are_host_and_port(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.delenv(name)
        with pytest.raises(ConfigError) as caught:
            load_config(None)
        assert str(caught.value) == (
            "not in a cluster and no kubeconfig given: Service host/port is not set."
        )


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "very-secret"}))
    assert repr(config) == "ClusterConfig(https://example.com:6443)"
    assert isinstance(config, ClusterConfig)
