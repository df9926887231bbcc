"""Requests that a script looks at; the scripts themselves run in tests/integration/dataplane."""

from controller.dataplane.gate import bodies


def test_the_filters_do_nothing_where_no_route_asks() -> None:
    buffer, lua = bodies.filters({"name": "source"})
    assert buffer["disabled"]
    assert "default_source_code" not in lua["typed_config"]


def test_a_route_names_its_script_and_the_most_that_it_waits_for() -> None:
    route = bodies.on_route("name", 77)
    _, lua = bodies.filters({"name": "source"})
    assert lua["typed_config"]["source_codes"][route[bodies.LUA]["name"]] == {
        "inline_string": "source"
    }
    assert route[bodies.BUFFER]["buffer"] == {"max_request_bytes": 77}


def test_what_is_looked_at_as_it_comes_waits_for_nothing() -> None:
    assert set(bodies.on_stream("name")) == {bodies.LUA}
    assert bodies.on_stream("name").items() <= bodies.on_route("name", 77).items()
