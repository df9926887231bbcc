"""The core's certificates: made once, under the names that the flags have as defaults."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification

from controller.options import parse_options
from controller.pki import coreetcd, coreuser
from controller.pki.coreetcd import make_client, make_server, make_users, read_authority
from controller.resources import CONFIG_MAPS, SECRETS
from informers import ApiError, ConfigError, ConnectionFailed
from informers.errors import is_not_found
from tests.support.memoryserver import MemoryServer

Json = dict[str, Any]

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STORAGE = "kube-apiserver-storage"


class Namespaces(MemoryServer):
    """A server whose names are unique per namespace: here one name lives in two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str | None, MemoryServer] = {}

    def _in(self, namespace: str | None) -> MemoryServer:
        return self.of.setdefault(namespace, MemoryServer())

    def create(self, resource: Any, obj: Any, namespace: str | None = None) -> Json:
        return self._in(namespace).create(resource, obj, namespace)

    def get(self, resource: Any, name: str, namespace: str | None = None) -> Json:
        return self._in(namespace).get(resource, name, namespace)


@pytest.fixture
def server() -> Namespaces:
    return Namespaces()


def content(server: Namespaces, namespace: str, name: str) -> dict[str, bytes]:
    data = server.get(SECRETS, name, namespace)["data"]
    return {key: base64.b64decode(value) for key, value in data.items()}


def bundle(server: Namespaces, namespace: str) -> x509.Certificate:
    data = server.get(CONFIG_MAPS, "etcd-coreserving-ca", namespace)["data"]
    return x509.load_pem_x509_certificate(data["ca.pem"].encode())


def make(server: Namespaces) -> None:
    make_server(server.client, "etcd", "etcd-svc-1", NOW)
    make_client(server.client, "etcd", STORAGE, NOW)


def test_the_names_and_keys_are_the_defaults_of_the_controller(server: Namespaces) -> None:
    make(server)
    core = parse_options(["-u", "https://core"], environment={}).core
    assert set(server.get(CONFIG_MAPS, core.ca_config_map, STORAGE)["data"]) == {"ca.pem"}
    assert set(content(server, STORAGE, core.certs_secret)) == {"client.pem", "client-key.pem"}
    assert set(content(server, "etcd", "etcd-coreserver-cert")) == {
        *("server.pem", "server-key.pem", "root.pem", "root-key.pem")
    }


@pytest.mark.parametrize(
    "name",
    [
        "etcd-svc-1",
        "etcd-svc-1.etcd",
        "etcd-svc-1.etcd.svc",
        "etcd-svc-1.etcd.svc.cluster.local",
        "localhost",
    ],
)
def test_the_server_is_believed_under_every_name_of_its_service(
    server: Namespaces, name: str
) -> None:
    make(server)
    pair = content(server, "etcd", "etcd-coreserver-cert")
    store = verification.Store([bundle(server, STORAGE)])
    verifier = verification.PolicyBuilder().store(store).time(NOW)
    certificate = x509.load_pem_x509_certificate(pair["server.pem"])
    verifier.build_server_verifier(x509.DNSName(name)).verify(certificate, [])


def test_the_client_pair_is_of_the_authority_and_has_no_cn(server: Namespaces) -> None:
    make(server)
    certificate = x509.load_pem_x509_certificate(
        content(server, STORAGE, "etcd-coreserving-cert")["client.pem"]
    )
    certificate.verify_directly_issued_by(bundle(server, "etcd"))
    assert certificate.subject.rfc4514_string() == "O=etcdproxy-controller"


def test_the_authoritys_key_stays_next_to_the_core(server: Namespaces) -> None:
    make(server)
    assert "ca-key.pem" in content(server, "etcd", "etcd-core-ca")
    assert [s["metadata"]["name"] for s in server.of[STORAGE].all(SECRETS)] == [
        "etcd-coreserving-cert"
    ]


def test_running_again_changes_nothing(server: Namespaces) -> None:
    make(server)
    before = {
        namespace: [*inner.all(SECRETS), *inner.all(CONFIG_MAPS)]
        for namespace, inner in server.of.items()
    }
    make(server)
    after = {
        namespace: [*inner.all(SECRETS), *inner.all(CONFIG_MAPS)]
        for namespace, inner in server.of.items()
    }
    assert after == before


def test_what_a_stop_left_out_is_made_of_the_same_authority(server: Namespaces) -> None:
    make(server)
    server.of["etcd"].remove(SECRETS, "etcd-coreserver-cert")
    make(server)
    pair = content(server, "etcd", "etcd-coreserver-cert")
    certificate = x509.load_pem_x509_certificate(pair["server.pem"])
    certificate.verify_directly_issued_by(bundle(server, STORAGE))


def test_users_can_be_made_with_what_is_handed_over(server: Namespaces) -> None:
    make(server)
    for _ in range(2):
        make_users(server.client, "etcd", STORAGE, NOW)
    root = content(server, STORAGE, "etcd-core-root")
    certificate = x509.load_pem_x509_certificate(root["client.pem"])
    assert certificate.subject.rfc4514_string() == "CN=root"
    certificate.verify_directly_issued_by(bundle(server, STORAGE))
    data = server.get(SECRETS, "etcd-core-client-ca", STORAGE)["data"]
    assert coreuser.read_authority(data, "s", NOW).by is not None


def test_the_core_is_administered_from_its_pod_as_root(server: Namespaces) -> None:
    make(server)
    pairs = content(server, "etcd", "etcd-coreserver-cert")
    root = x509.load_pem_x509_certificate(pairs["root.pem"])
    assert root.subject.rfc4514_string() == "CN=root"
    root.verify_directly_issued_by(bundle(server, "etcd"))
    key = serialization.load_pem_private_key(pairs["root-key.pem"], None)
    assert key.public_key() == root.public_key()


def test_a_client_without_an_authority_waits_for_it(server: Namespaces) -> None:
    with pytest.raises(ApiError) as caught:
        make_client(server.client, "etcd", STORAGE, NOW)
    assert is_not_found(caught.value)
    with pytest.raises(ApiError):
        read_authority(server.client, "etcd")
    assert STORAGE not in server.of


def test_a_failure_is_not_taken_for_what_exists(server: Namespaces) -> None:
    inner = server._in("etcd")
    inner.failures["create Secret etcd-core-ca"] = ApiError(403, "Forbidden", "may not")
    with pytest.raises(ApiError, match="may not"):
        make_server(server.client, "etcd", "etcd-svc-1", NOW)


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, server: Namespaces) -> Any:
    monkeypatch.setattr(coreetcd, "configure_logging", lambda *_: None)
    monkeypatch.setattr(coreetcd, "load_config", lambda kubeconfig: kubeconfig)
    monkeypatch.setattr(coreetcd, "Client", lambda _config, **_: server.client)
    return coreetcd.main


def test_the_jobs_one_after_the_other(main: Any, server: Namespaces) -> None:
    assert main(["server", "--namespace", "core", "--service", "etcd"]) == 0
    assert main(["client", "--namespace", "core", "--to", "tenants"]) == 0
    assert main(["users", "--namespace", "core", "--to", "tenants"]) == 0
    assert set(server.of) == {"core", "tenants"}
    assert server.get(SECRETS, "etcd-core-root", "tenants")


@pytest.mark.parametrize(
    "failure",
    [
        ApiError(403, "Forbidden", "may not create secrets"),
        ConnectionFailed("https://server", "connection refused"),
        ConfigError("not in a cluster"),
    ],
)
def test_a_failure_is_one_line_and_the_job_comes_again(
    main: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
) -> None:
    def fail(_kubeconfig: str | None) -> None:
        raise failure

    monkeypatch.setattr(coreetcd, "load_config", fail)
    assert main(["server"]) == 1
    assert capsys.readouterr().err == f"coreetcd: {failure}\n"


def test_nothing_else_can_be_asked_for(main: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["everything"])
    assert ended.value.code == 2
