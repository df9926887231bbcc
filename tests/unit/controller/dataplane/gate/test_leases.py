"""How a grant of a lease is bounded; the script itself runs in tests/integration/dataplane."""

from controller.dataplane.gate import bodies, leases, limits


def test_the_rate_is_bounded_on_the_route_alone() -> None:
    assert "token_bucket" not in leases.rate_limit()["typed_config"]
    rate = leases.on_route()[leases.RATE_LIMIT]
    assert rate["token_bucket"]["max_tokens"] == limits.LEASE_GRANTS_BURST
    # Envoy's default of both is none of the requests.
    assert rate["filter_enabled"] == rate["filter_enforced"]
    assert rate["filter_enabled"] == {"default_value": {"numerator": 100}}


def test_a_grant_is_looked_at_before_it_grows() -> None:
    found = leases.on_route()
    assert found[bodies.LUA]["name"] == leases.GUARD
    assert found[bodies.BUFFER]["buffer"] == {"max_request_bytes": limits.LEASE_GRANT_BYTES}


def test_a_refusal_says_what_to_do_and_breaks_no_script() -> None:
    assert str(limits.LEASE_TTL) in leases.REFUSAL
    assert '"' not in leases.REFUSAL
