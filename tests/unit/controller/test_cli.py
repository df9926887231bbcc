"""The program around the controller: exit codes, signals, one line for a wrong kubeconfig."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from controller import cli
from controller.options import Options, parse_options
from workqueue import RealClock

URL = ("-u", "https://core:2379")


@pytest.fixture(autouse=True)
def _nothing_global(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the process's log and signal handlers as they are."""
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class FakeClient:
    """Stands for the connection; the controller under it is a fake as well."""

    server = "https://server"
    closed = False

    def close(self) -> None:
        self.closed = True


class FakeController:
    """Waits for the stop that `run` is given, as the real one does."""

    healthy = True
    signals: tuple[int, ...] = (signal.SIGTERM,)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def run(self, stop: threading.Event) -> bool:
        for number in self.signals:
            signal.raise_signal(number)
        assert stop.wait(5)
        return self.healthy


def run(monkeypatch: pytest.MonkeyPatch, controller: type[FakeController]) -> tuple[int, bool]:
    monkeypatch.setattr(cli, "EtcdStorageController", controller)
    client: Any = FakeClient()
    options: Options = parse_options(URL, environment={})
    return cli.run(client, options, RealClock()), client.closed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Told(FakeController):
        signals = (number,)

    assert run(monkeypatch, Told) == (0, True)


def test_a_thread_that_died_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeController):
        healthy = False

    assert run(monkeypatch, Broken) == (1, True)


def test_a_second_signal_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    def exit_(code: int) -> None:
        raise Ended(code)

    class Impatient(FakeController):
        signals = (signal.SIGTERM, signal.SIGINT)

    monkeypatch.setattr(os, "_exit", exit_)
    with pytest.raises(Ended) as ended:
        run(monkeypatch, Impatient)
    assert ended.value.args == (128 + signal.SIGINT,)


def test_main_gives_the_flags_to_what_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: dict[str, Any] = {}

    class Recorded(FakeClient):
        def __init__(self, config: Any, **options: Any) -> None:
            started.update(config=config, **options)

    class Quiet(FakeController):
        def __new__(cls, _client: Any, options: Options, **_: Any) -> Self:
            started["options"] = options
            return super().__new__(cls)

    monkeypatch.setattr(cli, "load_config", lambda kubeconfig: ("config of", kubeconfig))
    monkeypatch.setattr(cli, "Client", Recorded)
    monkeypatch.setattr(cli, "EtcdStorageController", Quiet)
    assert cli.main([*URL, "-k", str(tmp_path), "--workers", "7"]) == 0
    assert started["config"] == ("config of", str(tmp_path))
    assert started["options"].workers == 7
    # Fewer connections than threads that use them would make writers wait for each other.
    assert started["pool_size"] > 7
    assert started["user_agent"].startswith("etcdproxy-controller/")


@pytest.mark.parametrize("content", [None, "not: [closed", "{}", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_cannot_be_used_is_one_line(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    assert cli.main([*URL, "--kubeconfig", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("etcdproxy-controller: argument --kubeconfig: ")
    assert str(path) in err
    assert err.count("\n") == 1


def test_the_arguments_are_the_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["etcdproxy-controller", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("etcdproxy-controller ")
