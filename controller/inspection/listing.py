"""`status`: the table of storages, once or as it changes."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Final, TextIO

from controller.inspection import memory
from controller.inspection.cluster import Cluster, Json, Unread
from controller.inspection.rows import HEADER, Row, Trouble, row
from controller.inspection.table import line, widths
from controller.ownership import STORAGE_LABEL
from controller.resources import ETCD_STORAGES, PODS
from workqueue import Clock

_MOST_NODES: Final = 10
"""Kubelets asked for one table, and all at once: of a larger cluster it is a metrics server's."""

INTERVAL: Final = 2.0
"""Seconds between two looks of a watch."""


class UnreadError(Exception):
    """The storages cannot be read; the message is one line that says why."""


def read(cluster: Cluster, namespace: str) -> list[Row]:
    """Return a row for each storage, by name; raises UnreadError.

    Memory is that of their pods in `namespace`, where somebody measures it.
    """
    storages = cluster.items(ETCD_STORAGES)
    if isinstance(storages, Unread):
        missing = "the EtcdStorage CRD is not installed: run `etcdproxy-controller doctor`"
        raise UnreadError(missing if storages.unserved else storages.why)
    used = _memory(cluster, namespace)
    rows = [row(storage, used.get(storage["metadata"]["name"])) for storage in storages]
    return sorted(rows, key=lambda one: one.name)


def print_table(rows: list[Row], now: datetime, out: TextIO) -> tuple[int, ...]:
    """Print them under their header; return the widths of its columns."""
    cells = [HEADER, *(one.cells(now) for one in rows)]
    wide = widths(cells)
    out.writelines(line(each, wide) + "\n" for each in cells)
    out.flush()
    return wide


def print_json(rows: list[Row], now: datetime, out: TextIO) -> None:
    """Print them as one object."""
    json.dump({"storages": [one.as_json(now) for one in rows]}, out, indent=2)
    out.write("\n")
    out.flush()


class Watch:
    """Prints the table, and then a line for each storage whose row has become another.

    Neither memory nor the time that is left is news. With `as_json` each line is an object.
    """

    def __init__(
        self,
        look: Callable[[], list[Row]],
        out: TextIO,
        err: TextIO,
        *,
        clock: Clock,
        now: Callable[[], datetime],
        as_json: bool,
    ) -> None:
        self._look = look
        self._out = out
        self._err = err
        self._clock = clock
        self._now = now
        self._as_json = as_json
        self._widths: tuple[int, ...] = ()
        self._seen: dict[str, Row] = {}
        self._trouble = ""

    def run(self, stop: threading.Event) -> None:
        """Look every `INTERVAL` until `stop`; raises UnreadError if the first look fails."""
        self._print(self._news(self._look()))
        while not self._clock.wait(stop, INTERVAL):
            try:
                rows = self._look()
            except UnreadError as error:
                self._complain(str(error))
                continue
            self._trouble = ""
            self._print(self._news(rows))

    def _news(self, rows: list[Row]) -> list[Row]:
        seen, self._seen = self._seen, {one.name: _lasting(one) for one in rows}
        gone = [_gone(seen[name]) for name in sorted(seen.keys() - self._seen.keys())]
        return gone + [one for one in rows if seen.get(one.name) != _lasting(one)]

    def _print(self, rows: list[Row]) -> None:
        now = self._now()
        if self._as_json:
            for one in rows:
                self._out.write(json.dumps(one.as_json(now)) + "\n")
            self._out.flush()
        elif not self._widths:
            self._widths = print_table(rows, now, self._out)
        elif rows:
            cells = [one.cells(now) for one in rows]
            self._widths = widths(cells, self._widths)
            self._out.write("".join(line(each, self._widths) + "\n" for each in cells))
            self._out.flush()

    def _complain(self, why: str) -> None:
        """Say it once, however long it lasts."""
        if why != self._trouble:
            self._err.write(f"{why}; trying on\n")
        self._trouble = why


def _gone(one: Row) -> Row:
    return replace(one, trouble=Trouble("Gone", "it was deleted", passes=True))


def _lasting(one: Row) -> Row:
    """Return what of a row is news when it becomes another."""
    return replace(one, memory=None)


def _memory(cluster: Cluster, namespace: str) -> dict[str, int]:
    pods = cluster.items(PODS, namespace, labelSelector=STORAGE_LABEL)
    if isinstance(pods, Unread) or not pods:
        return {}
    metrics = cluster.items(memory.POD_METRICS, namespace)
    if isinstance(metrics, Unread):
        metrics = _summaries(cluster, pods, namespace)
    return memory.by_storage(pods, metrics)


def _summaries(cluster: Cluster, pods: list[Json], namespace: str) -> list[Json]:
    """Ask the pods' kubelets, where nobody collects what they measure."""
    nodes = sorted({node for pod in pods if (node := (pod.get("spec") or {}).get("nodeName"))})
    if len(nodes) > _MOST_NODES:
        return []
    with ThreadPoolExecutor(_MOST_NODES) as pool:
        found = pool.map(lambda node: cluster.page(memory.SUMMARY.format(node=node)), nodes)
    read = [summary for summary in found if not isinstance(summary, Unread)]
    return [used for summary in read for used in memory.of_summary(summary, namespace)]
