"""Which pairs are kept, which are replaced and why, and what is delivered behind them."""

import base64
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID

from controller.pki import CLIENT, SERVER, Leaf
from controller.pki.leaves import (
    LeafLook,
    addresses_in,
    client_leaf,
    client_uri,
    leaf_pair,
    service_dns,
    serving_leaf,
)
from controller.pki.lifetime import NONE_YET, SLACK, issued, renewal
from controller.pki.pem import read_certificates
from controller.pki.rotation import Terms
from controller.pki.trust import Former, Trust
from tests.support.pkiworld import HOUR, NAME, rotated, settled

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
DNS = service_dns("etcd-name", "ns")
TERMS = Terms(NAME, DNS, 2000 * HOUR, 300 * HOUR)
SERVING = serving_leaf(DNS, ("10.0.0.1", "fd00::1"))
WHO = client_leaf(client_uri(NAME, "ns", "secret"))
SUBJECT_NAMES = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
MOMENT = dt.timedelta(microseconds=1)


@pytest.fixture(scope="module")
def trust() -> Trust:
    return settled(TERMS, NOW)[0]


def look(
    present: Any,
    trust: Trust,
    leaf: Leaf = WHO,
    now: dt.datetime = NOW,
    validity: dt.timedelta = 300 * HOUR,
    **how: bool,
) -> LeafLook:
    return leaf_pair(present, trust, leaf, validity, now, **{"may_switch": True, **how})


def is_kept(found: LeafLook, first: LeafLook) -> bool:
    return found.issued == "" and found.data == first.data


def lost(trust: Trust) -> Trust:
    """Return the trust after its key was lost."""
    formers = (trust.signer.certificate, *(former.certificate for former in trust.formers))
    signer = settled(TERMS, NOW)[0].signer
    return replace(trust, signer=signer, formers=tuple(Former(each, None) for each in formers))


def test_names_of_a_service_and_of_a_client() -> None:
    names = ["etcd-name", "etcd-name.ns", "etcd-name.ns.svc", "etcd-name.ns.svc.cluster.local"]
    assert [*DNS] == names
    assert WHO.uris == ("etcdstorage://name/ns/secret",)
    assert (WHO.cn, WHO.dns, WHO.usages) == (None, (), (CLIENT,))
    assert SERVING.usages == (SERVER,)


@pytest.mark.parametrize("leaf", [SERVING, WHO], ids=["serving", "client"])
def test_a_new_pair_says_what_is_asked_for_and_is_kept_to_the_byte(
    trust: Trust, leaf: Leaf
) -> None:
    first = look(None, trust, leaf)
    assert first.issued == NONE_YET
    made = first.certificate
    assert len(made.subject) == 0
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert made.not_valid_before_utc == NOW.replace(microsecond=0) - SLACK
    assert made.not_valid_after_utc == NOW.replace(microsecond=0) + 300 * HOUR
    assert first.again == (renewal(made) - NOW).total_seconds()
    backwards = replace(leaf, dns=leaf.dns[::-1], ips=leaf.ips[::-1])
    for now in (NOW, NOW - DAY, renewal(made) - MOMENT):
        found = look({**first.data, "more": "x"}, trust, backwards, now)
        assert is_kept(found, first)
        assert found.again == (renewal(made) - now).total_seconds()


def test_it_is_replaced_at_its_renewal_and_whatever_the_clock_does_once(trust: Trust) -> None:
    first = look(None, trust)
    due = renewal(first.certificate)
    second = look(first.data, trust, now=due + DAY)
    assert second.issued == "most of its life is over"
    back = look(second.data, trust, now=due)
    assert is_kept(back, second)
    assert back.certificate.not_valid_before_utc <= due
    assert look(first.data, trust, now=NOW + 300 * HOUR).issued == "tls.crt has expired"


def test_one_that_a_clock_made_that_was_ahead_is_replaced_once(trust: Trust) -> None:
    ahead = look(None, trust, now=NOW + 30 * DAY)
    begins = ahead.certificate.not_valid_before_utc
    assert is_kept(look(ahead.data, trust, now=begins), ahead)
    for may_switch in (False, True):
        found = look(ahead.data, trust, now=begins - MOMENT, may_switch=may_switch)
        assert "begins in the future" in found.issued
        assert is_kept(look(found.data, trust, now=begins - MOMENT), found)


def test_one_that_ends_with_its_authority_is_not_asked_for_again_and_again(trust: Trust) -> None:
    late = NOW + 1900 * HOUR
    first = look(None, trust, now=late)
    end = trust.signer.certificate.not_valid_after_utc
    assert first.certificate.not_valid_after_utc == end
    assert is_kept(look(first.data, trust, now=end - MOMENT), first)
    over = look(None, trust, now=end + HOUR)
    assert is_kept(look(over.data, trust, now=end + HOUR), over)


def test_another_validity_is_taken_at_once(trust: Trust) -> None:
    first = look(None, trust)
    for validity in (200 * HOUR, 400 * HOUR):
        found = look(first.data, trust, validity=validity)
        assert found.issued == "tls.crt was made with another validity"
        assert issued(found.certificate) + validity == found.certificate.not_valid_after_utc


OTHERS = {
    "fewer names": (SERVING, replace(SERVING, dns=DNS[1:])),
    "another address": (SERVING, replace(SERVING, ips=("10.0.0.2",))),
    "another client": (WHO, client_leaf(client_uri(NAME, "ns", "other"))),
    "another purpose": (WHO, replace(WHO, usages=(SERVER,))),
    "both purposes": (WHO, replace(WHO, usages=(CLIENT, SERVER))),
    "a common name": (replace(WHO, cn="client"), WHO),
    "nobody": (Leaf(), WHO),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_says_something_else_is_replaced(trust: Trust, what: str) -> None:
    before, wanted = OTHERS[what]
    found = look(look(None, trust, before).data, trust, wanted, may_switch=False)
    assert found.issued == "tls.crt is for other names or another purpose"


def rsa_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def joined(*values: str) -> str:
    return base64.b64encode(b"".join(map(base64.b64decode, values))).decode()


SPOILT: dict[str, tuple[Any, str]] = {
    "null": (lambda _: None, NONE_YET),
    "empty": (lambda _: {"tls.crt": "", "tls.key": ""}, NONE_YET),
    "emptied": (lambda pair: {**pair, "tls.crt": ""}, "tls.crt is missing or empty"),
    "no key": (lambda pair: {"tls.crt": pair["tls.crt"]}, "tls.key is missing or empty"),
    "a number": (lambda pair: {**pair, "tls.crt": 5}, "tls.crt is missing or empty"),
    "an RSA key": (
        lambda pair: {**pair, "tls.key": base64.b64encode(rsa_key()).decode()},
        "tls.key is no elliptic curve key",
    ),
    "cut off": (lambda pair: {**pair, "tls.crt": pair["tls.crt"][:200]}, "tls.crt is no"),
    "the key behind": (
        lambda pair: {**pair, "tls.crt": joined(pair["tls.crt"], pair["tls.key"])},
        "tls.crt holds more",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_made_anew_and_says_why(trust: Trust, what: str) -> None:
    spoil, says = SPOILT[what]
    found = look(spoil(look(None, trust).data), trust, may_switch=False)
    assert found.issued.startswith(says)
    assert is_kept(look(found.data, trust), found)


def test_two_halves_of_two_pairs_are_none(trust: Trust) -> None:
    one, two = look(None, trust), look(None, trust)
    found = look({"tls.crt": one.data["tls.crt"], "tls.key": two.data["tls.key"]}, trust)
    assert found.issued == "tls.key is not the key of tls.crt"


def test_a_pair_of_a_stranger_is_replaced(trust: Trust) -> None:
    stranger, _ = settled(TERMS, NOW)
    found = look(look(None, stranger).data, trust, may_switch=False)
    assert found.issued == "another authority has issued tls.crt"


def test_a_new_authority_issues_at_once_and_delivers_its_crosses() -> None:
    trust, present = settled(TERMS, NOW)
    first = look(None, trust)
    newer, _ = settled(replace(TERMS, token="a"), NOW, present, trust.bundle(NOW))
    found = look(first.data, newer, may_switch=False)
    assert found.issued == "there is a new authority"
    delivered = base64.b64decode(found.data["tls.crt"])
    assert read_certificates(delivered)[0] == found.certificate
    assert delivered.endswith(newer.chain(NOW))
    assert len(read_certificates(delivered)) == 2


def test_another_chain_needs_no_other_leaf() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    found = look(None, trust)
    late = trust.formers[0].certificate.not_valid_after_utc + SLACK
    trust = replace(trust, formers=())
    bare = look(found.data, trust, now=NOW)
    assert (bare.issued, bare.certificate) == ("", found.certificate)
    assert len(read_certificates(base64.b64decode(bare.data["tls.crt"]))) == 1
    assert trust.chain(late) == b""


def test_a_pair_of_a_lost_authority_waits_with_its_chain() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    first = look(None, trust)
    after = lost(trust)
    due, end = renewal(first.certificate), first.certificate.not_valid_after_utc
    for now in (due, end - MOMENT):
        waiting = look(first.data, after, now=now, may_switch=False)
        assert is_kept(waiting, first)
        assert waiting.waits
        assert waiting.again == (end - now).total_seconds()
    switched = look(first.data, after, now=due)
    assert (switched.issued, switched.waits) == ("there is a new authority", False)
    assert look(first.data, after, now=end, may_switch=False).issued == "tls.crt has expired"


@pytest.mark.parametrize("may_switch", [True, False])
def test_a_pair_of_a_lost_authority_stays_until_its_own_renewal(*, may_switch: bool) -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    first = look(None, trust)
    due = renewal(first.certificate)
    for now in (NOW, due - MOMENT):
        kept = look(first.data, lost(trust), now=now, may_switch=may_switch)
        assert is_kept(kept, first)
        assert not kept.waits
        assert kept.again == (due - now).total_seconds()


def test_no_representation_shows_a_key(trust: Trust) -> None:
    found = look(None, trust)
    assert "tls.key" not in repr(found)
    assert found.data["tls.key"][50:90] not in repr(found)


def test_a_serving_pair_tells_its_addresses_and_a_spoilt_one_none(trust: Trust) -> None:
    first = look(None, trust, SERVING)
    assert addresses_in(first.data) == ("10.0.0.1", "fd00::1")
    assert addresses_in(look(None, trust).data) == ()
    for data in (None, {}, {**first.data, "tls.crt": "eA=="}):
        assert addresses_in(data) is None


X400_NAME = bytes.fromhex("3004a302") + b"\xa0\x00"
"""A list of names with one of a kind that nothing of ours can have."""


def test_a_certificate_that_says_what_cannot_be_read_is_replaced(trust: Trust) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.UnrecognizedExtension(SUBJECT_NAMES, X400_NAME), critical=False)
    )
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    data = {
        "tls.crt": base64.b64encode(pem).decode(),
        "tls.key": base64.b64encode(key_pem).decode(),
    }
    with pytest.raises(x509.UnsupportedGeneralNameType):
        assert x509.load_pem_x509_certificate(pem).extensions
    assert look(data, trust).issued == "tls.crt is for other names or another purpose"
