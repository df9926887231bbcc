import pytest

from hack.bench.dataplane import reach
from hack.cluster.command import CommandError


@pytest.mark.parametrize(
    ("message", "short"),
    [
        ("Error: rpc error: code = Unimplemented desc = this call\n", "Unimplemented"),
        ("Error: etcdserver: permission denied", "denied"),
        ("it ended with code 1:\nError: something else\n", "Error: something else"),
    ],
)
def test_a_refusal_is_a_word(message: str, short: str) -> None:
    def fail() -> str:
        raise CommandError(message)

    assert reach.outcome(fail) == short


def test_what_came_of_it() -> None:
    assert reach.outcome(lambda: "written") == "written"
