import threading

import pytest

from hack.bench.measured import Counter, CountingHandler, Measured, peak, resident


def test_a_report_is_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    measured = Measured(10, 0.5, 1.5, 2**20, 2**10)
    print("a log line")
    measured.print()
    assert Measured.parse(capsys.readouterr().out) == measured


def test_what_client_go_reports_is_read_as_well() -> None:
    line = '{"objects":1000,"synced":0.2,"events":3.6,"peak":41213952}\n'
    assert Measured.parse(line) == Measured(1000, 0.2, 3.6, 41213952)


def test_changes_are_counted_and_the_initial_list_is_not() -> None:
    counter = Counter(3)
    handler = CountingHandler(counter)
    handler.on_add({}, is_in_initial_list=True)
    waiting = threading.Thread(target=counter.seconds)
    waiting.start()
    handler.on_add({}, is_in_initial_list=False)
    handler.on_update({}, {})
    assert waiting.is_alive()
    handler.on_delete({})
    waiting.join()
    assert counter.seconds() > 0


def test_nothing_is_awaited_if_nothing_is_wanted() -> None:
    assert Counter(0).seconds() == 0


def test_memory_is_in_bytes() -> None:
    assert 2**20 < resident() <= peak() < 2**40
