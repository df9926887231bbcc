"""The table, once and as it changes."""

import io
import json
import threading

import pytest

from controller.inspection.cluster import Cluster
from controller.inspection.listing import (
    INTERVAL,
    UnreadError,
    Watch,
    print_json,
    print_table,
    read,
)
from controller.inspection.memory import POD_METRICS
from controller.inspection.rows import Row, row
from controller.resources import ETCD_STORAGES, PODS
from informers import ApiError
from tests.support.bookshelf import Bookshelf
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.objects import NAMESPACE, etcd_storage, pod
from tests.unit.controller.inspection.conftest import NOW
from tests.unit.controller.inspection.test_rows import DEGRADED, status


def measured(name: str, used: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"metadata": metadata, "containers": [{"usage": {"memory": used}}]}


def test_rows_are_by_name_and_have_the_memory_of_their_pods() -> None:
    shelf = Bookshelf()
    shelf.put(ETCD_STORAGES, etcd_storage("b"), etcd_storage("a"))
    shelf.put(PODS, pod("a-1", storage="a"), pod("b-1", storage="b"))
    shelf.put(POD_METRICS, measured("a-1", "60Mi"))
    rows = read(Cluster(shelf.client), NAMESPACE)
    assert [(one.name, one.memory) for one in rows] == [("a", 60 << 20), ("b", None)]


def test_without_a_metrics_server_there_is_no_memory() -> None:
    shelf = Bookshelf()
    shelf.put(ETCD_STORAGES, etcd_storage())
    shelf.failing[POD_METRICS] = ApiError(404, "NotFound", "the server could not find it")
    assert read(Cluster(shelf.client), NAMESPACE)[0].memory is None


def test_without_a_metrics_server_the_kubelets_are_asked() -> None:
    shelf = Bookshelf()
    shelf.put(ETCD_STORAGES, etcd_storage("a"))
    for name, node in (("a-1", "one"), ("a-2", "two"), ("a-3", "silent")):
        shelf.put(PODS, {**pod(name, storage="a"), "spec": {"nodeName": node}})
    shelf.failing[POD_METRICS] = ApiError(404, "NotFound", "the server could not find it")
    for name, node in (("a-1", "one"), ("a-2", "two")):
        told = {
            "podRef": {"name": name, "namespace": NAMESPACE},
            "memory": {"workingSetBytes": 20 << 20},
        }
        shelf.pages[f"/api/v1/nodes/{node}/proxy/stats/summary"] = {"pods": [told]}
    assert read(Cluster(shelf.client), NAMESPACE)[0].memory is None
    silent = {"podRef": {"name": "a-3", "namespace": NAMESPACE}}
    used = {"pods": [{**silent, "memory": {"workingSetBytes": 1 << 20}}]}
    shelf.pages["/api/v1/nodes/silent/proxy/stats/summary"] = used
    assert read(Cluster(shelf.client), NAMESPACE)[0].memory == 41 << 20


@pytest.mark.parametrize(
    ("code", "words"), [(404, "CRD is not installed"), (403, "cannot list resource")]
)
def test_storages_that_cannot_be_read_end_it(code: int, words: str) -> None:
    shelf = Bookshelf()
    reason = {404: "NotFound", 403: "Forbidden"}[code]
    shelf.failing[ETCD_STORAGES] = ApiError(code, reason, "cannot list resource")
    with pytest.raises(UnreadError, match=words):
        read(Cluster(shelf.client), NAMESPACE)


def one(name: str = "a", *, ready: int = 0, used: int | None = None) -> Row:
    return row(etcd_storage(name, status=status(readyReplicas=ready)), used)


def test_table_and_json() -> None:
    out = io.StringIO()
    print_table([one()], NOW, out)
    header, line = out.getvalue().splitlines()
    assert header.split()[:2] == ["NAME", "MODE"]
    assert line.startswith("a      Proxy")
    out = io.StringIO()
    print_json([one()], NOW, out)
    assert json.loads(out.getvalue())["storages"][0]["name"] == "a"


class Watched:
    """A watch in a thread, with what it sees and what it says."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.rows: list[Row] | None = []
        self.out, self.err = io.StringIO(), io.StringIO()
        self.clock, self.stop = FakeClock(), threading.Event()
        self._watch = Watch(
            self._read,
            self.out,
            self.err,
            clock=self.clock,
            now=lambda: NOW,
            as_json=as_json,
        )
        self._thread = threading.Thread(target=self._watch.run, args=(self.stop,))

    def sees(self, *rows: Row) -> None:
        self.rows = list(rows)
        self.again()

    def _read(self) -> list[Row]:
        if self.rows is None:
            raise UnreadError("https://api: Connection refused")
        return self.rows

    def again(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
        else:
            self.clock.step(INTERVAL)
        self.clock.await_waiters()

    def end(self) -> list[str]:
        self.stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()
        return self.out.getvalue().splitlines()


def test_a_watch_prints_what_has_changed_and_nothing_else() -> None:
    watched = Watched()
    watched.sees(one("a"), one("b"))
    watched.sees(one("a"), one("b", used=7))
    watched.sees(one("a"), one("b", ready=1))
    watched.sees(one("a"))
    header, *lines = watched.end()
    assert header.startswith("NAME")
    assert [(line.split()[0], line.split()[4]) for line in lines] == [
        ("a", "0/2"),
        ("b", "0/2"),
        ("b", "1/2"),
        ("b", "1/2"),
    ]
    assert lines[-1].endswith("Gone: it was deleted")


def test_a_watch_in_json_has_an_object_a_line() -> None:
    watched = Watched(as_json=True)
    watched.sees(one("a"))
    watched.sees(row(etcd_storage("a", status=status(DEGRADED)), None))
    told = [json.loads(line) for line in watched.end()]
    assert [line["trouble"] and line["trouble"]["reason"] for line in told] == [
        None,
        "PodsCannotStart",
    ]


def test_a_watch_goes_on_when_the_server_is_back() -> None:
    watched = Watched()
    watched.sees(one("a"))
    watched.rows = None
    watched.again()
    watched.again()
    watched.sees(one("a", ready=2))
    lines = watched.end()
    assert watched.err.getvalue() == "https://api: Connection refused; trying on\n"
    assert "2/2" in lines[-1]


def test_a_watch_of_nothing_shows_the_header_and_waits() -> None:
    watched = Watched()
    watched.sees()
    eventually(lambda: watched.out.getvalue().startswith("NAME"))
    assert len(watched.end()) == 1
