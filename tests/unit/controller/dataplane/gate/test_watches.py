"""How watches are bounded; the script itself runs in tests/integration/dataplane."""

from controller.dataplane.gate import bodies, limits, watches


def test_its_bodies_are_looked_at_as_they_come() -> None:
    found = watches.on_route()
    assert set(found) == {bodies.LUA}
    assert found[bodies.LUA]["name"] == watches.GUARD


def test_a_refusal_says_the_bounds_and_breaks_no_script() -> None:
    for bound in (limits.STREAM_WATCHES, limits.WATCHES, limits.WATCH_STREAMS):
        assert f" {bound} " in f"{watches.REFUSAL} "
    assert '"' not in watches.REFUSAL
