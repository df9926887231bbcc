"""The files and the command line."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane.gate import CONFIG_FILE, DRAIN_SECONDS, Gate, arguments, files
from tests.unit.controller.dataplane.gate.conftest import MakeGate

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,56}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map("[{}]".format))
gates = st.builds(
    Gate,
    storage=names,
    mode=st.sampled_from(["Proxy", "Direct"]),
    auth=st.booleans(),
    core_urls=st.tuples(st.sampled_from(["http", "https"]), st.lists(hosts, min_size=1)).map(
        lambda drawn: tuple(f"{drawn[0]}://{host}:2379" for host in drawn[1])
    ),
    drain_token=st.from_regex(r"[a-z0-9]{32}", fullmatch=True),
    tls=st.booleans(),
)


def bootstrap(gate: Gate) -> Any:
    return orjson.loads(files(gate)[CONFIG_FILE])


@settings(max_examples=20)
@given(gate=gates)
def test_the_same_gate_gives_the_same_bytes(gate: Gate) -> None:
    assert files(gate) == files(gate)
    # What annotations of one pod may hold together (Kubernetes: 256 KiB), with much to spare.
    urls = len(gate.core_urls)
    assert sum(map(len, files(gate).values())) < 36 * 1024 + urls * 2048


def test_what_is_the_pods_own_is_bound_to_loopback(make_gate: MakeGate) -> None:
    config = bootstrap(make_gate())
    listeners = {li["name"]: li["address"] for li in config["static_resources"]["listeners"]}
    for address in (config["admin"]["address"], listeners["egress"]):
        assert address["socket_address"]["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, set()),
        ({"core_urls": ("https://c:1",)}, {"core-pair.json", "core-ca.json"}),
        ({"tls": True}, set()),
    ],
)
def test_secrets_have_files_where_tls_is_used(
    make_gate: MakeGate, changed: dict[str, Any], names: set[str]
) -> None:
    assert set(files(make_gate(**changed))) == {CONFIG_FILE, *names}


@pytest.mark.parametrize("mode", ["Proxy", "Direct"])
def test_there_are_three_listeners(make_gate: MakeGate, mode: str) -> None:
    found = bootstrap(make_gate(mode=mode))["static_resources"]["listeners"]
    assert [listener["name"] for listener in found] == ["ingress", "probe", "egress"]


def test_the_administration_takes_what_the_probe_sends_and_no_more(make_gate: MakeGate) -> None:
    allowed = bootstrap(make_gate())["admin"]["allow_paths"]
    assert [path["exact"] for path in allowed] == [
        "/drain_listeners?graceful&inboundonly&skip_exit",
        "/stats/prometheus",
        "/certs",
        "/stats?filter=^sds.clients.version_text$",
        "/stats?filter=membership_healthy$",
    ]


def test_every_action_has_a_monitor(make_gate: MakeGate) -> None:
    manager = bootstrap(make_gate())["overload_manager"]
    monitors = {monitor["name"] for monitor in manager["resource_monitors"]}
    triggers = {t["name"] for action in manager["actions"] for t in action["triggers"]}
    assert triggers <= monitors


def test_the_command_line_names_the_file_and_the_drain(make_gate: MakeGate) -> None:
    line = " ".join(arguments(make_gate()))
    assert f"-c /etc/gate/config/{CONFIG_FILE}" in line
    assert f"--drain-time-s {DRAIN_SECONDS} --drain-strategy immediate" in line
