"""A certificate authority and the leaves it signs: ECDSA P-256, PEM in and out.

The authority of somebody else may have an RSA key or one of another curve.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.pki.lifetime import SLACK

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM; the key never appears in a repr."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a certificate says: `dns` and `ips` name a server, the subject or `uris` a client.

    Without a `cn` etcd's grpc-proxy takes the pair as its client pair; with one it refuses.
    """

    cn: str | None = None
    organizations: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    usages: tuple[x509.ObjectIdentifier, ...] = (CLIENT,)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that signs leaves, and whoever succeeds it."""

    pair: Pair

    @classmethod
    def create(
        cls,
        cn: str,
        *,
        validity: dt.timedelta,
        now: dt.datetime,
        permitted_dns: tuple[str, ...] = (),
    ) -> Self:
        """Make a self-signed authority, for leaves only.

        One with `permitted_dns` is believed about these names and those below them alone; it may
        sign its successor, which signs its own in turn, so its length of path is not bounded.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(cn)
        length = None if permitted_dns else 0
        builder = (
            _builder(name, name, key.public_key(), now, validity)
            .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if permitted_dns:
            permitted = [x509.DNSName(dns) for dns in permitted_dns]
            constraints = x509.NameConstraints(permitted, excluded_subtrees=None)
            builder = builder.add_extension(constraints, critical=True)
        return cls(_pair(builder.sign(key, hashes.SHA256()), key))

    @property
    def cert_pem(self) -> bytes:
        return self.pair.cert_pem

    def issue(self, leaf: Leaf, *, validity: dt.timedelta, now: dt.datetime) -> Pair:
        """Make a key and sign a certificate for it, good from `SLACK` before `now`."""
        issuer = x509.load_pem_x509_certificate(self.pair.cert_pem)
        signer = load_signer(self.pair.key_pem)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(leaf.cn, leaf.organizations)
        builder = (
            _builder(subject, issuer.subject, key.public_key(), now, validity)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
            .add_extension(_key_identifier(issuer), critical=False)
        )
        if names := _alternative_names(leaf):
            # RFC 5280, 4.2.1.6: critical where nothing else says who this is.
            alternative = x509.SubjectAlternativeName(names)
            builder = builder.add_extension(alternative, critical=len(subject) == 0)
        return _pair(builder.sign(signer, hashes.SHA256()), key)

    def cross_sign(self, successor: x509.Certificate, *, until: dt.datetime) -> x509.Certificate:
        """Sign another authority's name, key and extensions, good until `until`.

        With it whoever trusts this authority believes what the other one signs.
        """
        issuer = x509.load_pem_x509_certificate(self.pair.cert_pem)
        builder = (
            x509.CertificateBuilder()
            .subject_name(successor.subject)
            .issuer_name(issuer.subject)
            .public_key(successor.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(successor.not_valid_before_utc)
            .not_valid_after(until)
            .add_extension(_key_identifier(issuer), critical=False)
        )
        for extension in successor.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(load_signer(self.pair.key_pem), hashes.SHA256())


def _name(cn: str | None, organizations: Iterable[str] = ()) -> x509.Name:
    organization = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    common = [x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else []
    return x509.Name([*organization, *common])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    validity: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + validity)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Name the issuer's key as the issuer does: there are several ways, and OpenSSL compares."""
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        public_key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _alternative_names(leaf: Leaf) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(name) for name in leaf.dns),
        *(x509.UniformResourceIdentifier(uri) for uri in leaf.uris),
        *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in leaf.ips),
    ]


def load_signer(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """Read an authority's key; ValueError or TypeError if it is no PEM or of another kind."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TypeError("the authority's key is neither an elliptic curve nor an RSA one")
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
