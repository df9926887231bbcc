import threading

from workqueue.clock import REAL_CLOCK


def test_it_does_not_go_back() -> None:
    readings = [REAL_CLOCK.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_waiting_for_an_event_says_whether_it_is_set() -> None:
    event = threading.Event()
    assert not REAL_CLOCK.wait(event, 0.001)
    event.set()
    assert REAL_CLOCK.wait(event, None)


def test_waiting_takes_its_time() -> None:
    start = REAL_CLOCK.monotonic()
    REAL_CLOCK.wait(threading.Event(), 0.003)
    assert REAL_CLOCK.monotonic() - start >= 0.003


def test_waiting_on_a_condition_says_whether_it_was_notified() -> None:
    condition = threading.Condition()

    def notify() -> None:
        with condition:
            condition.notify()

    with condition:
        assert not REAL_CLOCK.wait_on(condition, 0.001)
        notifier = threading.Thread(target=notify)
        notifier.start()
        assert REAL_CLOCK.wait_on(condition, 5.0)
    notifier.join()
