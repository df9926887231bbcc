"""How a grant of a lease is bounded; the script itself runs in tests/integration/dataplane."""

from controller.dataplane.gate import leases, limits


def test_the_filters_do_nothing_where_no_route_asks() -> None:
    rate, buffer, lua = leases.filters()
    assert "token_bucket" not in rate["typed_config"]
    assert buffer["disabled"]
    assert "default_source_code" not in lua["typed_config"]


def test_a_route_names_a_script_that_there_is() -> None:
    script = leases.on_route()["typed_per_filter_config"][leases.LUA]["name"]
    assert script in leases.filters()[-1]["typed_config"]["source_codes"]


def test_the_rate_is_enforced_on_the_route() -> None:
    rate = leases.on_route()["typed_per_filter_config"][leases.RATE_LIMIT]
    assert rate["token_bucket"]["max_tokens"] == limits.LEASE_GRANTS_BURST
    # Envoy's default of both is none of the requests.
    assert rate["filter_enabled"] == rate["filter_enforced"]
    assert rate["filter_enabled"] == {"default_value": {"numerator": 100}}


def test_a_refusal_says_what_to_do_and_breaks_no_script() -> None:
    assert str(limits.LEASE_TTL) in leases.REFUSAL
    assert '"' not in leases.REFUSAL
