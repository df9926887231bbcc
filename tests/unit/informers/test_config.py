"""Kubeconfig files, tokens and what is said about broken ones."""

import stat
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from informers.config import ClusterConfig, ConfigError, load_config


def kubeconfig(folder: Path, user: dict[str, Any] | None = None, **changes: Any) -> str:
    """Write a kubeconfig; `changes` replace top level keys."""
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://example.com:6443/"}}],
        "users": [{"name": "u", "user": user or {}}],
        **changes,
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_server_and_token_are_read(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc"}))
    assert config.server == "https://example.com:6443"
    assert config.authorization() == "Bearer abc"


def test_without_a_token_there_is_no_header(tmp_path: Path) -> None:
    assert load_config(kubeconfig(tmp_path)).authorization() is None


def plugin(folder: Path, script: str) -> dict[str, Any]:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(path),
            "interactiveMode": "Never",
        }
    }


def test_an_exec_plugin_is_asked(tmp_path: Path) -> None:
    answer = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        '"status": {"token": "from-plugin"}}'
    )
    config = load_config(kubeconfig(tmp_path, plugin(tmp_path, f"echo '{answer}'")))
    assert config.authorization() == "Bearer from-plugin"


BROKEN: dict[str, dict[str, Any]] = {
    "no current-context is set": {"current-context": ""},
    "Expected object with name here in": {"contexts": []},
    "Expected object with name c in": {"clusters": []},
    "the cluster of context here has no server": {"clusters": [{"name": "c", "cluster": {}}]},
    "not a kubeconfig": {"clusters": 5},
}


class TestMistakes:
    def told(self, kubeconfig: str | None) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(kubeconfig)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("said", BROKEN)
    def test_in_the_content_are_named(self, tmp_path: Path, said: str) -> None:
        path = kubeconfig(tmp_path, **BROKEN[said])
        message = self.told(path)
        assert message.startswith(f"kubeconfig {path}: ")
        assert said in message

    def test_no_such_file(self, tmp_path: Path) -> None:
        path = str(tmp_path / "nothing")
        assert self.told(path) == f"kubeconfig {path}: no such file"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert self.told(str(tmp_path)) == f"kubeconfig {tmp_path}: Is a directory"

    @pytest.mark.parametrize(
        ("content", "said"),
        [("a: [", "not valid YAML"), ("just text", "not a kubeconfig"), ("", "is empty")],
    )
    def test_no_kubeconfig(self, tmp_path: Path, content: str, said: str) -> None:
        path = tmp_path / "kubeconfig"
        path.write_text(content)
        assert said in self.told(str(path))

    def test_a_plugin_that_fails(self, tmp_path: Path) -> None:
        path = kubeconfig(tmp_path, plugin(tmp_path, "exit 3"))
        assert f"the exec plugin gave no credentials: {tmp_path}/plugin" in self.told(path)

    def test_a_plugin_that_fails_is_named_without_its_arguments(self, tmp_path: Path) -> None:
        user = plugin(tmp_path, "exit 3")
        user["exec"]["args"] = ["get-token", "--client-secret=very-secret"]
        path = kubeconfig(tmp_path, user)
        assert self.told(path).endswith(f"gave no credentials: {tmp_path}/plugin")

    def test_not_in_a_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        message = self.told(None)
        assert message == (
            "not in a cluster and no kubeconfig given: Service host/port is not set."
        )


class TestRenewal:
    def test_reads_a_token_file_again(self, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("old\n")
        config = load_config(kubeconfig(tmp_path, {"tokenFile": str(token)}))
        assert config.authorization() == "Bearer old"
        assert not config.renew(config.generation)
        token.write_text("new\n")
        assert config.renew(config.generation)
        assert (config.authorization(), config.generation) == ("Bearer new", 1)

    def test_is_done_once_for_all_who_ask(self, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("old")
        config = load_config(kubeconfig(tmp_path, {"tokenFile": str(token)}))
        token.write_text("new")
        assert config.renew(0)
        assert config.renew(0)
        assert config.generation == 1

    def test_sees_another_certificate_under_the_same_name(self, tmp_path: Path) -> None:
        pair = {"client-certificate": str(tmp_path / "crt"), "client-key": str(tmp_path / "key")}
        for path in pair.values():
            Path(path).write_text("old")
        config = load_config(kubeconfig(tmp_path, pair))
        Path(pair["client-certificate"]).write_text("new")
        assert config.renew(0)
        assert not config.renew(1)

    def test_that_fails_keeps_what_is_there(self, tmp_path: Path) -> None:
        path = Path(kubeconfig(tmp_path, {"token": "abc"}))
        config = load_config(str(path))
        path.unlink()
        assert not config.renew(0)
        assert config.authorization() == "Bearer abc"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's mount, and the environment of a pod."""
    (tmp_path / "token").write_text("pod-token\n")
    (tmp_path / "ca.crt").write_text("a certificate")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


class TestInCluster:
    def test_server_and_token_come_from_the_mount(self, mount: Path) -> None:
        assert (mount / "token").exists()
        config = load_config(None)
        assert config.server == "https://[fd00::1]:443"
        assert config.authorization() == "bearer pod-token"

    def test_the_token_is_read_again_and_kept_if_that_fails(
        self, mount: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_once = SimpleNamespace(datetime=datetime, timedelta=lambda **_: timedelta(0))
        monkeypatch.setattr(incluster_config, "datetime", at_once)
        config = load_config(None)
        (mount / "token").write_text("next-token")
        assert config.authorization() == "bearer next-token"
        (mount / "token").write_text("")
        assert config.authorization() == "bearer next-token"
        (mount / "token").unlink()
        assert config.authorization() == "bearer next-token"


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "very-secret"}))
    assert repr(config) == "ClusterConfig(https://example.com:6443)"
    assert isinstance(config, ClusterConfig)
