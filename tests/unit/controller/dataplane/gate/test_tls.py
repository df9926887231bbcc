"""TLS of both sides."""

from typing import Any

import orjson
import pytest

from controller.core.messages import define
from controller.dataplane.gate import tls
from controller.dataplane.gate.model import Folders
from tests.unit.controller.dataplane.gate.conftest import MakeGate

BUNDLE = b"-----BEGIN CERTIFICATE-----\n"


def sans(validation: dict[str, Any]) -> list[tuple[str, str]]:
    matchers = validation["match_typed_subject_alt_names"]
    return [(matcher["san_type"], matcher["matcher"]["exact"]) for matcher in matchers]


def common(socket: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = socket["typed_config"]["common_tls_context"]
    return context


@pytest.mark.parametrize(
    ("url", "san", "sni"),
    [
        ("https://core.etcd.svc:2379", ("DNS", "core.etcd.svc"), "core.etcd.svc"),
        ("https://10.0.0.1:2379", ("IP_ADDRESS", "10.0.0.1"), None),
        ("https://[fd00::1]:2379", ("IP_ADDRESS", "fd00::1"), None),
    ],
)
def test_each_url_of_the_core_is_checked_by_its_own_name(
    make_gate: MakeGate, url: str, san: tuple[str, str], sni: str | None
) -> None:
    socket = tls.towards_core(make_gate(core_urls=(url,)), url)
    validation = common(socket)["combined_validation_context"]
    assert sans(validation["default_validation_context"]) == [san]
    assert socket["typed_config"].get("sni") == sni


def clients(*uris: str) -> dict[str, Any]:
    """Return what the file says of whom to let in."""
    [secret] = orjson.loads(tls.clients_file(uris, BUNDLE))["resources"]
    context: dict[str, Any] = secret["validation_context"]
    return context


def test_only_the_listed_clients_of_the_bundle_are_let_in(make_gate: MakeGate) -> None:
    assert sans(clients("urn:a", "urn:b")) == [("URI", "urn:a"), ("URI", "urn:b")]
    assert clients("urn:a")["trusted_ca"] == {"inline_string": BUNDLE.decode()}
    assert tls.towards_clients(make_gate(tls=True))["typed_config"]["require_client_certificate"]


def test_no_listed_client_is_nobody_and_not_everybody() -> None:
    [(kind, name)] = sans(clients())
    # No URI has such a form: the scheme alone.
    assert (kind, name) == ("URI", "nobody:")


def test_the_order_of_the_list_does_not_change_the_file() -> None:
    texts = {tls.clients_file(uris, BUNDLE) for uris in (("urn:a", "urn:b"), ("urn:b", "urn:a"))}
    assert len(texts) == 1


def test_a_list_has_a_version_of_its_own_whatever_the_bundle() -> None:
    def version(*uris: str, bundle: bytes = BUNDLE) -> str:
        told: str = orjson.loads(tls.clients_file(uris, bundle))["version_info"]
        assert told == tls.clients_version(uris)
        return told

    assert version("urn:a", "urn:b") == version("urn:b", "urn:a", bundle=b"another")
    assert len({version(), version("urn:a"), version("urn:a", "urn:b")}) == 3


def test_no_session_outlives_the_bundle_that_let_it_in(make_gate: MakeGate) -> None:
    context = tls.towards_clients(make_gate(tls=True))["typed_config"]
    assert context["disable_stateless_session_resumption"]
    assert context["disable_stateful_session_resumption"]


SDS = define(
    {
        "DataSource": ("bytes inline_bytes 2",),
        "TlsCertificate": ("DataSource certificate_chain 1", "DataSource private_key 2"),
        "Secret": ("string name 1", "TlsCertificate tls_certificate 2"),
        "Any": ("string type_url 1", "bytes value 2"),
        "DiscoveryResponse": ("repeated Any resources 2",),
    }
)
"""With Envoy's own field numbers."""


def read_pair(content: bytes) -> Any:
    """Return the one secret of a pair's file."""
    [resource] = SDS["DiscoveryResponse"].FromString(content).resources
    assert resource.type_url.endswith(".transport_sockets.tls.v3.Secret")
    return SDS["Secret"].FromString(resource.value)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 300_000])
def test_a_pair_of_any_length_is_what_envoy_reads(length: int) -> None:
    chain, key = b"c" * length, b"k" * (length // 2)
    pair = read_pair(tls.pair_file(chain, key)).tls_certificate
    assert (pair.certificate_chain.inline_bytes, pair.private_key.inline_bytes) == (chain, key)


def test_every_secret_that_is_asked_for_is_in_the_file_named(make_gate: MakeGate) -> None:
    gate = make_gate(core_urls=("https://c:1",), tls=True, folders=Folders("/f", "/c", "/s"))
    core, ingress = (
        common(socket)
        for socket in (tls.towards_core(gate, "https://c:1"), tls.towards_clients(gate))
    )
    sources = [
        *core["tls_certificate_sds_secret_configs"],
        core["combined_validation_context"]["validation_context_sds_secret_config"],
        *ingress["tls_certificate_sds_secret_configs"],
        ingress["validation_context_sds_secret_config"],
    ]
    listed = orjson.loads(tls.clients_file((), BUNDLE))
    found = {f"/f/{name}": content for name, content in tls.core_secrets(gate).items()}
    names = {path: file["resources"][0]["name"] for path, file in found.items()}
    names[f"/s/{tls.CLIENTS_FILE}"] = listed["resources"][0]["name"]
    names[f"/s/{tls.PAIR_FILE}"] = read_pair(tls.pair_file(b"", b"")).name
    asked = {s["sds_config"]["path_config_source"]["path"]: s["name"] for s in sources}
    assert asked == names


def test_the_folder_that_the_kubelet_swaps_is_watched(make_gate: MakeGate) -> None:
    gate = make_gate(folders=Folders(core="/c", serving="/s"), tls=True)
    for file in tls.core_secrets(gate).values():
        secret = file["resources"][0]
        content = secret.get("tls_certificate") or secret["validation_context"]
        assert content["watched_directory"] == {"path": "/c"}
    ingress = common(tls.towards_clients(gate))
    for source in (
        *ingress["tls_certificate_sds_secret_configs"],
        ingress["validation_context_sds_secret_config"],
    ):
        watched = source["sds_config"]["path_config_source"]["watched_directory"]
        assert watched == {"path": "/s"}
