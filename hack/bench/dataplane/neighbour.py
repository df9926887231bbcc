"""What one tenant feels of another at full load, with the gate's limits and without."""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from controller.core import Access, user_name
from controller.dataplane.gate import Gate
from hack.bench.dataplane import memory
from hack.bench.dataplane.lifted import LiftedPod
from hack.bench.dataplane.noise import Done, Plan
from hack.bench.dataplane.ways import started
from hack.bench.table import aligned, mebibytes
from hack.dataplane import CoreEtcd, GatePod, programs
from hack.dataplane.keyvalue import KeyValue, access_of_core, access_of_pod

Mode: TypeAlias = Literal["Proxy", "Direct"]

SECONDS = 8.0
"""Of each run."""
WARM_UP = 3.0
"""Seconds until the noise is at its full."""
CLIENTS = 4
"""Of the quiet tenant; each puts and gets a key by turns."""
FULL = ({"puts": 512}, {"lists": 32})
REVOKES = ({"revokes": 512},)
WATCHES = ({"watches": 32},)
"""Of the noisy tenant, under way at any time, over its two pods; each in a process of its own."""
CONNECTIONS = 8
"""To each of these."""
BIG_KEYS = 2000
BIG_VALUE = 5000
"""Bytes. Times the keys, a list is 10 MB."""
CHANGES = 100_000
"""Of others, that watches of the past have to read."""
AT_ONCE = 100
"""Of these."""

_BETWEEN = 0.01
"""Seconds between two calls of one quiet client."""


@dataclass(frozen=True, slots=True)
class Felt:
    """One run."""

    mode: Mode
    run: str
    puts: Sequence[float]
    gets: Sequence[float]
    """Seconds of each of the quiet tenant's."""
    noise: Done
    """Of the noisy tenant."""
    seconds: float
    """That it went on."""
    core: int
    """Bytes of the core's memory at the end of it."""


class Stage:
    """A core, and a quiet tenant's pod and two of a noisy one in front of it."""

    def __init__(self, stack: ExitStack, folder: Path, mode: Mode) -> None:
        self._mode = mode
        self._folder = folder
        self._programs = programs.ensure()
        self.core = stack.enter_context(CoreEtcd(folder / "core", self._programs, auth=True))
        self._files = {name: self._user(name) for name in ("quiet", "noisy")}
        self.quiet = self._pod(GatePod, "quiet", "0")
        self.bounded = [self._pod(GatePod, "noisy", name) for name in ("1", "2")]
        self.lifted = [self._pod(LiftedPod, "noisy", name) for name in ("3", "4")]
        self._fill()
        started(stack, [self.quiet, *self.bounded, *self.lifted])

    def _user(self, storage: str) -> dict[str, bytes]:
        pair = self.core.add_user(user_name(storage), f"/{storage}/")
        return self.core.certificates.files(pair)

    def _pod(self, kind: type[GatePod], storage: str, name: str) -> GatePod:
        gate = Gate(storage, self._mode, auth=True, core_urls=self.core.urls, drain_token="token")  # noqa: S106 of nobody
        return kind(self._folder / name, self._programs, gate, core=self._files[storage])

    def _fill(self) -> None:
        with KeyValue(access_of_core(self.core)) as root:
            for number in range(BIG_KEYS):
                root.put(f"/noisy/big/{number:05}", b"x" * BIG_VALUE)
            keys = [f"/others/{number:03}" for number in range(AT_ONCE)]
            for _ in range(CHANGES // AT_ONCE):
                root.put_all(keys, b"x" * 100)

    def prefix(self, storage: str) -> str:
        """Return what the storage's own clients put before its keys."""
        return "" if self._mode == "Proxy" else f"/{storage}/"

    def alone(self, seconds: float) -> Felt:
        """The quiet tenant without the other."""
        puts, gets = felt(access_of_pod(self.quiet), f"{self.prefix('quiet')}key", seconds)
        return Felt(self._mode, "alone", puts, gets, Done(), seconds, self._memory())

    def beside(
        self, run: str, pods: Sequence[GatePod], loads: Iterable[dict[str, int]], seconds: float
    ) -> Felt:
        """The same beside the other with these loads through `pods`."""
        targets = tuple(pod.endpoint.removeprefix("http://") for pod in pods)
        prefix = self.prefix("noisy")
        plans = [Plan(targets, prefix, CONNECTIONS, load) for load in loads]
        with ExitStack() as stack:
            ends = [stack.enter_context(noise(plan)) for plan in plans]
            threading.Event().wait(WARM_UP)
            puts, gets = felt(access_of_pod(self.quiet), f"{self.prefix('quiet')}key", seconds)
            core = self._memory()
            done = together([end() for end in ends])
        return Felt(self._mode, run, puts, gets, done, WARM_UP + seconds, core)

    def _memory(self) -> int:
        return memory.of(self.core.members[0].pid or 0).resident


def measure(folder: Path, modes: Sequence[Mode]) -> list[Felt]:
    """Return the runs of each mode."""
    found: list[Felt] = []
    for mode in modes:
        with ExitStack() as stack:
            stage = Stage(stack, folder / mode, mode)
            found += [
                stage.alone(SECONDS),
                stage.beside("with limits", stage.bounded, FULL, SECONDS),
                stage.beside("without", stage.lifted, FULL, SECONDS),
                stage.beside("revokes", stage.bounded, REVOKES, SECONDS),
                stage.beside("revokes, without", stage.lifted, REVOKES, SECONDS),
                stage.beside("watches of the past", stage.bounded, WATCHES, SECONDS),
            ]
    return found


@contextmanager
def noise(plan: Plan) -> Iterator[Callable[[], Done]]:
    """Make noise in a process of its own; gives what ends it and says what it did."""
    command = [sys.executable, "-m", "hack.bench.dataplane.noise", json.dumps(asdict(plan))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield lambda: Done(**json.loads(process.communicate()[0]))
        finally:
            process.kill()


def together(each: Sequence[Done]) -> Done:
    """Return the sum."""
    calls, failures = Counter[str](), Counter[str]()
    for done in each:
        calls.update(done.calls)
        failures.update(done.failures)
    return Done(dict(calls), sum(done.bytes for done in each), dict(failures))


def felt(access: Access, key: str, seconds: float) -> tuple[list[float], list[float]]:
    """Return how long puts and gets took, those of all clients together."""
    puts: list[float] = []
    gets: list[float] = []
    threads = [
        threading.Thread(target=_use, args=(access, f"{key}-{number}", seconds, puts, gets))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return puts, gets


def _use(access: Access, key: str, seconds: float, puts: list[float], gets: list[float]) -> None:
    pause = threading.Event()
    with KeyValue(access) as keys:
        # The first call also connects.
        keys.get(key)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            puts.append(_timed(lambda: keys.put(key, b"x" * 500)))
            pause.wait(_BETWEEN)
            gets.append(_timed(lambda: keys.get(key)))
            pause.wait(_BETWEEN)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


_TITLES = ("quiet tenant", "put p50, p99, max", "get p50, p99, max", "calls")
_NOISE_KINDS = ("puts", "lists", "revokes", "watches")
_NOISE_TITLES = (*(f"noisy: {kind}/s" for kind in _NOISE_KINDS), "MB/s", "failed", "core")


def render(found: Sequence[Felt]) -> str:
    """Return the table for a person; times are in milliseconds."""
    return aligned([(*_TITLES, *_NOISE_TITLES), *(_cells(one) for one in found)])


def _cells(one: Felt) -> tuple[str, ...]:
    failed = sum(one.noise.failures.values())
    return (
        f"{one.mode}, {one.run}",
        quantiles(one.puts),
        quantiles(one.gets),
        f"{len(one.puts) + len(one.gets):,}",
        *(f"{one.noise.calls.get(kind, 0) / one.seconds:,.1f}" for kind in _NOISE_KINDS),
        f"{one.noise.bytes / one.seconds / 1e6:,.0f}",
        f"{failed:,}",
        mebibytes(one.core),
    )


def quantiles(taken: Sequence[float]) -> str:
    """Return p50, p99 and the largest, in milliseconds."""
    # Inclusive: no figure is beyond the largest, however few there are.
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return ", ".join(f"{1000 * each:.1f}" for each in (cuts[49], cuts[98], max(taken)))
