"""What other tenants feel while the controller makes users in the core etcd.

Three runs on one core with users on: nothing is made; users are made as fast as it can; then some
more, among those that there are now, at the keeper's own pace. Meanwhile somebody else's client
puts keys, one after the other, and does as Go's client does where users changed under it: it asks
again 25 ms later, and the put has taken as long as both.
"""

import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import grpc

from controller.core import Access, Listeners, Pace, UserKeeper, UserState, user_name
from controller.core.client import CoreClient
from controller.core.messages import define
from controller.core.users import NOTHING, keep
from hack.cluster import cache
from hack.cluster.errors import ClusterError
from hack.dataplane import programs
from hack.dataplane.core import CoreEtcd

USERS = 1000
QUIET = 20.0
"""Seconds of the run in which nothing is made."""

UNPACED = Pace(changes=1e6, burst=10**6, share=1.0, reads=1e6)

_BETWEEN = 0.002
_RETRY = 0.025
"""Seconds: between two puts, and what Go's client waits before it asks again."""

_MESSAGES = define({"PutRequest": ("bytes key 1", "bytes value 2"), "PutResponse": ()})


@dataclass(frozen=True, slots=True)
class Felt:
    """One run."""

    run: str
    users: int
    """Made in it."""
    seconds: float
    puts: Sequence[float]
    """Seconds of each."""
    repeated: int
    """Puts that had to be asked for again."""


def measure(
    folder: Path, users: int = USERS, paced: int = USERS, quiet: float = QUIET
) -> list[Felt]:
    """Return the three runs; `folder` takes the core's data."""
    with CoreEtcd(folder, programs.ensure(), auth=True) as core:
        putter = _Putter(core)
        return [
            putter.during("quiet", 0, lambda: threading.Event().wait(quiet)),
            putter.during("unpaced", users, lambda: _make(core, "unpaced", users, UNPACED)),
            putter.during("paced", paced, lambda: _make(core, "paced", paced, Pace())),
        ]


def render(felt: Sequence[Felt]) -> str:
    """Return a table for a person."""
    lines = [f"{'run':8} {'users':>6} {'s':>7} {'puts':>7} {'again':>6}   p50, p99, max ms"]
    for one in felt:
        cuts = statistics.quantiles(one.puts, n=100)
        times = [1000 * t for t in (cuts[49], cuts[98], max(one.puts))]
        lines.append(
            f"{one.run:8} {one.users:6} {one.seconds:7.1f} {len(one.puts):7} {one.repeated:6}   "
            + ", ".join(f"{t:.1f}" for t in times)
        )
    return "\n".join(lines)


def _root(core: CoreEtcd) -> Access:
    pair = core.certificates.root
    return Access(core.urls, core.certificates.authority.cert_pem, pair.cert_pem, pair.key_pem)


def _make(core: CoreEtcd, prefix: str, users: int, pace: Pace) -> None:
    """Have a keeper make the users of so many storages, and wait for the last one."""
    left = {f"{prefix}-{n}" for n in range(users)}
    done = threading.Event()
    failures: list[BaseException] = []

    def changed(storage: str) -> None:
        if keeper.want(storage, claimed=True).state is UserState.READY:
            left.discard(storage)
        if not left:
            done.set()

    def died(failure: BaseException) -> None:
        failures.append(failure)
        done.set()

    listeners = Listeners(changed, lambda: None, died)
    keeper = UserKeeper(CoreClient, listeners, rng=random.Random(), pace=pace)  # noqa: S311 jitter
    for storage in sorted(left):
        keeper.want(storage, claimed=True)
    keeper.start()
    keeper.use(_root(core))
    done.wait()
    keeper.stop()
    if failures:
        raise failures[0]


class _Putter:
    """A tenant that writes all the time."""

    def __init__(self, core: CoreEtcd) -> None:
        with closing(CoreClient(_root(core))) as root:
            for step in keep("other", NOTHING):
                root.take(step)
        pair = core.certificates.user(user_name("other"))
        self._target = core.url.removeprefix("https://")
        self._credentials = grpc.ssl_channel_credentials(
            core.certificates.authority.cert_pem, pair.key_pem, pair.cert_pem
        )

    def during(self, run: str, users: int, work: Callable[[], object]) -> Felt:
        """Put until `work` is done."""
        over = threading.Event()
        times: list[float] = []
        repeated: list[int] = []
        thread = threading.Thread(target=self._put, args=(over, times, repeated), daemon=True)
        began = time.monotonic()
        thread.start()
        try:
            work()
        finally:
            seconds = time.monotonic() - began
            over.set()
            thread.join()
        return Felt(run, users, seconds, times, sum(repeated))

    def _put(self, over: threading.Event, times: list[float], repeated: list[int]) -> None:
        request = _MESSAGES["PutRequest"](key=b"/other/key", value=b"x" * 500)
        with grpc.secure_channel(self._target, self._credentials) as channel:
            put = channel.unary_unary(
                "/etcdserverpb.KV/Put",
                request_serializer=_MESSAGES["PutRequest"].SerializeToString,
                response_deserializer=_MESSAGES["PutResponse"].FromString,
            )
            while not over.wait(_BETWEEN):
                began = time.perf_counter()
                tries = 0
                while not _answered(lambda: put(request, timeout=10)):
                    tries += 1
                    threading.Event().wait(_RETRY)
                times.append(time.perf_counter() - began)
                repeated.append(bool(tries))


def _answered(call: Callable[[], object]) -> bool:
    """Whether the call was answered; False if users changed under it."""
    try:
        call()
    except grpc.RpcError as error:
        if "revision of auth store is old" not in str(error):
            raise
        return False
    return True


def main() -> int:
    """Measure and print."""
    try:
        with cache.scratch("authchurn") as folder:
            print(render(measure(folder)))
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
