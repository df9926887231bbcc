import base64
import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import verification

from hack.cluster import arguments
from hack.cluster.arguments import Ports, Settings
from hack.cluster.credentials import Credentials

SETTINGS = Settings(address="10.7.0.1", ports=Ports(6443, 2379, 2380))


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    made = Credentials(tmp_path, SETTINGS)
    made.ensure()
    return made


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def policy(authority: Path) -> verification.PolicyBuilder:
    return verification.PolicyBuilder().store(verification.Store([certificate(authority)]))


def is_signed_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, InvalidSignature):
        return False
    return True


def identity(leaf: x509.Certificate) -> tuple[str, list[str]]:
    """User and groups, as the API server reads them."""

    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(attribute.value) for attribute in leaf.subject.get_attributes_for_oid(oid)]

    (user,) = values(x509.NameOID.COMMON_NAME)
    return user, values(x509.NameOID.ORGANIZATION_NAME)


def client_of(kubeconfig: Path) -> tuple[dict[str, Any], x509.Certificate]:
    """The cluster of a kubeconfig and the certificate of its user."""
    content = yaml.safe_load(kubeconfig.read_text())
    data = base64.b64decode(content["users"][0]["user"]["client-certificate-data"])
    return content["clusters"][0]["cluster"], x509.load_pem_x509_certificate(data)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
        x509.DNSName("kubernetes.default.svc.cluster.local"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("10.7.0.1")),
        x509.IPAddress(ipaddress.ip_address("10.96.0.1")),
    ],
    ids=lambda name: str(name.value),
)
def test_the_api_server_is_believed_under_each_of_its_names(
    credentials: Credentials, name: x509.DNSName | x509.IPAddress
) -> None:
    leaf = certificate(credentials.pki / "apiserver.crt")
    policy(credentials.pki / "ca.crt").build_server_verifier(name).verify(leaf, [])


def test_a_server_on_loopback_has_that_address_once(tmp_path: Path) -> None:
    Credentials(tmp_path, Settings(ports=Ports(1, 2, 3))).ensure()
    extensions = certificate(tmp_path / "pki" / "apiserver.crt").extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "10.96.0.1"]


def test_each_file_that_a_program_is_given_is_there(credentials: Credentials) -> None:
    folder, pki = credentials.folder, credentials.pki
    lines = [
        *arguments.apiserver(SETTINGS, pki),
        *arguments.controller_manager(SETTINGS, folder, pki),
    ]
    paths = [Path(path) for line in lines for path in re.findall(f"={folder}/(.*)", line)]
    assert len(paths) >= 10
    assert [path for path in paths if not (folder / path).is_file()] == []


@pytest.mark.parametrize(
    ("name", "user"),
    [("admin", "kubernetes-admin"), ("controller-manager", "kube-controller-manager")],
)
def test_admins_may_do_everything(credentials: Credentials, name: str, user: str) -> None:
    cluster, leaf = client_of(credentials.folder / f"{name}.kubeconfig")
    assert cluster["server"] == "https://10.7.0.1:6443"
    authority = base64.b64decode(cluster["certificate-authority-data"])
    assert authority == (credentials.pki / "ca.crt").read_bytes()
    assert is_signed_by(leaf, x509.load_pem_x509_certificate(authority))
    assert identity(leaf) == (user, ["system:masters"])


def test_who_may_claim_to_be_anybody_has_an_authority_of_its_own(
    credentials: Credentials,
) -> None:
    leaf = certificate(credentials.pki / "front-proxy-client.crt")
    assert is_signed_by(leaf, certificate(credentials.pki / "front-proxy-ca.crt"))
    assert not is_signed_by(leaf, certificate(credentials.pki / "ca.crt"))
    others = [path for path in credentials.pki.glob("*.crt") if "front-proxy" not in path.name]
    proxies = certificate(credentials.pki / "front-proxy-ca.crt")
    assert [path.name for path in others if is_signed_by(certificate(path), proxies)] == []


def test_secrets_are_for_their_owner_only(credentials: Credentials) -> None:
    secrets = [*credentials.folder.rglob("*.key"), *credentials.folder.rglob("*.kubeconfig")]
    assert len(secrets) >= 9
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_a_second_start_keeps_everything(credentials: Credentials) -> None:
    before = contents(credentials.folder)
    credentials.ensure()
    Credentials(credentials.folder, SETTINGS).ensure()
    assert contents(credentials.folder) == before


def test_a_start_that_was_broken_off_is_completed_by_the_next(credentials: Credentials) -> None:
    before = contents(credentials.pki)
    credentials.admin.unlink()
    (credentials.folder / "controller-manager.kubeconfig").unlink()
    (credentials.pki / "front-proxy-client.key").unlink()
    Credentials(credentials.folder, SETTINGS).ensure()
    after = contents(credentials.pki)
    assert after.keys() == before.keys()
    for name in ("ca", "front-proxy-ca"):
        assert after[credentials.pki / f"{name}.key"] == before[credentials.pki / f"{name}.key"]
    _, leaf = client_of(credentials.admin)
    assert is_signed_by(leaf, certificate(credentials.pki / "ca.crt"))


def test_a_user_who_comes_later_is_known(credentials: Credentials) -> None:
    again = Credentials(credentials.folder, SETTINGS)
    path = again.kubeconfig("node", "system:node:n1", ["system:nodes"])
    assert path == credentials.folder / "node.kubeconfig"
    _, leaf = client_of(path)
    assert identity(leaf) == ("system:node:n1", ["system:nodes"])
    assert is_signed_by(leaf, certificate(credentials.pki / "ca.crt"))
    assert (credentials.pki / "system-node-n1.key").is_file()
