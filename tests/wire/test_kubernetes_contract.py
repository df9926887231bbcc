"""What we count on of the `kubernetes` package, seen from the other end of the wire.

It has changed between releases: one sent no Authorization in clusters, others sent calls inside a
cluster to a proxy.
"""

import configparser
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import incluster_config
from packaging.requirements import Requirement
from urllib3.exceptions import InsecureRequestWarning

from controller.pki import Authority
from informers.errors import ConfigError, ConnectionFailed
from informers.rest.client import Client
from informers.rest.config import ClusterConfig, load_config
from tests.support.apiserver import ApiServer, Exchange
from tests.support.kubeconfig import V1, answer, exec_plugin, kubeconfig
from tests.support.listerwatcher import CONFIG_MAPS, config_map
from tests.support.tls import authority, pair, server_context
from workqueue.clock import RealClock

Make = Callable[[ClusterConfig], Client]

ROOT = Path(__file__).parents[2]
PAST, FUTURE = "2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z"


def ok(exchange: Exchange) -> None:
    exchange.answer(200, config_map("a", 1))


def authorizations(server: ApiServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the machine that runs the tests are not ours."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def make(_no_stray_threads: None) -> Iterator[Make]:
    """Make clients, closed at the end."""
    clients: list[Client] = []

    def make(config: ClusterConfig) -> Client:
        clients.append(Client(config, clock=RealClock(), timeout=5))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_the_installed_version_is_one_that_we_ask_for() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = [Requirement(line) for line in setup["options"]["install_requires"].split()]
    (kubernetes,) = [one for one in wanted if one.name == "kubernetes"]
    assert kubernetes.specifier.contains(metadata.version("kubernetes"))
    assert "36.0.0" not in kubernetes.specifier


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    made = authority()
    (tmp_path / "ca.crt").write_bytes(made.cert_pem)
    return made


class TestInCluster:
    @pytest.fixture
    def server(
        self, tmp_path: Path, ca: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[ApiServer]:
        """An API server, and what the kubelet gives a pod to reach it."""
        (tmp_path / "token").write_text("pod-token\n")
        monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
        monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
        with ApiServer(ok, ok, tls=server_context(tmp_path, ca)) as server:
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
            yield server

    def test_every_request_has_the_token(self, make: Make, server: ApiServer) -> None:
        client = make(load_config(None))
        client.get(CONFIG_MAPS, "a")
        client.create(CONFIG_MAPS, config_map("a"))
        assert authorizations(server) == ["Bearer pod-token"] * 2

    @pytest.mark.parametrize("no_proxy", ["127.0.0.1", "10.0.0.0/8,127.0.0.0/8", "*"])
    def test_no_proxy_keeps_calls_inside(
        self, make: Make, server: ApiServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str
    ) -> None:
        with ApiServer() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", no_proxy)
            make(load_config(None)).get(CONFIG_MAPS, "a")
            assert proxy.requests == []
        assert len(server.requests) == 1

    def test_without_it_they_go_to_the_proxy(
        self, make: Make, server: ApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ApiServer(lambda exchange: exchange.answer(502, b"")) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,example.com")
            with pytest.raises(ConnectionFailed, match="502"):
                make(load_config(None)).get(CONFIG_MAPS, "a")
            (request,) = proxy.requests
        assert (request.method, request.path) == ("CONNECT", f"127.0.0.1:{server.port}")
        # The proxy is not told who we are.
        assert "authorization" not in request.headers
        assert server.requests == []


class TestKubeconfig:
    @pytest.mark.parametrize(
        ("user", "header"),
        [
            ({}, None),
            ({"token": "abc"}, "Bearer abc"),
            ({"tokenFile": "token"}, "Bearer of-file"),
            ({"token": "abc", "tokenFile": "token"}, "Bearer of-file"),
            ({"username": "me", "password": "too"}, "Basic bWU6dG9v"),
        ],
    )
    def test_the_header_is_of_the_user(
        self, make: Make, tmp_path: Path, user: dict[str, str], header: str | None
    ) -> None:
        (tmp_path / "token").write_text("of-file\n")
        with ApiServer(ok) as server:
            path = kubeconfig(tmp_path, user, cluster={"server": server.url})
            make(load_config(path)).get(CONFIG_MAPS, "a")
        assert authorizations(server) == [header]

    def test_a_proxy_url_is_used_whatever_the_environment_says(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://other.invalid:1")
        monkeypatch.setenv("NO_PROXY", "cluster.invalid")
        with ApiServer(ok) as proxy:
            cluster = {"server": "http://cluster.invalid:6443", "proxy-url": proxy.url}
            make(load_config(kubeconfig(tmp_path, cluster=cluster))).get(CONFIG_MAPS, "a")
        assert proxy.requests[0].headers["host"] == "cluster.invalid:6443"

    def test_a_proxy_that_speaks_tls_is_checked_by_the_same_ca(
        self, make: Make, tmp_path: Path, ca: Authority
    ) -> None:
        def no(exchange: Exchange) -> None:
            exchange.answer(502, b"")

        for issuer, says in ((ca, "502"), (authority(), "CERTIFICATE_VERIFY_FAILED")):
            with ApiServer(no, tls=server_context(tmp_path, issuer)) as proxy:
                cluster = {
                    "server": "https://cluster.invalid:6443",
                    "certificate-authority": "ca.crt",
                    "proxy-url": proxy.url,
                }
                config = load_config(kubeconfig(tmp_path, cluster=cluster))
                with pytest.raises(ConnectionFailed, match=says):
                    make(config).get(CONFIG_MAPS, "a")
                assert len(proxy.requests) == (1 if issuer is ca else 0)

    def test_a_proxy_of_the_environment_is_used_but_where_it_says_no(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = kubeconfig(tmp_path, cluster={"server": "http://cluster.invalid:6443"})
        with ApiServer(ok) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            make(load_config(path)).get(CONFIG_MAPS, "a")
            monkeypatch.setenv("NO_PROXY", "other.example,.invalid")
            with pytest.raises(ConnectionFailed):
                make(load_config(path)).get(CONFIG_MAPS, "a")
            assert len(proxy.requests) == 1

    @pytest.mark.parametrize("name", ["inner.example", "other.example"])
    def test_the_server_is_checked_by_its_tls_server_name(
        self, make: Make, tmp_path: Path, ca: Authority, name: str
    ) -> None:
        tls = server_context(tmp_path, ca, "inner.example")
        with ApiServer(ok, tls=tls) as server:
            cluster = {
                "server": server.url,
                "certificate-authority": "ca.crt",
                "tls-server-name": name,
            }
            client = make(load_config(kubeconfig(tmp_path, cluster=cluster)))
            if name == "inner.example":
                client.get(CONFIG_MAPS, "a")
            else:
                with pytest.raises(ConnectionFailed, match="Hostname mismatch"):
                    client.get(CONFIG_MAPS, "a")

    def test_an_insecure_cluster_is_not_checked(self, make: Make, tmp_path: Path) -> None:
        with ApiServer(ok, tls=server_context(tmp_path, authority())) as server:
            cluster = {"server": server.url, "insecure-skip-tls-verify": True}
            client = make(load_config(kubeconfig(tmp_path, cluster=cluster)))
            with pytest.warns(InsecureRequestWarning):
                client.get(CONFIG_MAPS, "a")
        assert len(server.requests) == 1


class TestExecPlugins:
    def client(self, make: Make, folder: Path, server: ApiServer, user: dict[str, Any]) -> Client:
        return make(load_config(kubeconfig(folder, user, cluster={"server": server.url})))

    @pytest.mark.parametrize("version", [V1, f"{V1}beta1"])
    def test_are_told_what_is_wanted_and_give_a_token(
        self, make: Make, tmp_path: Path, version: str
    ) -> None:
        user = exec_plugin(tmp_path, {"token": "from-plugin"}, version)
        with ApiServer(ok) as server:
            self.client(make, tmp_path, server, user).get(CONFIG_MAPS, "a")
        assert authorizations(server) == ["Bearer from-plugin"]
        info = json.loads((tmp_path / "info").read_text())
        assert (info["apiVersion"], info["kind"]) == (version, "ExecCredential")
        assert info["spec"]["interactive"] is False

    def test_get_their_arguments_and_environment(self, make: Make, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path, {"token": "t"})
        user["exec"]["args"] = ["get", "token"]
        user["exec"]["env"] = [{"name": "PLUGIN_MODE", "value": "quiet"}]
        plugin = tmp_path / "plugin"
        plugin.write_text(plugin.read_text() + f'echo "$@ $PLUGIN_MODE" > {tmp_path}/called\n')
        with ApiServer(ok) as server:
            self.client(make, tmp_path, server, user).get(CONFIG_MAPS, "a")
        assert (tmp_path / "called").read_text() == "get token quiet\n"

    @pytest.mark.parametrize(("expiry", "second"), [(PAST, "new"), (FUTURE, "old"), (None, "old")])
    def test_are_asked_again_once_their_token_has_expired(
        self, make: Make, tmp_path: Path, expiry: str | None, second: str
    ) -> None:
        status = {"token": "old", **({"expirationTimestamp": expiry} if expiry else {})}
        with ApiServer(ok, ok) as server:
            # The first answer is for the start, and counts for the first request if it lasts.
            user = exec_plugin(tmp_path, status)
            client = self.client(make, tmp_path, server, user)
            client.get(CONFIG_MAPS, "a")
            answer(tmp_path, {"token": "new", "expirationTimestamp": FUTURE})
            client.get(CONFIG_MAPS, "a")
        assert authorizations(server) == ["Bearer old", f"Bearer {second}"]

    def test_that_fail_later_leave_the_old_token(self, make: Make, tmp_path: Path) -> None:
        with ApiServer(ok) as server:
            user = exec_plugin(tmp_path, {"token": "old", "expirationTimestamp": PAST})
            client = self.client(make, tmp_path, server, user)
            (tmp_path / "answer").unlink()
            client.get(CONFIG_MAPS, "a")
        assert authorizations(server) == ["Bearer old"]

    def test_are_not_asked_if_there_is_a_token(self, make: Make, tmp_path: Path) -> None:
        user = {"token": "abc", **exec_plugin(tmp_path, {"token": "from-plugin"})}
        with ApiServer(ok) as server:
            self.client(make, tmp_path, server, user).get(CONFIG_MAPS, "a")
        assert authorizations(server) == ["Bearer abc"]
        assert not (tmp_path / "info").exists()

    @pytest.mark.parametrize(
        "status", [None, {}, {"clientCertificateData": pair(authority()).cert_pem.decode()}]
    )
    def test_that_give_nothing_of_use_end_the_start(
        self, tmp_path: Path, status: dict[str, str] | None
    ) -> None:
        with pytest.raises(ConfigError, match="plugin gave no credentials"):
            load_config(kubeconfig(tmp_path, exec_plugin(tmp_path, status)))

    def test_of_another_version_end_the_start(self, tmp_path: Path) -> None:
        user = exec_plugin(tmp_path, {"token": "t"})
        answer(tmp_path, {"token": "t"}, f"{V1}beta1")
        with pytest.raises(ConfigError, match="plugin gave no credentials"):
            load_config(kubeconfig(tmp_path, user))
