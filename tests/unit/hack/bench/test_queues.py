from hack.bench import queues


def test_both_queues_are_measured() -> None:
    assert queues.ours(200) > 0
    assert queues.simple(200) > 0
