import threading
from pathlib import Path

import pytest

from hack.cluster import cache


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ETCDPROXY_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, Path("/own")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/etcdproxy-controller")),
        ({}, Path.home() / ".cache/etcdproxy-controller"),
        ({"ETCDPROXY_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, Path("/xdg/etcdproxy-controller")),
    ],
)
def test_root(environment: dict[str, str], expected: Path) -> None:
    assert cache.root(environment) == expected


def test_a_relative_folder_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache.root({"ETCDPROXY_CACHE": "here"}) == tmp_path / "here"


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with cache.locked(tmp_path / "sub" / "lock", waiting=waits.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with cache.locked(tmp_path / "sub" / "lock", waiting=lambda: order.append("waited")):
        thread.start()
        assert waits.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_scratch_folder_lives_as_long_as_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    abandoned = cache.run() / "mine_of-a-killed-run"
    (abandoned / "data").mkdir(parents=True)
    with cache.scratch("mine") as first, cache.scratch("mine") as second:
        (first / "file").touch()
        assert sorted(cache.run().glob("mine_*")) == sorted([first, second])
    assert list(cache.run().glob("mine_*")) == []


def test_a_scratch_folder_of_another_name_stays_though_that_begins_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCDPROXY_CACHE", str(tmp_path))
    with cache.scratch("mine-too") as other:
        left = other.with_name(f"{other.name}-left")
        left.mkdir()
        with cache.scratch("mine"):
            assert left.exists()
    with cache.scratch("mine-too"):
        assert not left.exists()
