from hack.program import Metrics

TEXT = """\
# HELP requests_total Sent
# TYPE requests_total counter
requests_total{code="200",method="GET"} 3.0
requests_total{code="404",method="GET"} 2.0
requests_total{code="201",method="POST"} 7.0
"""


def test_series_are_summed_that_have_the_labels() -> None:
    metrics = Metrics(TEXT)
    assert metrics.total("requests_total") == 12
    assert metrics.total("requests_total", method="GET") == 5
    assert metrics.total("requests_total", method="GET", code="404") == 2
    assert metrics.total("requests_total", method="PUT") == 0
    assert metrics.total("requests") == 0
