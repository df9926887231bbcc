"""Our informer, to be measured in a process of its own: KUBECONFIG EVENTS."""

import random
import sys
import threading
import time

from hack.bench.load import REPLICA_SETS
from hack.bench.measured import Counter, CountingHandler, Measured, peak, resident
from informers import Client, SharedInformerFactory, load_config, relax_collector
from workqueue.clock import RealClock


def main(kubeconfig: str, events: int) -> None:
    imported = resident()
    relax_collector()
    clock = RealClock()
    client = Client(load_config(kubeconfig), clock=clock)
    factory = SharedInformerFactory(client, clock, random.Random(1))  # noqa: S311 - it is load
    informer = factory.informer(REPLICA_SETS)
    counter = Counter(events)
    informer.add_event_handler(CountingHandler(counter))
    began = time.monotonic()
    factory.start()
    factory.wait_for_cache_sync(None, threading.Event())
    synced = time.monotonic() - began
    took = counter.seconds()
    measured = Measured(len(informer.store), synced, took, peak(), imported)
    factory.shutdown()
    client.close()
    measured.print()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
