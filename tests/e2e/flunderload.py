"""A client of an API server that creates, reads, lists, watches, changes and deletes all the time.

What it writes nobody else does, one after the other: so it knows what every list has to hold, and
what the watch has to bring, in which order.
"""

import threading
from contextlib import suppress
from typing import Any, Self

from hack.dataplane.flunders import FLUNDERS, names
from informers.errors import ApiError, ConnectionFailed
from tests.attack.picture import Core
from tests.e2e.sampleapiserver import SampleApiserver
from tests.e2e.tenant import HOME
from tests.support.eventually import eventually

KEPT = 12
"""Flunders that are there at a time."""
PAUSE = 0.02
"""Seconds between two rounds."""

Change = tuple[str, str, str]
"""Type of event, name and resource version."""


class Attempts:
    """Every single request: none is to fail, whether or not the client tries again."""

    def __init__(self) -> None:
        self.count = 0
        self.failures: list[str] = []

    def request(self, verb: str, code: str, *, again: bool) -> None:
        self.count += 1
        if again or not code.startswith("2"):
            self.failures.append(f"{verb}: {code}")

    def duration(self, verb: str, seconds: float) -> None:
        pass

    def throttled(self, verb: str, seconds: float) -> None:
        pass


class FlunderLoad:
    """Two threads, from `start` to `end`; threads and connections are gone then."""

    def __init__(self, server: SampleApiserver, core: Core, prefix: str) -> None:
        self.attempts = Attempts()
        self.failures: list[str] = []
        self.made: list[Change] = []
        self.seen: list[Change] = []
        self._client = server.client(self.attempts)
        self._watches = server.client(self.attempts)
        self._core = core
        self._storage = server.tenant.storage
        self._prefix = prefix
        self._kept: list[str] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> Self:
        """Return as soon as it writes."""
        since = self._client.list(FLUNDERS, HOME)["metadata"]["resourceVersion"]
        for work in (self._write, lambda: self._watch(since)):
            thread = threading.Thread(target=work, name="flunders")
            thread.start()
            self._threads.append(thread)
        eventually(lambda: self.made or self.failures)
        return self

    def end(self) -> None:
        """Fail unless all went well, to the last event."""
        self._stop.set()
        writer, watcher = self._threads
        writer.join()
        with suppress(AssertionError):  # What is missing is told below.
            eventually(lambda: len(self.seen) >= len(self.made))
        self._watches.close()
        watcher.join()
        self._client.close()
        assert self.failures == []
        assert self.attempts.failures == []
        assert self.seen == self.made
        assert self._stored() == set(self._kept)
        assert len(self.made) > 5

    def _stored(self) -> set[str]:
        """Return the names of its own Flunders, as the core has them."""
        begin, end = f"/{self._storage}/".encode(), f"/{self._storage}0".encode()
        found = self._core.call("/etcdserverpb.KV/Range", key=begin, range_end=end, keys_only=True)
        paths = [kv.key.decode().split("/") for kv in found.kvs]
        own = {path[-1] for path in paths if path[-3:-1] == ["flunders", HOME]}
        return {name for name in own if name.startswith(f"{self._prefix}-")}

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(PAUSE):
            number += 1
            try:
                self._round(f"{self._prefix}-{number}")
            except (ApiError, ConnectionFailed, AssertionError) as error:
                self.failures.append(f"{number}: {error!r}")

    def _round(self, name: str) -> None:
        """Create one, change it, look at all, and delete the oldest."""
        meta = {"name": name}
        flunder = {"apiVersion": FLUNDERS.api_version, "kind": FLUNDERS.kind, "metadata": meta}
        self._made("ADDED", self._client.create(FLUNDERS, flunder, HOME))
        self._kept.append(name)
        label = {"metadata": {"labels": {"changed": "yes"}}}
        self._made("MODIFIED", self._client.patch(FLUNDERS, name, label, namespace=HOME))
        read = self._client.get(FLUNDERS, name, HOME)
        assert read["metadata"]["labels"] == {"changed": "yes"}, read
        found = names(self._client.list(FLUNDERS, HOME))
        listed = [name for name in found if name.startswith(f"{self._prefix}-")]
        assert sorted(listed) == sorted(self._kept), (listed, self._kept)
        if len(self._kept) > KEPT:
            oldest = self._kept.pop(0)
            self._client.delete(FLUNDERS, oldest, namespace=HOME)
            self.made.append(("DELETED", oldest, ""))

    def _made(self, kind: str, flunder: dict[str, Any]) -> None:
        meta = flunder["metadata"]
        self.made.append((kind, meta["name"], meta["resourceVersion"]))

    def _watch(self, since: str) -> None:
        try:
            with self._watches.watch(FLUNDERS, HOME, query={"resourceVersion": since}) as watch:
                for event in watch:
                    meta = event["object"]["metadata"]
                    version = "" if event["type"] == "DELETED" else meta["resourceVersion"]
                    self.seen.append((event["type"], meta.get("name", ""), version))
        except ConnectionFailed as error:
            if not self._stop.is_set():
                self.failures.append(f"watch: {error!r}")
        if not self._stop.is_set():
            self.failures.append("the watch has ended")
