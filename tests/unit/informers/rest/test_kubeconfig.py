"""Kubeconfig files: fields, several files, and what is said about broken ones."""

import base64
from pathlib import Path
from typing import Any

import pytest

from informers.errors import ConfigError
from informers.rest.config import load_config
from informers.rest.kubeconfig import Kubeconfig, impersonation_headers
from tests.support.kubeconfig import exec_plugin, kubeconfig
from tests.support.tls import authority, pair


def test_server_and_token_are_read(tmp_path: Path) -> None:
    made = Kubeconfig(kubeconfig(tmp_path, {"token": "abc"})).configuration()
    assert made.host == "https://example.com:6443"
    assert made.api_key == {"BearerToken": "Bearer abc"}


def test_a_name_and_a_password_are_an_authorization_too(tmp_path: Path) -> None:
    user = {"username": "me", "password": "too"}
    assert load_config(kubeconfig(tmp_path, user)).identity(0, 5).authorization == "Basic bWU6dG9v"


def test_server_name_proxy_and_trust_are_taken_over(tmp_path: Path) -> None:
    cluster = {
        "server": "https://example.com",
        "tls-server-name": "inner.example",
        "proxy-url": "http://proxy.example:3128",
        "insecure-skip-tls-verify": True,
    }
    made = Kubeconfig(kubeconfig(tmp_path, cluster=cluster)).configuration()
    assert (made.tls_server_name, made.proxy) == ("inner.example", "http://proxy.example:3128")
    assert not made.verify_ssl


def test_data_counts_before_files(tmp_path: Path) -> None:
    ours = authority("data")
    cluster = {
        "server": "https://example.com",
        "certificate-authority": "none",
        "certificate-authority-data": in_base64(ours.cert_pem),
    }
    mine = pair(ours, "me")
    user = {
        "client-certificate": "none",
        "client-certificate-data": in_base64(mine.cert_pem),
        "client-key": "none",
        "client-key-data": in_base64(mine.key_pem),
    }
    made = Kubeconfig(kubeconfig(tmp_path, user, cluster=cluster)).configuration()
    paths = (made.ssl_ca_cert, made.cert_file, made.key_file)
    content = [Path(str(path)).read_bytes() for path in paths]
    assert content == [ours.cert_pem, mine.cert_pem, mine.key_pem]


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_another_context_than_the_current_one_can_be_asked_for(tmp_path: Path) -> None:
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u"}},
        {"name": "there", "context": {"cluster": "d", "user": "u"}},
    ]
    clusters = [
        {"name": "c", "cluster": {"server": "https://c.example"}},
        {"name": "d", "cluster": {"server": "https://d.example"}},
    ]
    path = kubeconfig(tmp_path, {"token": "abc"}, contexts=contexts, clusters=clusters)
    assert Kubeconfig(path, "there").configuration().host == "https://d.example"
    assert Kubeconfig(path).configuration().host == "https://c.example"
    with pytest.raises(ConfigError, match="name nowhere"):
        load_config(path, "nowhere")


class TestFiles:
    def test_are_relative_to_the_kubeconfig_that_names_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of two merged files has its own folder, and none is the working one."""
        one, two = tmp_path / "one", tmp_path / "two"
        for folder in (one, two, two / "sub"):
            folder.mkdir()
        (one / "ca.crt").write_bytes(authority().cert_pem)
        (two / "sub" / "token").write_text("from-two")
        cluster = {"server": "https://example.com", "certificate-authority": "ca.crt"}
        first = kubeconfig(one, cluster=cluster, users=[])
        second = kubeconfig(two, {"tokenFile": "sub/token"}, clusters=[], contexts=[])
        monkeypatch.chdir("/")
        config = load_config(f"{first}:{second}")
        assert config.identity(0, 5).authorization == "Bearer from-two"
        made = Kubeconfig(f"{first}:{second}").configuration()
        assert made.ssl_ca_cert == str(one / "ca.crt")

    def test_that_run_as_plugins_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = exec_plugin(tmp_path, {"token": "from-plugin"})
        user["exec"]["command"] = "./plugin"
        monkeypatch.chdir("/")
        config = load_config(kubeconfig(tmp_path, user))
        assert config.identity(0, 5).authorization == "Bearer from-plugin"

    def test_of_tokens_count_before_the_token_beside_them(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("of-file\n")
        path = kubeconfig(tmp_path, {"token": "inline", "tokenFile": "token"})
        config = load_config(path)
        assert config.identity(0, 5).authorization == "Bearer of-file"
        (tmp_path / "token").unlink()
        assert load_config(path).identity(0, 5).authorization == "Bearer inline"


class TestImpersonation:
    def test_is_asked_for_in_headers(self, tmp_path: Path) -> None:
        user = {
            "as": "jane",
            "as-uid": "u-1",
            "as-groups": ["dev", "ops"],
            "as-user-extra": {"scopes": ["view"], "example.org/a b": ["x", "y"]},
        }
        assert Kubeconfig(kubeconfig(tmp_path, user)).impersonation() == (
            ("Impersonate-User", "jane"),
            ("Impersonate-Uid", "u-1"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Extra-example.org%2Fa%20b", "x"),
            ("Impersonate-Extra-example.org%2Fa%20b", "y"),
            ("Impersonate-Extra-scopes", "view"),
        )

    @pytest.mark.parametrize(
        "user", [{"as-groups": ["dev"]}, {"as-uid": "1"}, {"as-user-extra": {"a": ["b"]}}]
    )
    def test_needs_a_user(self, tmp_path: Path, user: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="needs a user: `as` is missing"):
            load_config(kubeconfig(tmp_path, user))

    def test_by_a_name_that_breaks_the_header_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="it would break the header"):
            load_config(kubeconfig(tmp_path, {"as": "jane\r\nX-Remote-User: root"}))

    def test_sends_names_as_utf_8(self) -> None:
        ((_, value),) = impersonation_headers({"as": "Jürgen"})
        assert value.encode("latin-1") == "Jürgen".encode()

    def test_is_not_asked_for_by_itself(self, tmp_path: Path) -> None:
        assert Kubeconfig(kubeconfig(tmp_path, {"token": "a"})).impersonation() == ()


BROKEN: dict[str, dict[str, Any]] = {
    "no current-context is set": {"current-context": ""},
    "Expected object with name here in": {"contexts": []},
    "Expected object with name c in": {"clusters": []},
    "the cluster of context here has no server": {"clusters": [{"name": "c", "cluster": {}}]},
    "the token has a line break in it": {"users": [{"name": "u", "user": {"token": "a\nb"}}]},
    "not a kubeconfig": {"clusters": 5},
}


class TestMistakes:
    def told(self, kubeconfig: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(kubeconfig)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("said", BROKEN)
    def test_in_the_content_are_named(self, tmp_path: Path, said: str) -> None:
        path = kubeconfig(tmp_path, **BROKEN[said])
        message = self.told(path)
        assert message.startswith(f"kubeconfig {path}: ")
        assert message.count(f"kubeconfig {path}: ") == 1
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

    def test_a_token_file_without_a_token(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("")
        path = kubeconfig(tmp_path, {"tokenFile": "token"})
        assert self.told(path) == f"kubeconfig {path}: token file {tmp_path}/token: empty"

    def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "ca.crt").write_text("no certificate")
        cluster = {"server": "https://example.com", "certificate-authority": "ca.crt"}
        assert "certificates cannot be used" in self.told(kubeconfig(tmp_path, cluster=cluster))

    def test_a_plugin_that_fails_is_named_without_its_arguments(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path, None)
        user["exec"]["args"] = ["get-token", "--client-secret=very-secret"]
        path = kubeconfig(tmp_path, user)
        told = self.told(path)
        assert f"the exec plugin {tmp_path}/plugin gave no credentials: it ended with" in told
        assert "very-secret" not in told
