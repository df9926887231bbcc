"""Requests with credentials: when they are renewed, and what each sending costs and counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from kubernetes.client import Configuration

from informers.errors import ApiError, ConnectionFailed
from informers.rest.attempts import Attempts
from informers.rest.config import ClusterConfig
from informers.rest.throttle import Throttle
from informers.rest.transport import Request, Transport
from tests.support.apiserver import ApiServer, Exchange, configuration
from tests.support.listerwatcher import InstantClock

LEFT = 5.0


def ok(exchange: Exchange) -> None:
    exchange.answer(200, {"ok": True})


def refuse(exchange: Exchange) -> None:
    exchange.answer(401, b"")


def left() -> float:
    return LEFT


@dataclass
class Recorded:
    """Metrics that are kept as they were told."""

    requests: list[tuple[str, str, bool]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def request(self, verb: str, code: str, *, again: bool) -> None:
        self.requests.append((verb, code, again))

    def duration(self, verb: str, seconds: float) -> None:
        raise AssertionError(f"{verb}: that is of calls, not {seconds}")

    def throttled(self, verb: str, seconds: float) -> None:
        assert verb == "POST"
        self.waits.append(seconds)


class World:
    """Attempts over real sockets; each reading of the configuration takes a token."""

    def __init__(self) -> None:
        self.clock = InstantClock()
        self.metrics = Recorded()
        self.throttle: Throttle | None = None
        self._made: list[Transport] = []

    def send(self, server: ApiServer, *tokens: str) -> bytes:
        left = iter(tokens)
        return self.send_as(ClusterConfig(lambda: configuration(server.url, next(left, None))))

    def send_as(self, config: ClusterConfig, *, left: Callable[[], float] = left) -> bytes:
        self._made.append(Transport(config, 1, "agent/1"))
        attempts = Attempts(
            self._made[-1],
            config,
            clock=self.clock,
            throttle=self.throttle,
            metrics=self.metrics,
        )
        request = Request("POST", config.server, b'{"a": 1}', "application/json")
        return self._made[-1].read(attempts.send(request, left))

    def close(self) -> None:
        for transport in self._made:
            transport.close()


@pytest.fixture
def world(_no_stray_threads: None) -> Iterator[World]:
    world = World()
    yield world
    world.close()


def sent(server: ApiServer) -> list[str | None]:
    return [one.headers.get("authorization") for one in server.requests]


class TestOldCredentials:
    def test_are_renewed_and_the_request_is_sent_again_whole(self, world: World) -> None:
        with ApiServer(refuse, ok) as server:
            assert world.send(server, "old", "new") == b'{"ok": true}'
        assert sent(server) == ["Bearer old", "Bearer new"]
        assert [one.body for one in server.requests] == [b'{"a": 1}'] * 2

    @pytest.mark.parametrize(
        ("tokens", "used"), [(["same"] * 9, ["same"]), (["one", "two", "three"], ["one", "two"])]
    )
    def test_are_tried_once_more_at_most(
        self, world: World, tokens: list[str], used: list[str]
    ) -> None:
        with ApiServer(*[refuse] * 3) as server:
            with pytest.raises(ApiError, match="401 Unauthorized"):
                world.send(server, *tokens)
            assert sent(server) == [f"Bearer {token}" for token in used]

    def test_that_another_thread_renewed_meanwhile_are_noticed(self, world: World) -> None:
        tokens = ["old"]

        def refresh(made: Configuration) -> None:
            made.api_key["BearerToken"] = f"Bearer {tokens[-1]}"

        def load() -> Configuration:
            made = configuration(server.url, tokens[-1])
            made.refresh_api_key_hook = refresh  # type: ignore[assignment] # declared as None
            return made

        def refuse_late(exchange: Exchange) -> None:
            tokens.append("new")
            config.identity(0, 5)
            exchange.answer(401, b"")

        with ApiServer(refuse_late, ok) as server:
            config = ClusterConfig(load)
            world.send_as(config)
        assert sent(server) == ["Bearer old", "Bearer new"]

    def test_stay_with_their_connections(self, world: World) -> None:
        """A client certificate belongs to a connection, so new ones need new connections."""
        ports: list[int] = []

        def note(exchange: Exchange) -> None:
            ports.append(exchange.sock.getpeername()[1])
            exchange.answer(401 if len(ports) == 1 else 200, {})

        with ApiServer(note, note) as server:
            world.send(server, "old", "new")
        assert ports[0] != ports[1]

    def test_are_not_looked_for_after_another_refusal(self, world: World) -> None:
        def forbid(exchange: Exchange) -> None:
            exchange.answer(403, b"")

        with ApiServer(forbid, ok) as server, pytest.raises(ApiError, match="403"):
            world.send(server, "old", "new")
        assert sent(server) == ["Bearer old"]


class TestEachSending:
    def test_counts(self, world: World) -> None:
        with ApiServer(refuse, ok) as server:
            world.send(server, "old", "new")
        assert world.metrics.requests == [("POST", "401", False), ("POST", "200", True)]

    def test_counts_if_there_was_no_answer(self, world: World) -> None:
        with ApiServer(refuse, Exchange.reset) as server, pytest.raises(ConnectionFailed):
            world.send(server, "old", "new")
        assert world.metrics.requests == [("POST", "401", False), ("POST", "<error>", True)]

    def test_waits_for_its_turn(self, world: World) -> None:
        world.throttle = Throttle(0.5, 1, clock=world.clock)
        with ApiServer(refuse, ok) as server:
            world.send(server, "old", "new")
        assert world.clock.waits == pytest.approx([2.0])
        assert world.metrics.waits == pytest.approx([0.0, 2.0])

    def test_has_only_what_is_left_of_the_time(self, world: World) -> None:
        """The second sending too, which a 401 without end would otherwise double."""
        tokens = ["new", "old"]

        def less() -> float:
            return LEFT if tokens else 0.05

        def hold(exchange: Exchange) -> None:
            exchange.stopping.wait(1)
            exchange.close()

        with ApiServer(refuse, hold) as server:
            config = ClusterConfig(lambda: configuration(server.url, tokens.pop()))
            with pytest.raises(ConnectionFailed, match="no answer in time"):
                world.send_as(config, left=less)

    def test_needs_time(self, world: World) -> None:
        """Even if the limit has room: what is missing then is not a turn."""
        world.throttle = Throttle(1.0, 1, clock=world.clock)
        config = ClusterConfig(lambda: configuration("http://127.0.0.1:1"))
        with pytest.raises(ConnectionFailed, match="no time was left to send the request"):
            world.send_as(config, left=lambda: -0.001)
