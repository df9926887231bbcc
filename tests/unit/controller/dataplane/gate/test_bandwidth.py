"""The filter does nothing but where it is switched on."""

from controller.dataplane.gate import bandwidth, limits


def test_it_is_off_but_on_routes() -> None:
    assert "enable_mode" not in bandwidth.http_filter()["typed_config"]


def test_a_route_bounds_its_answers_alone() -> None:
    config = bandwidth.on_route()[bandwidth.BANDWIDTH]
    assert (config["enable_mode"], config["limit_kbps"]) == ("RESPONSE", limits.LISTED_KIB)


def test_a_route_of_streams_bounds_what_is_said_alone() -> None:
    config = bandwidth.on_stream()[bandwidth.BANDWIDTH]
    assert (config["enable_mode"], config["limit_kbps"]) == ("REQUEST", limits.STREAMED_KIB)
