"""The Secret of an authority: what comes back is what went in, or nothing at all."""

import base64
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from controller.pki.authority import load_signer
from controller.pki.pem import UnreadableError, dump, is_signed_by, read_certificates
from controller.pki.rotation import UNUSABLE, Terms, look
from controller.pki.trust import Trust
from controller.pki.trustsecret import (
    authority_secret,
    common_name,
    content,
    is_of,
    permitted_dns,
    read,
)
from tests.support.pkiworld import DNS, HOUR, NAME, rotated, secret, settled

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TERMS = Terms(NAME, (DNS, "etcd-name"), 2000 * HOUR, 300 * HOUR)
P256 = bytes.fromhex("06082a8648ce3d030107")
"""Its object identifier in DER."""

TRUST, PRESENT = rotated(TERMS, NOW, HOUR, HOUR)
OTHER, OTHERS = rotated(TERMS, NOW, HOUR)


def plain(key: str, present: dict[str, Any] = PRESENT) -> bytes:
    return base64.b64decode(present["data"][key])


def changed(**data: bytes | None) -> dict[str, Any]:
    """Return the Secret with some keys another, by their names with _ for the dot."""
    values = {
        name.replace("_", "."): None if value is None else base64.b64encode(value).decode()
        for name, value in data.items()
    }
    return {**PRESENT, "data": {**PRESENT["data"], **values}}


def of_an_unknown_curve(cross: x509.Certificate | None, by: Trust) -> x509.Certificate:
    """Return a cross with a key on a curve that nobody knows, well signed all the same."""
    assert cross is not None
    signed, key = cross.tbs_certificate_bytes, load_signer(by.signer.authority.pair.key_pem)
    spoilt = signed.replace(P256, P256[:-1] + b"\x7f")
    assert spoilt != signed
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(spoilt, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    bits = bytes([3, len(signature) + 1, 0]) + signature
    content = spoilt + algorithm + bits
    der = b"\x30\x82" + len(content).to_bytes(2, "big") + content
    return x509.load_der_x509_certificate(der)


def test_a_cross_that_cannot_be_read_is_refused_like_any_other() -> None:
    first, present = settled(TERMS, NOW)
    second, present = settled(replace(TERMS, token="a"), NOW, present, first.bundle(NOW))
    cross = of_an_unknown_curve(second.formers[0].cross, first)
    assert is_signed_by(cross, first.signer.certificate)
    with pytest.raises(UnsupportedAlgorithm):
        cross.public_key()
    formers = dump([first.signer.certificate, cross])
    data = {**present["data"], "former.crt": base64.b64encode(formers).decode()}
    with pytest.raises(UnreadableError, match=r"former\.crt holds something else"):
        read({**present, "data": data}, NAME)
    problem = look({**present, "data": data}, second.bundle(NOW), TERMS, NOW).problem
    assert problem is not None
    assert problem.reason == UNUSABLE


def test_what_is_read_is_what_was_written() -> None:
    trust = replace(TRUST, token="token", longest=77 * HOUR, unlinked_until=NOW)
    written = secret(*content(trust))
    assert read(written, NAME) == trust
    assert content(read(written, NAME)) == content(trust)
    assert written["metadata"]["annotations"] == {
        "etcd.xmudrii.com/longest-leaf": str(77 * 3600),
        "etcd.xmudrii.com/rotate": "token",
        "etcd.xmudrii.com/unlinked-until": "2026-01-02T03:04:05+00:00",
    }


def test_a_former_that_signed_again_keeps_its_own_time() -> None:
    newer, older = TRUST.formers
    trust = replace(TRUST, formers=(replace(newer, until=NOW), older))
    written = secret(*content(trust))
    assert read(written, NAME) == trust
    # What is said of those that are gone is passed over, and so is what makes no sense.
    times = written["metadata"]["annotations"]["etcd.xmudrii.com/formers-until"]
    for text in (f"abc=2030-01-01T00:00:00+00:00 {times}", f"x= = {times} 5=y", times):
        annotations = {
            **written["metadata"]["annotations"],
            "etcd.xmudrii.com/formers-until": text,
        }
        assert read({**written, "metadata": {"annotations": annotations}}, NAME) == trust


def test_a_time_that_counts_no_longer_does_not_stay() -> None:
    written = secret(*content(replace(TRUST, unlinked_until=NOW)))
    assert read(secret(*content(TRUST), written), NAME) == TRUST


@pytest.mark.parametrize("until", [None, "", "soon", "2026-01-02T03:04:05", 5])
def test_a_time_that_cannot_be_read_is_none(until: Any) -> None:
    annotations = {"etcd.xmudrii.com/unlinked-until": until}
    assert read({**PRESENT, "metadata": {"annotations": annotations}}, NAME).unlinked_until is None


def test_the_formers_stand_newest_first_each_before_its_cross() -> None:
    second, by_second, first, by_first = read_certificates(plain("former.crt"))
    assert (second, first) == tuple(former.certificate for former in TRUST.formers)
    assert (by_second, by_first) == tuple(former.cross for former in TRUST.formers)


def test_a_former_without_a_cross_comes_back_so() -> None:
    newer, older = TRUST.formers
    lost = replace(TRUST, formers=(newer, replace(older, cross=None)))
    assert read(secret(*content(lost)), NAME) == lost


SPOILT: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "data: null": (lambda: {**PRESENT, "data": None}, "tls.crt is missing or empty"),
    "no data": (lambda: {"metadata": {}}, "tls.crt is missing or empty"),
    "a number": (lambda: {"data": {"tls.crt": 5}}, "tls.crt is missing or empty"),
    "no base64": (lambda: {"data": {"tls.crt": "é"}}, "tls.crt is missing or empty"),
    "no certificate": (lambda: changed(tls_crt=b""), "tls.crt is missing or empty"),
    "no key": (lambda: changed(tls_key=None), "tls.key is missing or empty"),
    "two certificates": (
        lambda: changed(tls_crt=plain("tls.crt") + plain("tls.crt", OTHERS)),
        "tls.crt holds 2 certificates",
    ),
    "the key behind": (
        lambda: changed(tls_crt=plain("tls.crt") + plain("tls.key")),
        "tls.crt holds more than certificates",
    ),
    "cut off": (lambda: changed(tls_crt=plain("tls.crt")[:300]), "tls.crt is no certificate"),
    "another's key": (
        lambda: changed(tls_key=plain("tls.key", OTHERS)),
        "tls.key is not the key of tls.crt",
    ),
    "formers cut off": (
        lambda: changed(former_crt=plain("former.crt")[:-50]),
        "former.crt",
    ),
    "a cross too many": (
        lambda: changed(former_crt=plain("former.crt") + dump([TRUST.formers[0].cross])),  # type: ignore[list-item]
        "former.crt holds something else",
    ),
    "crosses of another": (
        lambda: changed(former_crt=plain("former.crt", OTHERS)),
        "former.crt holds something else",
    ),
    "a cross first": (
        lambda: changed(former_crt=dump([TRUST.formers[0].cross])),  # type: ignore[list-item]
        "former.crt holds something else",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_refused_by_the_name_of_its_key(what: str) -> None:
    make, says = SPOILT[what]
    with pytest.raises(UnreadableError, match=says) as caught:
        read(make(), NAME)
    lines = plain("tls.key").decode().split("\n")
    assert not any(line in str(caught.value) for line in lines if line)


def test_another_storages_authority_is_not_this_ones() -> None:
    _, another = settled(replace(TERMS, storage="another"), NOW)
    with pytest.raises(UnreadableError, match=r"tls\.crt is no authority"):
        read(another, NAME)
    assert is_of(read_certificates(plain("tls.crt", another))[0], "another")


@pytest.mark.parametrize("longest", [None, "", "-5", "x", "9" * 30, "²", 5])
def test_without_a_longest_life_that_can_be_read_it_is_the_longest_possible(longest: Any) -> None:
    annotations = {"etcd.xmudrii.com/longest-leaf": longest}
    trust = read({**PRESENT, "metadata": {"annotations": annotations}}, NAME)
    assert trust.longest == 2000 * HOUR
    assert trust.token == ""
    assert read({**PRESENT, "metadata": {"annotations": None}}, NAME) == trust


def test_a_common_name_is_never_too_long_and_always_its_own() -> None:
    assert authority_secret("a") == "etcd-ca-a"
    assert common_name("a", "0123abcd") == "etcdstorage a 0123abcd"
    longest = common_name("n" * 58, "0123abcd")
    assert len(longest) == 64
    assert longest.endswith(" 0123abcd")
    assert common_name("n" * 43, "0123abcd") == f"etcdstorage {'n' * 43} 0123abcd"
    # Two that begin alike, and one that looks like what became of the other.
    assert common_name("n" * 57, "0123abcd") != longest
    assert "~" in longest
    trust, present = settled(replace(TERMS, storage="n" * 58), NOW)
    assert read(present, "n" * 58) == trust


def test_it_is_believed_about_these_names_alone() -> None:
    assert {*permitted_dns(TRUST.signer.certificate)} == {DNS, "etcd-name"}
