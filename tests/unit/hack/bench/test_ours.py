from pathlib import Path

import pytest

from hack.bench import ours
from hack.bench.measured import Measured
from tests.unit.hack.bench.conftest import EVENTS, OBJECTS


def test_our_informer_sees_all_events(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours.main(str(kubeconfig), EVENTS)
    measured = Measured.parse(capsys.readouterr().out)
    assert measured.objects == OBJECTS
    assert 0 < measured.synced < 10
    assert 0 < measured.events < 10
    assert 0 < measured.imported <= measured.peak
