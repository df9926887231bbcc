"""A real API server on the endpoints of its storage, while another tenant writes to the core."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import pytest

from hack.cluster.controlplane import ControlPlane
from hack.dataplane import CoreEtcd, SampleApiserver
from hack.dataplane.flunders import Flunders, Streamed, names
from hack.dataplane.keyvalue import KeyValue, access_of_core
from hack.dataplane.programs import Programs
from tests.integration.dataplane.conftest import MakePod, Mode

UNSUPPORTED = (
    "a watch stream was requested by the client but the required storage feature"
    " RequestWatchProgress is disabled"
)
"""What clients take for a hint to list instead."""


@dataclass(frozen=True, slots=True)
class Served:
    """An API server, and where its objects lie in the core."""

    mode: Mode
    core: CoreEtcd
    flunders: Flunders
    storage: str

    def stored(self) -> list[str]:
        """Return the names of the Flunders that lie where they belong."""
        # The prefix that the API server knows, and its own name for the kind.
        inner = "/registry/wardle.example.com/" if self.mode == "Proxy" else ""
        folder = f"/{self.storage}/{inner}wardle.example.com/flunders/default/"
        return [key.removeprefix(folder) for key in self.keys() if key.startswith(folder)]

    def foreign(self) -> list[str]:
        """Return all other keys in the core than this storage's."""
        return [key for key in self.keys() if not key.startswith(f"/{self.storage}/")]

    def keys(self) -> list[str]:
        return self.core.etcdctl().run("get", "--prefix", "--keys-only", "").split()


class OtherTenant:
    """Writes one key all the time, in a thread of its own."""

    KEY = "/other/tenant"

    def __init__(self, core: CoreEtcd) -> None:
        self.keys = KeyValue(access_of_core(core))
        self.written = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self.write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        with self.keys:
            assert self.keys.get(self.KEY) == b"%d" % self.written

    def _write(self) -> None:
        while not self._over.wait(0.005):
            self.write()

    def write(self) -> None:
        self.keys.put(self.KEY, b"%d" % (self.written + 1))
        self.written += 1


@pytest.fixture(
    scope="module",
    params=[("Proxy", False), ("Proxy", True), ("Direct", False), ("Direct", True)],
    ids=["proxy-plain", "proxy-tls", "direct-plain", "direct-tls"],
)
def served(
    request: pytest.FixtureRequest,
    keep_pod: MakePod,
    control_plane: ControlPlane,
    data_plane: Programs,
) -> Iterator[Served]:
    """Start an API server as users do: in mode Direct it is told the prefix."""
    mode, tls = request.param
    users = tls or mode == "Direct"
    core: CoreEtcd = request.getfixturevalue("auth_core" if users else "plain_core")
    storage = f"api-{mode.lower()}-{'tls' if tls else 'plain'}"
    direct = f"/{storage}" if mode == "Direct" else None
    pod = keep_pod(core, storage, mode, tls=tls)
    with (
        SampleApiserver(
            pod.folder / "server", data_plane, control_plane, pod.etcdctl(), prefix=direct
        ) as server,
        Flunders.of(server) as flunders,
    ):
        yield Served(mode, core, flunders, storage)


@pytest.fixture(autouse=True)
def _other(served: Served) -> Iterator[None]:
    """Let another tenant write to the core meanwhile; nothing of that may be lost."""
    with OtherTenant(served.core):
        yield


def test_what_is_created_lies_under_the_storages_prefix(served: Served) -> None:
    served.flunders.create("created")
    assert "created" in served.stored()


def test_a_list_has_what_was_created_just_before(served: Served) -> None:
    for number in range(5):
        name = f"listed-{number}"
        served.flunders.create(name)
        listed = served.flunders.list()
        assert name in names(listed)
        assert names(listed) == served.stored()


def test_a_watch_tells_of_each_change_once_and_in_order(served: Served) -> None:
    listed = served.flunders.list()
    changed = []
    for number in range(3):
        served.flunders.create(f"watched-{number}")
        served.flunders.delete(f"watched-{number}")
        changed += [("ADDED", f"watched-{number}"), ("DELETED", f"watched-{number}")]
    with served.flunders.watch(listed) as watch:
        events = [next(watch) for _ in changed]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == changed


def test_an_open_watch_goes_on(served: Served) -> None:
    with served.flunders.watch(served.flunders.list()) as watch:
        for number in range(3):
            created = served.flunders.create(f"seen-{number}")
            assert next(watch) == {"type": "ADDED", "object": created}


def test_a_streaming_list_is_whole_or_refused_as_clients_expect(served: Served) -> None:
    served.flunders.create("streamed")
    if served.mode == "Direct":
        assert served.flunders.stream() == Streamed(served.stored())
    else:
        assert served.flunders.stream() == Streamed([], UNSUPPORTED)


def test_what_is_deleted_is_gone_from_the_core(served: Served) -> None:
    served.flunders.create("doomed")
    served.flunders.delete("doomed")
    assert "doomed" not in served.stored()
    assert "doomed" not in names(served.flunders.list())


def test_nothing_is_written_outside_of_the_prefix(served: Served) -> None:
    before = served.foreign()
    assert OtherTenant.KEY in before
    served.flunders.create("inside")
    served.flunders.delete("inside")
    served.flunders.create("inside")
    assert served.foreign() == before
