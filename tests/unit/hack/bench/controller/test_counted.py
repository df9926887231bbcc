from hack.bench.controller.counted import requests
from hack.program import Metrics


def test_requests_are_counted_by_verb() -> None:
    text = (
        'rest_client_requests_total{code="201",method="POST"} 4\n'
        'rest_client_requests_total{code="409",method="POST"} 1\n'
        'rest_client_requests_total{code="200",method="GET"} 2\n'
    )
    assert requests(Metrics(text)) == {"POST": 5, "GET": 2}
