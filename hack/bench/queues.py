"""How fast the work queue is in one thread, beside the plainest queue that Python has."""

import queue
import time
from collections.abc import Callable

from workqueue import RateLimitingQueue, default_controller_rate_limiter

_KEYS = 100


def ours(rounds: int) -> float:
    """Add-get-done per second of the queue that the controller uses."""
    work = RateLimitingQueue[str](default_controller_rate_limiter())

    def once(key: str) -> None:
        work.add(key)
        work.done(work.get())

    try:
        return _per_second(once, rounds)
    finally:
        work.shut_down()


def simple(rounds: int) -> float:
    """Put-get per second of `queue.SimpleQueue`, which merges nothing and is written in C."""
    work: queue.SimpleQueue[str] = queue.SimpleQueue()

    def once(key: str) -> None:
        work.put(key)
        work.get()

    return _per_second(once, rounds)


def _per_second(once: Callable[[str], None], rounds: int) -> float:
    keys = [f"kube-apiserver-storage/etcd-rs-{number}" for number in range(_KEYS)]
    began = time.perf_counter()
    for number in range(rounds):
        once(keys[number % _KEYS])
    return rounds / (time.perf_counter() - began)
