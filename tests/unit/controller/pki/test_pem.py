"""PEM is taken whole or not at all."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from controller.pki import Authority, Pair
from controller.pki.pem import UnreadableError, dump, is_key_of, is_signed_by, read_certificates

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
ONE, TWO = (Authority.create(n, validity=dt.timedelta(days=9), now=NOW).pair for n in "ab")


def loaded(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert_pem)


def key(private: Any, encryption: Any = None) -> bytes:
    form = PrivateFormat.PKCS8
    return bytes(private.private_bytes(Encoding.PEM, form, encryption or NoEncryption()))


def test_several_certificates_are_read_in_their_order_however_lines_end() -> None:
    both = ONE.cert_pem + TWO.cert_pem
    assert read_certificates(both.replace(b"\n", b"\r\n")) == (loaded(ONE), loaded(TWO))
    assert dump(read_certificates(both)) == both


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "missing or empty"),
    "blank": (lambda _: b" \n", "missing or empty"),
    "no PEM": (lambda _: b"\x00\xff", "no certificate"),
    "DER": (lambda pem: loaded(Pair(pem, b"")).public_bytes(Encoding.DER), "no certificate"),
    "a key alone": (lambda _: ONE.key_pem, "no certificate|more than"),
    "a key behind": (lambda pem: pem + ONE.key_pem, "more than"),
    "text before": (lambda pem: b"subject=/CN=a\n" + pem, "more than"),
    "cut off": (lambda pem: pem[:-40], "no certificate|part of one"),
    "the second cut off": (lambda pem: pem + TWO.cert_pem[:-40], "no certificate|part of one"),
    "spoilt within": (lambda pem: pem[:100] + b"AAAA" + pem[104:], "no certificate"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_not_certificates_alone_is_refused(what: str) -> None:
    spoil, says = SPOILT[what]
    with pytest.raises(UnreadableError, match=says):
        read_certificates(spoil(ONE.cert_pem))


def test_a_key_is_that_of_its_certificate_or_not() -> None:
    assert is_key_of(ONE.key_pem, loaded(ONE))
    assert not is_key_of(ONE.key_pem, loaded(TWO))


KEYS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"\n", "missing or empty"),
    "a certificate": (lambda: ONE.cert_pem, "no private key"),
    "no PEM": (lambda: b"secret", "no private key"),
    "two": (lambda: ONE.key_pem + TWO.key_pem, "more than one"),
    "a certificate behind": (lambda: ONE.key_pem + ONE.cert_pem, "more than one"),
    "cut off": (lambda: ONE.key_pem[:-60], "no private key"),
    "RSA": (lambda: key(rsa.generate_private_key(65537, 2048)), "no elliptic curve key"),
    "P-384": (lambda: key(ec.generate_private_key(ec.SECP384R1())), "no elliptic curve key"),
    "with a password": (
        lambda: key(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")),
        "password",
    ),
}


@pytest.mark.parametrize("what", KEYS)
def test_what_is_not_one_key_of_our_kind_is_refused_and_not_shown(what: str) -> None:
    make, says = KEYS[what]
    content = make()
    with pytest.raises(UnreadableError, match=says) as caught:
        is_key_of(content, loaded(ONE))
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    lines = content.decode().split("\n")
    assert not any(line in str(caught.value) for line in lines if len(line) > 20)


def test_a_signature_is_told_from_that_of_another_of_the_same_name() -> None:
    namesake = Authority.create("a", validity=dt.timedelta(days=9), now=NOW).pair
    assert is_signed_by(loaded(ONE), loaded(ONE))
    assert not is_signed_by(loaded(ONE), loaded(TWO))
    assert not is_signed_by(loaded(ONE), loaded(namesake))
