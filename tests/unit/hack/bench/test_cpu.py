import os

from hack.bench import cpu


def test_user_and_system_time_count() -> None:
    per_second = os.sysconf("SC_CLK_TCK")
    fields = f"S 1 1 1 0 -1 0 0 0 0 0 {3 * per_second} {per_second} 0 0 20 0 1 0 100"
    assert cpu.of(f"12 (a b) c) {fields}") == 4


def test_what_does_not_run_has_none() -> None:
    assert cpu.seconds([]) == 0
