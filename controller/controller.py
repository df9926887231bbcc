"""The controller from top to bottom: informers feed a queue of names, workers reconcile them.

In the order of sample-controller: construction with handlers, run, and `controller.workers` for
worker and process one item.
"""

import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from controller.certifier import Certifier
from controller.certmetrics import CertificateMetrics
from controller.consistency import ConsistencyStore
from controller.consumers import Consumers, Looks, Restarts
from controller.core import Access, ClosableCore, Listeners, UserKeeper
from controller.coremetrics import CoreCertificateMetrics
from controller.coreusers import CoreUsers, connect, core_access
from controller.dataplane import GatedDataPlane
from controller.fights import Fights
from controller.handlers import StatusHandler
from controller.health import Check
from controller.leaderelection import LeaderCallbacks, LeaderElector
from controller.options import PROGRAM, Options
from controller.reconcile import Reconciler
from controller.reconcilemetrics import ReconcileMetrics
from controller.recorder import EventRecorder
from controller.resources import CONFIG_MAPS, REPLICA_SETS, SECRETS
from controller.rollouts import Rollouts, rolling_now
from controller.served import ServedCertificates
from controller.storagemetrics import StorageMetrics
from controller.userpair import PairMaker
from controller.watchdog import LOOK, Watchdog
from controller.watches import STORAGE_INDEX, Watches
from controller.workers import Workers
from informers import Client, Resource, SharedIndexInformer, SharedInformerFactory
from informers.metrics import InformerCollector
from workqueue import Clock, ItemExponentialFailureRateLimiter, RateLimitingQueue
from workqueue.metrics import PrometheusMetricsProvider

_QUEUE: Final = "etcdstorage"
"""In metrics, of the queue and of the controller: the kind, as controller-runtime has it."""

_SYNC_REPORT: Final = 10.0
"""Seconds between two lines on what is still waited for at the start."""

_DRAIN: Final = 5.0
"""Seconds that workers get to end what they are at. The promise is to be gone within 10, of which
the informers may take 2."""

_RELEASE: Final = 1.0
"""Seconds for letting another controller lead, and for what of ours must end before that."""

_KEEPER: Final = 1.0
"""Seconds that the keeper of the users gets, whose calls are cut."""

_log = structlog.get_logger("controller")


class EtcdStorageController:
    """Everything that runs; `run` may be called once."""

    def __init__(  # noqa: PLR0913 - what it works with, all by name
        self,
        client: Client,
        options: Options,
        *,
        clock: Clock,
        rng: random.Random,
        now: Callable[[], datetime],
        registry: CollectorRegistry,
        elector: LeaderElector | None = None,
    ) -> None:
        """`registry` gets the metrics of reconciles, storages, queue and informers.

        Without an `elector` it works at once, whoever else does.
        """
        self._client = client
        self._options = options
        self._clock = clock
        self._stop = threading.Event()
        self._failure: str | None = None
        self._elector = elector
        self._beginning = threading.Lock()
        """Held while the work begins, which may be just when it has to end."""
        self._access_lock = threading.Lock()
        """Held from the look into the caches until the keeper has been told of it."""
        self._queue = _make_queue(clock, registry)
        self._factory = SharedInformerFactory(client, clock, rng, on_failure=self._informer_died)
        InformerCollector(registry, {PROGRAM: self._factory})
        metrics = CertificateMetrics(now)
        registry.register(metrics)
        self._recorder = EventRecorder(client, PROGRAM, now, clock=clock, rng=rng)
        watches = Watches(self._factory, self._queue, options, self._refresh_access)
        self._listers = watches.listers
        if elector:
            watches.follow_lease(PROGRAM, elector.handler)
        registry.register(StorageMetrics(self._listers.storages, now))
        if options.core.tls:
            shared = self._listers.shared
            registry.register(CoreCertificateMetrics(shared, options.namespace, now))
        self._keeper = self._make_keeper(watches, rng)
        consistency = ConsistencyStore(self._listers.written(), clock)
        watches.follow_storages(
            StatusHandler(self._queue, partial(self._may_be_ours, consistency))
        )
        self._watchdog = Watchdog(consistency, watches.written, clock)
        self._rollouts = Rollouts(options.max_concurrent_rollouts, clock, self._queue.add)
        self._served = ServedCertificates(self._queue.add, rng, clock=clock)
        self._consumers = Consumers(client, clock=clock, rng=rng)
        self._looks = Looks(client, self._consumers.polls, self._queue.add, clock=clock)
        self._workers = Workers(
            self._queue,
            reconciler=self._make_reconciler(consistency, metrics, now, rng),
            storages=self._listers.storages,
            recorder=self._recorder,
            metrics=ReconcileMetrics(registry, _QUEUE, workers=options.workers, clock=clock),
            clock=clock,
            on_death=partial(self.fail, "a worker died"),
        )

    def _may_be_ours(
        self, consistency: ConsistencyStore, name: str, kind: Resource, version: str
    ) -> bool:
        """Whether a worker has made this version, or may just be about to hear that it has."""
        return self._workers.have(name) or consistency.wrote_last(name, kind, version)

    def _make_reconciler(
        self,
        consistency: ConsistencyStore,
        metrics: CertificateMetrics,
        now: Callable[[], datetime],
        rng: random.Random,
    ) -> Reconciler:
        options, clock = self._options, self._clock
        return Reconciler(
            client=self._client,
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
                self._consumers,
                Restarts(self._client, clock=clock, rng=rng),
                self._served,
            ),
            metrics=metrics,
            fights=Fights(self._client, options.namespace, clock),
            keeper=self._keeper,
            users=self._make_users(now),
        )

    def _make_keeper(self, watches: Watches, rng: random.Random) -> UserKeeper:
        listeners = Listeners(self._queue.add, watches.enqueue_all, self._keeper_died)
        return UserKeeper(self._connect, listeners, clock=self._clock, rng=rng)

    def _connect(self, access: Access) -> ClosableCore:
        return connect(access, self._elector.leads if self._elector else lambda: True)

    def _make_users(self, now: Callable[[], datetime]) -> CoreUsers | None:
        secrets = self._options.user_secrets
        if secrets is None:
            return None
        return CoreUsers(self._keeper, PairMaker(self._options.namespace, secrets.client_ca), now)

    def _refresh_access(self) -> None:
        """Tell the keeper how the core is reached now; called whenever that may have changed."""
        options, find = self._options, self._listers.find_shared
        core, secrets = options.core, options.user_secrets
        pair = secrets.root if secrets else core.certs_secret
        with self._access_lock:
            config_map = find(CONFIG_MAPS, core.ca_config_map, options.namespace)
            secret = find(SECRETS, pair, options.namespace)
            urls = options.core_controller_urls
            self._keeper.use(core_access(core, urls, secrets, config_map, secret))

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop` is set, then close the client.

        While another controller leads this one stands by, with its caches up to date: that costs
        the watches, and lets it work from the moment on that the other one ends. Returns False if
        a thread of ours died of itself, or the lease was lost, which ends it as well.
        """
        self._stop = stop
        self._factory.start()
        try:
            if self._await_sync():
                _log.info("synced", workers=self._options.workers)
                self._campaign()
                self._watch_over()
        finally:
            self._end()
        return self._failure is None

    def _campaign(self) -> None:
        """Begin to work, as soon as no other controller does."""
        if self._elector is None:
            self._lead()
        else:
            self._elector.start(LeaderCallbacks(self._lead, self._lose, self._elector_died))

    def _lead(self) -> None:
        with self._beginning:
            if self._stop.is_set():
                return
            self._restore_rollouts()
            self._start_keeper()
            self._served.start()
            self._looks.start()
            self._workers.start(self._options.workers, self._stop)

    def _lose(self, why: str) -> None:
        """Cut all that writes, before another controller may begin to, and end the program."""
        self._client.close()
        self._keeper.stop(0.0)
        # At the end there is nothing to lose any more.
        if not self._stop.is_set():
            self.fail(f"the lease was lost: {why}")
            _log.error("leadership_lost", error=why)

    def _end(self) -> None:
        """Let the workers end what they are at, cut all calls, and let another one lead."""
        self._queue.shut_down()
        with self._beginning:
            self._workers.join(_DRAIN)
        quiet = self._keeper.stop(_KEEPER)
        self._served.stop()
        self._looks.stop()
        self._recorder.stop()
        # Calls that still wait for an answer are cut now; their time to finish is over.
        self._client.close()
        self._looks.join(_RELEASE)
        if self._elector:
            quiet = self._workers.join(_RELEASE) and quiet
            self._elector.stop(release=quiet, timeout=_RELEASE)
        self._factory.shutdown()

    def _restore_rollouts(self) -> None:
        listers = self._listers
        replica_sets = listers.owned[REPLICA_SETS].list()
        pods = partial(listers.pods.by_index, STORAGE_INDEX)
        self._rollouts.restore(rolling_now(replica_sets, pods))

    def _start_keeper(self) -> None:
        # Also where the objects that it needs have never been there, and so brought no news.
        self._refresh_access()
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

    def _watch_over(self) -> None:
        while not self._clock.wait(self._stop, LOOK):
            self._watchdog.look()

    def _informer_died(self, informer: SharedIndexInformer, error: BaseException) -> None:
        """A cache that no longer moves would be acted on for ever: end the program instead."""
        self.fail("an informer died")
        _log.error("informer_died", informer=repr(informer), error=repr(error))

    def _keeper_died(self, error: BaseException) -> None:
        """What it said last of every user would be believed for ever: end the program instead."""
        self.fail("the keeper of the core's users died")
        _log.error("core_users_died", error=repr(error))

    def _elector_died(self, error: BaseException) -> None:
        """Nobody would renew the lease any more, or notice that it is over."""
        self.fail("the leader election died")
        _log.error("leader_election_died", exc_info=error)

    def fail(self, why: str) -> None:
        """End the program with a failure; before any log line, which can fail too."""
        self._failure = self._failure or why
        self._stop.set()

    @property
    def live_checks(self) -> Mapping[str, Check]:
        """What fails when only a new start can help."""
        return {
            "threads": lambda: self._failure,
            "workers": self._workers.dead,
            "informers": self._dead_informers,
            "queue": self._workers.stuck,
        }

    @property
    def ready_checks(self) -> Mapping[str, Check]:
        """What fails while the controller does not work yet."""
        return {"informers": self._unsynced_informers}

    def _dead_informers(self) -> str | None:
        informers = self._factory.informers()
        dead = [f"{one!r}: {type(one.failure).__name__}" for one in informers if one.failure]
        return ", ".join(dead) or None

    def _unsynced_informers(self) -> str | None:
        behind = [repr(one) for one in self._factory.informers() if not one.has_synced()]
        return f"not listed yet: {', '.join(behind)}" if behind else None


def _make_queue(clock: Clock, registry: CollectorRegistry) -> RateLimitingQueue[str]:
    # Nothing that all storages share, as controller-runtime has it with priorities: the
    # retries of many would hold up those of one with something new to do.
    limiter = ItemExponentialFailureRateLimiter[str](0.005, 1000.0)
    metrics = PrometheusMetricsProvider(registry)
    return RateLimitingQueue(limiter, _QUEUE, clock=clock, metrics=metrics)
