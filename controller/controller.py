"""The controller from top to bottom: informers feed a queue of names, workers reconcile them.

In the order of sample-controller: construction with handlers, run, worker, process one item.
"""

import random
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from controller import events
from controller.api.storage import StorageReference
from controller.certifier import Certifier
from controller.consistency import CacheBehind, ConsistencyStore
from controller.consumers import Consumers, Restarts
from controller.core import Listeners, UserKeeper
from controller.coreusers import CoreUsers, connect, core_access
from controller.dataplane import GatedDataPlane
from controller.events import EventRecorder
from controller.metrics import CertificateMetrics
from controller.options import PROGRAM, Options
from controller.reconcile import Reconciler
from controller.resources import CONFIG_MAPS, REPLICA_SETS, SECRETS
from controller.rollouts import Rollouts, rolling_now
from controller.served import ServedCertificates
from controller.userpair import PairMaker
from controller.watchdog import LOOK, Watchdog
from controller.watches import STORAGE_INDEX, Watches
from controller.writer import is_stale
from informers import (
    ApiError,
    Client,
    ConnectionFailed,
    SharedIndexInformer,
    SharedInformerFactory,
)
from informers.metrics import InformerCollector
from workqueue import Clock, ItemExponentialFailureRateLimiter, RateLimitingQueue, ShutDown
from workqueue.metrics import PrometheusMetricsProvider

_SYNC_REPORT: Final = 10.0
"""Seconds between two lines on what is still waited for at the start."""

_LOUD: Final = 10
"""Failures in a row, some 2.5 s, after which a cache that is behind explains no more of them."""

_DRAIN: Final = 6.0
"""Seconds that workers get to end what they are at. The promise is to be gone within 10, of which
the informers may take 2."""

_KEEPER: Final = 1.0
"""Seconds that the keeper of the users gets, whose calls are cut."""

_log = structlog.get_logger("controller")


class EtcdStorageController:
    """Everything that runs; `run` may be called once."""

    def __init__(
        self,
        client: Client,
        options: Options,
        *,
        clock: Clock,
        rng: random.Random,
        now: Callable[[], datetime],
        registry: CollectorRegistry,
    ) -> None:
        """`registry` gets the metrics of certificates, queue and informers."""
        self._client = client
        self._options = options
        self._clock = clock
        self._stop = threading.Event()
        self._failed = threading.Event()
        self._access_lock = threading.Lock()
        """Held from the look into the caches until the keeper has been told of it."""
        # Nothing that all storages share, as controller-runtime has it with priorities: the
        # retries of many would hold up those of one with something new to do.
        self._queue: RateLimitingQueue[str] = RateLimitingQueue(
            ItemExponentialFailureRateLimiter(0.005, 1000.0),
            "etcdstorage",
            clock=clock,
            metrics=PrometheusMetricsProvider(registry),
        )
        self._factory = SharedInformerFactory(client, clock, rng, on_failure=self._informer_died)
        InformerCollector(registry, {PROGRAM: self._factory})
        metrics = CertificateMetrics(now)
        registry.register(metrics)
        self._recorder = EventRecorder(client, PROGRAM, now)
        watches = Watches(self._factory, self._queue, options, self._refresh_access)
        self._listers = watches.listers
        self._keeper = self._make_keeper(watches, rng) if options.user_secrets else None
        consistency = ConsistencyStore(self._listers.written(), clock)
        self._watchdog = Watchdog(consistency, watches.written, clock)
        self._rollouts = Rollouts(options.max_concurrent_rollouts, clock, self._queue.add)
        self._served = ServedCertificates(self._queue.add, rng, clock=clock)
        self._reconciler = Reconciler(
            client=client,
            listers=self._listers,
            consistency=consistency,
            dataplane=GatedDataPlane(options.namespace, options.images, options.core),
            core=options.core,
            namespace=options.namespace,
            reserved_names=options.reserved_names,
            require_tls=options.require_tls,
            recorder=self._recorder,
            now=now,
            rng=rng,
            rollouts=self._rollouts,
            certifier=Certifier(
                options.namespace,
                Consumers(client, clock=clock, rng=rng),
                Restarts(client, clock=clock, rng=rng),
                self._served,
            ),
            metrics=metrics,
            users=self._make_users(now),
        )

    def _make_keeper(self, watches: Watches, rng: random.Random) -> UserKeeper:
        listeners = Listeners(self._queue.add, watches.enqueue_all, self._keeper_died)
        return UserKeeper(connect, listeners, clock=self._clock, rng=rng)

    def _make_users(self, now: Callable[[], datetime]) -> CoreUsers | None:
        secrets = self._options.user_secrets
        if self._keeper is None or secrets is None:
            return None
        return CoreUsers(self._keeper, PairMaker(self._options.namespace, secrets.client_ca), now)

    def _refresh_access(self) -> None:
        """Tell the keeper how the core is reached now; called whenever that may have changed."""
        options, find = self._options, self._listers.find_shared
        if self._keeper is None or options.user_secrets is None:
            return
        urls, secrets = options.core_controller_urls, options.user_secrets
        with self._access_lock:
            config_map = find(CONFIG_MAPS, options.core.ca_config_map, options.namespace)
            root = find(SECRETS, secrets.root, options.namespace)
            self._keeper.use(core_access(options.core, urls, secrets, config_map, root))

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set, then close the client.

        Returns False if a thread of ours died of itself before that, which ends it as well.
        """
        self._stop = stop
        self._factory.start()
        try:
            if self._await_sync():
                _log.info("synced", workers=self._options.workers)
                self._restore_rollouts()
                self._start_keeper()
                self._served.start()
                self._work()
        finally:
            self._queue.shut_down()
            if self._keeper:
                self._keeper.stop(_KEEPER)
            self._served.stop()
            self._recorder.stop()
            # Calls that still wait for an answer are cut now; their time to finish is over.
            self._client.close()
            self._factory.shutdown()
        return not self._failed.is_set()

    def _restore_rollouts(self) -> None:
        listers = self._listers
        replica_sets = listers.owned[REPLICA_SETS].list()
        pods = partial(listers.pods.by_index, STORAGE_INDEX)
        self._rollouts.restore(rolling_now(replica_sets, pods))

    def _start_keeper(self) -> None:
        # Also where the objects that it needs have never been there, and so brought no news.
        self._refresh_access()
        if self._keeper:
            self._keeper.start()

    def _await_sync(self) -> bool:
        """Wait for the first list of every kind; False if the stop came first."""
        began = self._clock.monotonic()
        while not self._stop.is_set():
            waiting = self._factory.wait_for_cache_sync(_SYNC_REPORT, self._stop)
            if not waiting:
                return True
            if not self._stop.is_set():
                seconds = round(self._clock.monotonic() - began)
                _log.warning("waiting_for_lists", kinds=waiting, seconds=seconds)
        return False

    def _work(self) -> None:
        workers = [
            threading.Thread(target=self._worker, name=f"worker-{n}", daemon=True)
            for n in range(self._options.workers)
        ]
        for worker in workers:
            worker.start()
        while not self._clock.wait(self._stop, LOOK):
            self._watchdog.look()
        self._queue.shut_down()
        deadline = self._clock.monotonic() + _DRAIN
        for worker in workers:
            worker.join(max(0.0, deadline - self._clock.monotonic()))

    def _worker(self) -> None:
        """Reconcile until the queue is shut down; a worker that breaks ends the program."""
        try:
            while self._process_next():
                pass
        except BaseException:  # noqa: BLE001 - nothing may end a worker unseen
            self._fail()
            _log.exception("worker_died")

    def _informer_died(self, informer: SharedIndexInformer, error: BaseException) -> None:
        """A cache that no longer moves would be acted on for ever: end the program instead."""
        self._fail()
        _log.error("informer_died", informer=repr(informer), error=repr(error))

    def _keeper_died(self, error: BaseException) -> None:
        """What it said last of every user would be believed for ever: end the program instead."""
        self._fail()
        _log.error("core_users_died", error=repr(error))

    def _fail(self) -> None:
        """End the program with a failure; before any log line, which can fail too."""
        self._failed.set()
        self._stop.set()

    def _process_next(self) -> bool:
        try:
            name = self._queue.get()
        except ShutDown:
            return False
        try:
            # What is still queued at the stop is left to the next start: it is level triggered.
            if not self._stop.is_set():
                self._reconcile(name)
        finally:
            self._queue.done(name)
        return True

    def _reconcile(self, name: str) -> None:
        with structlog.contextvars.bound_contextvars(storage=name):
            try:
                again = self._reconciler.reconcile(name)
            except CacheBehind as behind:
                # No failure, and so not counted as one: growing delays are for those.
                _log.debug("cache_is_behind", kind=behind.resource.kind, waited=behind.waited)
                self._queue.add_after(name, behind.again_after)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the name comes back
                self._retry(name, error)
                return
        self._queue.forget(name)
        if again is not None:
            self._queue.add_after(name, again)

    def _retry(self, name: str, error: Exception) -> None:
        attempt = self._queue.num_requeues(name) + 1
        self._queue.add_rate_limited(name)
        if isinstance(error, ApiError) and is_stale(error):
            tell = _log.debug if attempt < _LOUD else _log.warning
            tell("cache_was_behind", attempt=attempt, error=str(error))
        elif isinstance(error, ApiError | ConnectionFailed):
            _log.warning("reconcile_failed", attempt=attempt, error=str(error))
        else:
            _log.error("reconcile_broke", attempt=attempt, exc_info=error)
            self._record_unknown(name, error)

    def _record_unknown(self, name: str, error: Exception) -> None:
        obj = self._listers.storages.find(name)
        if obj is not None:
            about = StorageReference(name, obj["metadata"]["uid"])
            message = f"an error of the controller itself, see its log: {type(error).__name__}"
            self._recorder.record(about, events.warning(events.ERR_UNKNOWN, message))
