"""A gate of each kind."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.dataplane.gate.model import Gate

MakeGate = Callable[..., Gate]


@pytest.fixture
def make_gate() -> MakeGate:
    """Make a gate in mode Proxy, plain on both sides, with what is given changed."""
    plain = Gate("a", "Proxy", False, ("http://core:2379",), "token")

    def make(**changed: Any) -> Gate:
        return replace(plain, **changed)

    return make
