"""What of a status can be read, whoever wrote it."""

from typing import Any

import pytest

from controller.api.statusfields import readable

FLAT = {"type": "Ready", "status": "True", "observedGeneration": 3}
GOOD: dict[str, Any] = {
    "conditions": [FLAT],
    "certificates": {
        "serving": {"serial": "7"},
        "clients": [{"namespace": "a", "name": "b", "serial": "8"}],
        "rotation": "Serving",
    },
    "usage": {"keys": 1, "measuredAt": "2026-01-02T03:04:05Z"},
    "readyReplicas": 2,
    "endpoint": "http://e",
}


def test_what_we_wrote_is_read_as_it_is() -> None:
    assert readable(GOOD) == (GOOD, ())
    assert readable(dict.fromkeys(GOOD))[1] == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conditions", "many"),
        ("conditions", {"type": "Ready"}),
        ("conditions", [FLAT, "Ready"]),
        ("conditions", [{**FLAT, "type": ["Ready"]}]),
        ("certificates", 7),
        ("certificates", {"serving": {"servedSerial": 7}}),
        ("certificates", {"serving": {"servedNotAfter": "tomorrow"}}),
        ("certificates", {"signing": "7"}),
        ("certificates", {"serving": {"serial": []}}),
        ("certificates", {"clients": {"namespace": "a", "name": "b"}}),
        ("certificates", {"clients": [{"namespace": "a"}]}),
        ("usage", [1]),
        ("usage", "many"),
        ("readyReplicas", "2"),
        ("readyReplicas", True),
    ],
)
def test_what_cannot_be_read_counts_as_unset(field: str, value: object) -> None:
    others = {name: one for name, one in GOOD.items() if name != field}
    assert readable({**GOOD, field: value}) == (others, (field,))


@pytest.mark.parametrize("status", [None, "words", 7, ["conditions"]])
def test_what_is_no_status_is_an_empty_one(status: object) -> None:
    assert readable(status) == ({}, ())
