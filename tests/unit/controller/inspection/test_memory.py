import pytest

from controller.inspection.memory import by_storage, of_summary, quantity, told
from tests.support.objects import pod


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0", 0), ("12345", 12345), ("53Mi", 53 << 20), ("1Gi", 1 << 30), ("2M", 2_000_000)),
        *(("7k", 7000), ("129e6", 129_000_000), ("1500m", 1), ("1.5Ki", 1536), ("1E", 10**18)),
        *(("", 0), ("much", 0), ("NaN", 0), ("Infinity", 0)),
    ],
)
def test_a_quantity_is_read(text: str, number: int) -> None:
    assert quantity(text) == number


def metrics(name: str, *used: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "containers": [{"usage": {"memory": m}} for m in used]}


def test_a_storages_pods_and_their_containers_are_added_up() -> None:
    pods = [pod("a-1", storage="a"), pod("a-2", storage="a"), pod("b-1", storage="b")]
    measured = [metrics("a-1", "50Mi", "4Mi"), metrics("a-2", "46Mi"), metrics("other", "1Gi")]
    assert by_storage(pods, measured) == {"a": 100 << 20}


def test_what_is_measured_in_part_is_not_told() -> None:
    pods = [pod("a-1", storage="a"), pod("a-2", storage="a")]
    assert by_storage(pods, [metrics("a-1", "3Mi")]) == {}
    assert by_storage(pods, [metrics("a-1", "3Mi"), metrics("a-2", "0")]) == {}


def test_a_kubelets_summary_tells_of_its_pods() -> None:
    def used(name: str, namespace: str, **memory: int) -> dict[str, object]:
        return {"podRef": {"name": name, "namespace": namespace}, "memory": memory}

    mine = used("a-1", "ns", workingSetBytes=7, rssBytes=5)
    summary = {"pods": [mine, used("a-1", "other", workingSetBytes=9), used("a-2", "ns")]}
    assert by_storage([pod("a-1", storage="a")], of_summary(summary, "ns")) == {"a": 7}
    assert of_summary({}, "ns") == []


def test_what_is_not_measured_is_a_dash() -> None:
    assert (told(None), told(100 << 20)) == ("-", "100Mi")
