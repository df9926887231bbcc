"""Brings objects into folders as the kubelet does: whole, some seconds late, each for itself."""

import base64
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.dataplane import projected
from informers import DeletedFinalStateUnknown, Object
from workqueue import DelayingQueue, ShutDown

Json = Mapping[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class Volume:
    """What is mounted where: of the object's data these files, all if none is named."""

    folder: Path
    files: tuple[str, ...] = ()


class Kubelet:
    """A handler of informers. It works by a thread of its own until `stop`."""

    _SOONEST: Final = 0.1
    """Of `latest`: nothing comes at once."""

    def __init__(self, volumes: Mapping[Key, Volume], latest: float, rng: random.Random) -> None:
        """`latest`: seconds after which a change has come, at most."""
        self._volumes = volumes
        self._latest = latest
        self._rng = rng
        self._lock = threading.Lock()
        self._news: dict[Key, Json] = {}
        self._failures: list[str] = []
        self._queue: DelayingQueue[Key] = DelayingQueue("kubelet")
        self._thread = threading.Thread(target=self._run, name="kubelet")
        self._thread.start()

    def stop(self) -> None:
        """Bring nothing more."""
        self._queue.shut_down()
        self._thread.join()

    @property
    def failures(self) -> list[str]:
        """What broke it, which should never be."""
        return [*self._failures]

    def has_brought(self, key: Key) -> bool:
        """Whether the volume has ever been filled."""
        volume = self._volumes[key]
        return (volume.folder / "..data").exists()

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: ARG002, FBT001
        self._take(obj)

    def on_update(self, old: Object, new: Object) -> None:  # noqa: ARG002
        self._take(new)

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        """A pod that runs keeps what it has."""

    def _take(self, obj: Json) -> None:
        metadata = obj["metadata"]
        key = obj["kind"], metadata["namespace"], metadata["name"]
        if key not in self._volumes:
            return
        with self._lock:
            self._news[key] = obj
            delay = self._latest * self._rng.uniform(self._SOONEST, 1)
        self._queue.add_after(key, delay)

    def _run(self) -> None:
        while True:
            try:
                key = self._queue.get()
            except ShutDown:
                return
            try:
                self._bring(key)
            except Exception as error:  # noqa: BLE001 - the run fails by it
                self._failures.append(f"{key}: {error!r}")
            finally:
                self._queue.done(key)

    def _bring(self, key: Key) -> None:
        with self._lock:
            obj = self._news[key]
        volume = self._volumes[key]
        found = content(obj)
        if volume.files and not {*volume.files} <= {*found}:
            return  # The kubelet goes on with what it has.
        files = volume.files or tuple(found)
        projected.write(volume.folder, {name: found[name] for name in files})


def content(obj: Json) -> dict[str, bytes]:
    """Return the files of a ConfigMap or a Secret."""
    data = obj.get("data") or {}
    if obj["kind"] == "Secret":
        return {name: base64.b64decode(value) for name, value in data.items()}
    return {name: value.encode() for name, value in data.items()}
