"""The in-order queue: what comes out, in which batches, and what counts as synced."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from informers.fifo import Bookmark, Closed, Delta, Entry, RealFIFO, ReplacedAll, SyncAll
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.listerwatcher import config_map


@pytest.fixture
def fifo(clock: FakeClock) -> RealFIFO:
    return RealFIFO(clock)


def text(entry: Entry) -> str:
    match entry:
        case Delta(change, obj):
            return f"{change.name.lower()} {obj['metadata']['name']}"
        case ReplacedAll(objects, version):
            return f"list of {len(objects)} at {version}"
        case SyncAll():
            return "sync"
        case Bookmark(version):
            return f"bookmark {version}"


def drain(fifo: RealFIFO) -> list[list[str]]:
    """The batches that wait, each as short texts."""
    batches: list[list[str]] = []
    while fifo.pop(lambda batch, _: batches.append([text(one) for one in batch]), timeout=0):
        pass
    return batches


def test_nothing_is_merged_or_overtaken(fifo: RealFIFO) -> None:
    a, b = config_map("a"), config_map("b")
    fifo.replace([a], "1")
    fifo.add(b)
    fifo.update(a)
    fifo.delete(b)
    fifo.delete(b)
    fifo.bookmark("5")
    fifo.resync()
    fifo.add(a)
    assert len(fifo) == 8
    assert drain(fifo) == [
        ["list of 1 at 1"],
        ["added b", "modified a"],
        ["deleted b"],
        ["deleted b"],
        ["bookmark 5"],
        ["sync"],
        ["added a"],
    ]


def test_a_batch_has_a_limit(fifo: RealFIFO) -> None:
    for n in range(1001):
        fifo.add(config_map(f"a{n}"))
    assert [len(batch) for batch in drain(fifo)] == [1000, 1]


class TestHasSynced:
    def test_after_the_first_list_was_processed(self, fifo: RealFIFO) -> None:
        seen: list[tuple[bool, bool]] = []

        def process(_batch: Sequence[Entry], initial: bool) -> None:  # noqa: FBT001 - a callback
            seen.append((initial, fifo.has_synced()))

        fifo.replace([], "1")
        fifo.replace([config_map("a")], "2")
        assert not fifo.has_synced()
        assert fifo.pop(process)
        assert fifo.has_synced()
        assert fifo.pop(process)
        assert seen == [(True, False), (False, True)]

    def test_not_after_a_list_that_failed_to_be_processed(self, fifo: RealFIFO) -> None:
        def fail(_batch: Sequence[Entry], _initial: bool) -> None:  # noqa: FBT001 - a callback
            raise ValueError("a bug")

        fifo.replace([], "1")
        with pytest.raises(ValueError, match="a bug"):
            fifo.pop(fail)
        assert not fifo.has_synced()

    @pytest.mark.parametrize("first", ["add", "update", "delete"])
    def test_at_once_when_a_single_object_is_first(self, fifo: RealFIFO, first: str) -> None:
        getattr(fifo, first)(config_map("a"))
        assert fifo.has_synced()

    def test_not_before_anything_came(self, fifo: RealFIFO) -> None:
        fifo.resync()
        fifo.bookmark("1")
        assert not fifo.has_synced()
        assert drain(fifo) == [["bookmark 1"]]
        assert not fifo.has_synced()


class TestPop:
    def test_gives_up_in_time(self, fifo: RealFIFO, clock: FakeClock) -> None:
        with ThreadPoolExecutor(1) as pool:
            popped = pool.submit(fifo.pop, lambda _batch, _initial: None, 5.0)
            clock.await_waiters()
            clock.step(4.9)
            assert not popped.done()
            clock.step(0.1)
            assert popped.result(5) is False

    def test_wakes_up_for_an_entry(self, fifo: RealFIFO) -> None:
        with ThreadPoolExecutor(1) as pool:
            popped = pool.submit(fifo.pop, lambda _batch, _initial: None)
            fifo.add(config_map("a"))
            assert popped.result(5) is True

    def test_wakes_up_when_the_queue_is_closed(self, fifo: RealFIFO) -> None:
        with ThreadPoolExecutor(1) as pool:
            popped = pool.submit(fifo.pop, lambda _batch, _initial: None)
            fifo.close()
            with pytest.raises(Closed):
                popped.result(5)


def test_a_closed_queue_is_drained_but_takes_nothing(fifo: RealFIFO) -> None:
    fifo.add(config_map("a"))
    fifo.close()
    with pytest.raises(Closed):
        fifo.add(config_map("b"))
    with pytest.raises(Closed):
        drain(fifo)
    assert len(fifo) == 0


def fill(fifo: RealFIFO) -> None:
    """Add one entry more than may wait while others are processed."""
    for n in range(2001):
        fifo.add(config_map(f"b{n}"))


def test_producers_wait_for_a_consumer_that_is_far_behind(fifo: RealFIFO) -> None:
    with ThreadPoolExecutor(2) as pool:

        def process(_batch: Sequence[Entry], _initial: bool) -> None:  # noqa: FBT001 - a callback
            filler = pool.submit(fill, fifo)
            eventually(lambda: len(fifo) == 2000)
            waiting.append(not filler.done())

        waiting: list[bool] = []
        fifo.add(config_map("a"))
        fifo.pop(process)
        eventually(lambda: len(fifo) == 2001)
    assert waiting == [True]


def test_a_producer_that_waits_is_freed_when_the_queue_is_closed(fifo: RealFIFO) -> None:
    with ThreadPoolExecutor(1) as pool:

        def process(_batch: Sequence[Entry], _initial: bool) -> None:  # noqa: FBT001 - a callback
            filler = pool.submit(fill, fifo)
            eventually(lambda: len(fifo) == 2000)
            fifo.close()
            freed_by.append(filler.exception(5))

        freed_by: list[BaseException | None] = []
        fifo.add(config_map("a"))
        fifo.pop(process)
    assert [type(error) for error in freed_by] == [Closed]
    assert len(fifo) == 2000


def test_after_a_failure_producers_do_not_wait_for_the_consumer(fifo: RealFIFO) -> None:
    def fail(_batch: Sequence[Entry], _initial: bool) -> None:  # noqa: FBT001 - a callback
        raise ValueError("a bug")

    fifo.add(config_map("a"))
    with pytest.raises(ValueError, match="a bug"):
        fifo.pop(fail)
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(fill, fifo)
        try:
            filling.result(5)
        finally:
            fifo.close()
    assert len(fifo) == 2001


class TestSlowProcessing:
    def run(
        self, fifo: RealFIFO, clock: FakeClock, *, batch: int, waiting: int, seconds: float
    ) -> list[dict[str, object]]:
        """What is logged of a batch of that size that takes so long and keeps so many waiting."""
        for n in range(batch):
            fifo.add(config_map(f"a{n}"))
        for n in range(waiting):
            fifo.bookmark(str(n))
        with capture_logs() as logs:
            fifo.pop(lambda _batch, _initial: clock.step(seconds))
        assert len(fifo) == waiting
        return [dict(entry) for entry in logs]

    @pytest.mark.parametrize(("batch", "limit"), [(1, 0.1), (3, 0.3), (10, 1.0), (50, 1.0)])
    def test_is_told_with_what_and_how_long(
        self, clock: FakeClock, batch: int, limit: float
    ) -> None:
        crowd = 11
        fifo = RealFIFO(clock, "configmaps")
        assert self.run(fifo, clock, batch=batch, waiting=crowd, seconds=limit + 0.01) == [
            {
                "event": "slow_processing",
                "log_level": "warning",
                "queue": "configmaps",
                "first": "default/a0",
                "batch": batch,
                "waiting": crowd,
                "seconds": round(limit + 0.01, 3),
            }
        ]

    @pytest.mark.parametrize(("batch", "limit"), [(1, 0.1), (3, 0.3), (10, 1.0), (50, 1.0)])
    def test_is_not_told_when_it_is_quick_enough(
        self, fifo: RealFIFO, clock: FakeClock, batch: int, limit: float
    ) -> None:
        logs = self.run(fifo, clock, batch=batch, waiting=11, seconds=limit - 0.01)
        assert logs == []

    def test_is_not_told_when_few_wait(self, fifo: RealFIFO, clock: FakeClock) -> None:
        assert self.run(fifo, clock, batch=1, waiting=10, seconds=60.0) == []

    def test_names_what_is_no_single_object(self, fifo: RealFIFO, clock: FakeClock) -> None:
        fifo.replace([config_map("a")], "1")
        (entry,) = self.run(fifo, clock, batch=0, waiting=11, seconds=2.0)
        assert (entry["first"], entry["batch"]) == ("ReplacedAll", 1)


def test_the_time_of_each_batch_is_counted(fifo: RealFIFO, clock: FakeClock) -> None:
    fifo.add(config_map("a"))
    fifo.bookmark("1")
    fifo.pop(lambda _batch, _initial: clock.step(0.25))
    fifo.pop(lambda _batch, _initial: clock.step(0.5))
    counts, total = fifo.processing_latency.read()
    assert (sum(counts), total) == (2, 0.75)
