from controller.core import Access
from hack.bench.dataplane import neighbour
from hack.bench.dataplane.neighbour import Felt
from hack.bench.dataplane.noise import Done, Plan
from tests.support.eventually import eventually
from tests.support.keyvalueserver import serving


def test_a_run_is_a_line() -> None:
    done = Done({"puts": 1000, "lists": 50}, 500_000_000, {"UNAVAILABLE": 3})
    taken = [n / 1000 for n in range(1, 102)]
    run = Felt("Direct", "with limits", taken, taken[:51], done, 10.0, 300 * 2**20)
    title, line = neighbour.render([run]).splitlines()
    assert title.split()[:2] == ["quiet", "tenant"]
    assert line.split() == [
        *("Direct,", "with", "limits", "51.0,", "100.0,", "101.0", "26.0,", "50.5,", "51.0"),
        *("152", "100.0", "5.0", "0.0", "0.0", "50", "3", "300", "MiB"),
    ]


def test_the_noise_of_two_adds_up() -> None:
    writes = Done({"puts": 3}, failures={"UNAVAILABLE": 1})
    reads = Done({"lists": 2}, 10, {"UNAVAILABLE": 1, "CANCELLED": 1})
    assert neighbour.together([writes, reads]) == Done(
        {"puts": 3, "lists": 2}, 10, {"CANCELLED": 1, "UNAVAILABLE": 2}
    )


def test_all_clients_of_the_quiet_one_put_and_get() -> None:
    with serving() as server:
        puts, gets = neighbour.felt(Access((server.url,)), "/quiet/key", 0.1)
    assert len(puts) == len(gets) >= neighbour.CLIENTS
    assert set(server.keys) == {b"/quiet/key-%d" % n for n in range(neighbour.CLIENTS)}


def test_noise_is_made_until_it_is_asked_for() -> None:
    with serving() as server:
        target = server.url.removeprefix("http://")
        with neighbour.noise(Plan((target,), "", connections=1, load={"puts": 1})) as end:
            # The second call is made when the first was answered. The program that makes them
            # lets all others of the machine go first.
            eventually(lambda: server.calls > 1, within=90)
            assert end().calls["puts"] > 0
