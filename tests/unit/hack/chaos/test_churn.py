import os
import threading

from hack.chaos.churn import sampled


def test_a_process_is_seen_with_its_memory_and_threads() -> None:
    before = sampled(os.getpid(), 1.5, 7)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    after = sampled(os.getpid(), 2.0, 8)
    stop.set()
    thread.join()
    assert (before.seconds, before.edits) == (1.5, 7)
    assert 2**20 < before.memory < 2**34
    assert after.threads == before.threads + 1
