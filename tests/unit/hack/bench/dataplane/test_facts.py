from pathlib import Path

import pytest

from hack.bench.dataplane import facts
from hack.bench.dataplane.facts import Measured
from hack.bench.dataplane.latency import Created, Times
from hack.bench.dataplane.memory import Memory
from hack.bench.dataplane.ways import DIRECT, PROXY, STRAIGHT, Way, pod_of
from hack.dataplane import CoreEtcd
from hack.dataplane.programs import Programs

MIB = 2**20


@pytest.fixture
def measured(tmp_path: Path, noting: Programs) -> list[Measured]:
    core = CoreEtcd(tmp_path / "core", noting, auth=True)
    core.auth = True
    plain = CoreEtcd(tmp_path / "plain", noting)
    modes = {
        PROXY: pod_of(tmp_path / "proxy", noting, plain, PROXY, "Proxy"),
        DIRECT: pod_of(tmp_path / "direct", noting, plain, DIRECT, "Direct"),
    }

    def one(name: str, core: CoreEtcd, seconds: float) -> Measured:
        way = Way(name, core, core.etcdctl(), modes.get(name))
        used = {part: Memory(70 * MIB, 20 * MIB, 50 * MIB) for part in way.parts}
        fresh = {part: Memory(60 * MIB, 10 * MIB, 50 * MIB) for part in way.parts}
        times, created = Times([seconds]), Created([seconds], [2 * seconds])
        reached = ("Unimplemented", "answered", "denied")
        return Measured(way, *reached, times, created, times, times, times, fresh, used)

    return [
        one(STRAIGHT, plain, 0.010),
        one(STRAIGHT, core, 0.020),
        one(PROXY, core, 0.025),
        one(DIRECT, core, 0.030),
    ]


def squeezed(table: str) -> list[str]:
    return [" ".join(row.split()) for row in table.splitlines()]


def test_figures_are_beside_their_yardstick_of_the_same_core(measured: list[Measured]) -> None:
    rows = squeezed(facts.render(measured))
    assert rows.count("times straight 1.00 1.00 1.25 1.50 1.5") == 3
    assert "create, p50 10.0 ms 20.0 ms 25.0 ms 30.0 ms" in rows
    assert "create to watch event, p50 20.0 ms 40.0 ms 50.0 ms 60.0 ms" in rows
    assert "member list answered answered answered answered" in rows


def test_a_core_stands_above_its_first_way(measured: list[Measured]) -> None:
    title = facts.render(measured).splitlines()[0]
    assert title.split() == ["plain", "core", "core", "with", "users,", "TLS"]


@pytest.mark.parametrize(
    ("refusal", "short"),
    [
        ("", "bookmark"),
        ("... storage feature RequestWatchProgress is disabled", "refused: LIST"),
        ("Timeout: Too large resource version: 12, current: 10", "Too large resource version"),
        ("something else", "something else"),
    ],
)
def test_the_end_of_a_streaming_list(refusal: str, short: str) -> None:
    assert facts.answer(refusal) == short


def test_a_storage_takes_the_private_memory_of_its_pods(measured: list[Measured]) -> None:
    rows = squeezed(facts.render_memory(measured))
    assert "Proxy: gate 70 MiB 20 MiB 50 MiB 10 MiB" in rows
    assert "Proxy: grpc-proxy 70 MiB 20 MiB 50 MiB 10 MiB" in rows
    assert "Proxy: storage of 2 pods 80 MiB 40 MiB" in rows
    assert "Direct: storage of 2 pods 40 MiB 20 MiB" in rows
