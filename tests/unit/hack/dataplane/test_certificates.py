from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from controller.pki import Pair
from hack.dataplane import CoreCertificates, Tenant


def common_names(pair: Pair) -> list[str | bytes]:
    subject = x509.load_pem_x509_certificate(pair.cert_pem).subject
    return [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def uris(pair: Pair) -> list[str]:
    extensions = x509.load_pem_x509_certificate(pair.cert_pem).extensions
    alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return alternative.get_values_for_type(x509.UniformResourceIdentifier)


def test_the_core_knows_users_by_their_common_name(tmp_path: Path) -> None:
    certificates = CoreCertificates(tmp_path)
    assert common_names(certificates.root) == ["root"]
    assert common_names(certificates.user("etcdstorage:a")) == ["etcdstorage:a"]
    assert common_names(certificates.shared) == []


def test_clients_and_members_have_authorities_of_their_own(tmp_path: Path) -> None:
    certificates = CoreCertificates(tmp_path)
    certificates.write()
    trusted = (tmp_path / "trusted.pem").read_bytes()
    for authority in (certificates.authority, certificates.client_ca):
        assert authority.cert_pem in trusted
    files = certificates.files(certificates.shared)
    assert files["ca.pem"] == certificates.authority.cert_pem
    assert files["tls.crt"] == certificates.shared.cert_pem


def test_flags_name_files_of_each_pair(tmp_path: Path) -> None:
    certificates = CoreCertificates(tmp_path)
    first, second = (certificates.flags(certificates.user(name)) for name in ("a", "b"))
    assert not set(first) & set(second)
    for flag, name in zip(first, ("--cacert", "--cert", "--key"), strict=True):
        assert flag.startswith(f"{name}={tmp_path}/")
        assert Path(flag.partition("=")[2]).exists()


def test_a_tenants_client_is_told_by_its_uri_alone(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, names=("localhost",), ips=("127.0.0.2",))
    pair = tenant.client()
    assert uris(pair) == [Tenant.URI]
    assert common_names(pair) == []
    assert uris(tenant.client("urn:other")) == ["urn:other"]
    assert Tenant.URI in tenant.files()["clients.json"].decode()
    assert Tenant.URI not in tenant.files("urn:other")["clients.json"].decode()
    assert tenant.files()["pair.pb"] != tenant.files()["pair.pb"]
