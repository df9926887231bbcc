"""The benchmark in small: that it runs, and that its yardsticks do the same as we."""

from pathlib import Path

import pytest

from hack.bench import parts

SMALL = parts.Sizes(objects=50, events=300, slow_events=100, rounds=1000, changes=500, runs=1)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("start", ["synced after", "peak of the process", "by the imports"]),
        ("watch", ["watch events"]),
        ("queue", ["queue"]),
        ("churn", [f"after {tenth}/10" for tenth in range(11)]),
    ],
)
def test_a_part(name: str, figures: list[str], tmp_path: Path) -> None:
    rows = parts.ALL[name](SMALL, tmp_path)
    assert len(rows) == len(figures)
    for row, figure in zip(rows, figures, strict=True):
        assert figure in row.figure
        assert row.ours
