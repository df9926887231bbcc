from pathlib import Path

import pytest

from hack.bench import official
from hack.bench.measured import Measured


def test_the_official_watch_sees_all_events(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official.main(str(kubeconfig), 0, 100)
    assert 0 < Measured.parse(capsys.readouterr().out).events < 10
