"""TLS of both sides."""

from typing import Any

import pytest

from controller.dataplane.gate import tls
from controller.dataplane.gate.model import Folders
from tests.unit.controller.dataplane.gate.conftest import MakeGate


def sans(socket: dict[str, Any]) -> list[tuple[str, str]]:
    context = socket["typed_config"]["common_tls_context"]["combined_validation_context"]
    matchers = context["default_validation_context"]["match_typed_subject_alt_names"]
    return [(matcher["san_type"], matcher["matcher"]["exact"]) for matcher in matchers]


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
    assert sans(socket) == [san]
    assert socket["typed_config"].get("sni") == sni


def test_only_the_listed_clients_are_let_in(make_gate: MakeGate) -> None:
    socket = tls.towards_clients(make_gate(client_sans=("urn:a", "urn:b")))
    assert sans(socket) == [("URI", "urn:a"), ("URI", "urn:b")]
    assert socket["typed_config"]["require_client_certificate"]


def test_no_listed_client_is_nobody_and_not_everybody(make_gate: MakeGate) -> None:
    assert len(sans(tls.towards_clients(make_gate(client_sans=())))) == 1


def test_no_session_outlives_the_bundle_that_let_it_in(make_gate: MakeGate) -> None:
    context = tls.towards_clients(make_gate(client_sans=("urn:a",)))["typed_config"]
    assert context["disable_stateless_session_resumption"]
    assert context["disable_stateful_session_resumption"]


def test_every_secret_that_is_asked_for_is_in_the_file_named(make_gate: MakeGate) -> None:
    gate = make_gate(core_urls=("https://c:1",), client_sans=("urn:a",), folders=Folders("/f"))
    files = tls.core_secrets(gate) | tls.serving_secrets(gate)
    for socket in (tls.towards_core(gate, "https://c:1"), tls.towards_clients(gate)):
        common = socket["typed_config"]["common_tls_context"]
        for source in (
            *common["tls_certificate_sds_secret_configs"],
            common["combined_validation_context"]["validation_context_sds_secret_config"],
        ):
            path = source["sds_config"]["path_config_source"]["path"]
            [secret] = files[path.removeprefix("/f/")]["resources"]
            assert secret["name"] == source["name"]


def test_the_folder_that_the_kubelet_swaps_is_watched(make_gate: MakeGate) -> None:
    gate = make_gate(folders=Folders(core="/c", serving="/s"))
    for files, folder in ((tls.core_secrets(gate), "/c"), (tls.serving_secrets(gate), "/s")):
        for file in files.values():
            secret = file["resources"][0]
            content = secret.get("tls_certificate") or secret["validation_context"]
            assert content["watched_directory"] == {"path": folder}
