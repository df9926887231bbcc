"""The informer and the watch of the package `kubernetes`, measured: KUBECONFIG OBJECTS EVENTS.

With EVENTS the watch alone is measured, which the informer adds to.
"""

import os
import sys
import time

from kubernetes import client, config, watch
from kubernetes.informer import SharedInformer

from hack.bench.measured import Counter, Measured, peak, resident


def main(kubeconfig: str, objects: int, events: int) -> None:
    imported = resident()
    config.load_kube_config(kubeconfig)
    list_all = client.AppsV1Api().list_replica_set_for_all_namespaces
    began = time.monotonic()
    if events:
        Measured(0, 0.0, _watch(list_all, events), peak(), imported).print()
        return
    listed = Counter(objects)
    informer = SharedInformer(list_all)
    informer.add_event_handler("ADDED", lambda _obj: listed.add())
    informer.start()
    listed.seconds()
    Measured(objects, time.monotonic() - began, 0.0, peak(), imported).print()
    # Stopping it waits for the watch to end, which may take an hour; and if the interpreter ends
    # in order, its thread may end the process by a signal.
    os._exit(0)


def _watch(list_all: object, events: int) -> float:
    counter, watching = Counter(events), watch.Watch()
    for number, _event in enumerate(watching.stream(list_all), 1):
        counter.add()
        if number == events:
            watching.stop()
    return counter.seconds()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
