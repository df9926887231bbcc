"""Tokens, certificates and trust that change while a client is at work, on the wire."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.pki import Authority
from informers.errors import ApiError, ConnectionFailed
from informers.rest.client import Client
from informers.rest.config import LOOK_AFTER, ClusterConfig, load_config
from informers.rest.tokenfile import REREAD_AFTER
from tests.support.apiserver import Answer, ApiServer, Exchange, configuration
from tests.support.clock import FakeClock
from tests.support.kubeconfig import answer, exec_plugin, kubeconfig
from tests.support.listerwatcher import CONFIG_MAPS, config_map
from tests.support.tls import authority, pair, peer_name, server_context, write_pair

Make = Callable[..., Client]


def ok(exchange: Exchange) -> None:
    exchange.answer(200, config_map("a", 1))


def refuse(exchange: Exchange) -> None:
    exchange.answer(401, {"kind": "Status", "reason": "Unauthorized", "message": "who is it?"})


def sent(server: ApiServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(_no_stray_threads: None, clock: FakeClock) -> Iterator[Make]:
    """Make clients, closed at the end."""
    clients: list[Client] = []

    def make(config: ClusterConfig) -> Client:
        clients.append(Client(config, clock=clock))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class TestTokens:
    def rotating(self, make: Make, server: ApiServer, *tokens: str) -> Client:
        """A client whose token is another one each time that it is read."""
        left = iter(tokens)
        return make(ClusterConfig(lambda: configuration(server.url, next(left))))

    def from_file(self, make: Make, folder: Path, server: ApiServer) -> tuple[Client, Path]:
        path = folder / "token"
        path.write_text("old\n")
        user = {"tokenFile": "token"}
        return make(load_config(kubeconfig(folder, user, cluster={"server": server.url}))), path

    def test_are_sent_but_never_shown(self, connect: Make) -> None:
        with ApiServer(ok) as server:
            client = connect(server, token="very-secret")
            client.get(CONFIG_MAPS, "a")
        assert sent(server) == ["Bearer very-secret"]
        assert "secret" not in f"{client!r} {server.config('very-secret')!r}"

    def test_are_read_again_after_a_401_and_the_call_is_repeated(self, make: Make) -> None:
        with ApiServer(refuse, ok, ok) as server:
            client = self.rotating(make, server, "old", "new")
            client.create(CONFIG_MAPS, config_map("a"))
            client.get(CONFIG_MAPS, "a")
        assert sent(server) == ["Bearer old", "Bearer new", "Bearer new"]

    def test_that_stay_the_same_are_not_tried_twice(self, make: Make) -> None:
        with ApiServer(refuse) as server:
            with pytest.raises(ApiError, match="401 Unauthorized"):
                self.rotating(make, server, "same", "same").get(CONFIG_MAPS, "a")
            assert len(server.requests) == 1

    def test_that_fail_again_end_the_call(self, make: Make) -> None:
        with ApiServer(refuse, refuse) as server:
            with pytest.raises(ApiError, match="401 Unauthorized"):
                self.rotating(make, server, "one", "two", "three").get(CONFIG_MAPS, "a")
            assert len(server.requests) == 2

    def test_of_a_file_are_new_after_fifty_seconds(
        self, make: Make, tmp_path: Path, clock: FakeClock
    ) -> None:
        with ApiServer(ok, ok, ok) as server:
            client, path = self.from_file(make, tmp_path, server)
            client.get(CONFIG_MAPS, "a")
            path.write_text("new\n")
            clock.step(REREAD_AFTER - 1)
            client.get(CONFIG_MAPS, "a")
            clock.step(1)
            client.get(CONFIG_MAPS, "a")
        assert sent(server) == ["Bearer old", "Bearer old", "Bearer new"]

    def test_of_a_file_are_new_at_once_after_a_401(self, make: Make, tmp_path: Path) -> None:
        """Without a second 401, and a write is repeated like a read."""
        with ApiServer(ok, refuse, ok) as server:
            client, path = self.from_file(make, tmp_path, server)
            client.get(CONFIG_MAPS, "a")
            path.write_text("new\n")
            client.create(CONFIG_MAPS, config_map("a"))
        assert sent(server) == ["Bearer old", "Bearer old", "Bearer new"]
        assert server.requests[1].body == server.requests[2].body

    def test_of_a_file_that_is_gone_stay(
        self, make: Make, tmp_path: Path, clock: FakeClock
    ) -> None:
        with ApiServer(ok, ok, refuse) as server:
            client, path = self.from_file(make, tmp_path, server)
            client.get(CONFIG_MAPS, "a")
            path.unlink()
            clock.step(REREAD_AFTER)
            client.get(CONFIG_MAPS, "a")
            with pytest.raises(ApiError, match="401"):
                client.get(CONFIG_MAPS, "a")
        assert sent(server) == ["Bearer old"] * 3

    def test_of_a_watch_are_new_when_it_is_opened(self, make: Make, tmp_path: Path) -> None:
        """One that stands is left alone; the next one opens with the new token after a 401."""

        def begin(exchange: Exchange) -> None:
            exchange.begin()
            exchange.event("ADDED", config_map("a", 1))
            exchange.event("ADDED", config_map("b", 2))
            exchange.end()

        with ApiServer(begin, refuse, ok, refuse, begin) as server:
            client, path = self.from_file(make, tmp_path, server)
            with client.watch(CONFIG_MAPS, query={}) as stream:
                assert next(stream)["object"] == config_map("a", 1)
                path.write_text("new")
                client.get(CONFIG_MAPS, "a")
                assert next(stream)["object"] == config_map("b", 2)
            path.write_text("newer")
            with client.watch(CONFIG_MAPS, query={}) as stream:
                assert len(list(stream)) == 2
        assert [token and token.split()[1] for token in sent(server)] == [
            *("old", "old", "new", "new", "newer"),
        ]

    def test_of_a_plugin_are_asked_for_again_after_a_401(self, make: Make, tmp_path: Path) -> None:
        with ApiServer(ok, refuse, ok) as server:
            user = exec_plugin(tmp_path, {"token": "old"})
            config = load_config(kubeconfig(tmp_path, user, cluster={"server": server.url}))
            client = make(config)
            client.get(CONFIG_MAPS, "a")
            answer(tmp_path, {"token": "new"})
            client.get(CONFIG_MAPS, "a")
        assert sent(server) == ["Bearer old", "Bearer old", "Bearer new"]


def test_impersonation_is_in_every_request(make: Make, tmp_path: Path) -> None:
    """Read as it comes: a group for each header, as the server does not split them."""
    received: list[bytes] = []

    def answer_one() -> None:
        sock, _ = listener.accept()
        with sock:
            while not b"".join(received).endswith(b"\r\n\r\n"):
                received.append(sock.recv(4096))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_one)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        user = {"token": "t", "as": "jane", "as-groups": ["dev", "ops"]}
        make(load_config(kubeconfig(tmp_path, user, cluster={"server": url}))).get(
            CONFIG_MAPS, "a"
        )
        thread.join(5)
    lines = b"".join(received).decode().split("\r\n")
    assert [line for line in lines if line.startswith(("Impersonate-", "Authorization"))] == [
        "Impersonate-User: jane",
        "Impersonate-Group: dev",
        "Impersonate-Group: ops",
        "Authorization: Bearer t",
    ]


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    """The authority that the file `ca.crt` names at first."""
    made = authority()
    (tmp_path / "ca.crt").write_bytes(made.cert_pem)
    return made


class TestCa:
    def client(self, make: Make, folder: Path, server: ApiServer) -> Client:
        cluster = {"server": server.url, "certificate-authority": "ca.crt"}
        return make(load_config(kubeconfig(folder, {"token": "t"}, cluster=cluster)))

    def test_that_is_new_is_believed_without_a_failed_request(
        self, make: Make, tmp_path: Path, ca: Authority
    ) -> None:
        """The server has changed and gone from the old connection; no minute has passed."""

        def last(exchange: Exchange) -> None:
            ok(exchange)
            exchange.close()

        with ApiServer(last, ok, tls=server_context(tmp_path, ca)) as server:
            client = self.client(make, tmp_path, server)
            client.get(CONFIG_MAPS, "a")
            new = authority("new ca")
            (tmp_path / "ca.crt").write_bytes(new.cert_pem)
            server.tls = server_context(tmp_path, new)
            client.create(CONFIG_MAPS, config_map("a"))
        assert [request.method for request in server.requests] == ["GET", "POST"]

    def test_that_is_new_closes_idle_connections_within_a_minute(
        self, make: Make, tmp_path: Path, ca: Authority, clock: FakeClock
    ) -> None:
        ports: list[int] = []

        def note(exchange: Exchange) -> None:
            ports.append(exchange.sock.getpeername()[1])
            ok(exchange)

        with ApiServer(*[note] * 3, tls=server_context(tmp_path, ca)) as server:
            client = self.client(make, tmp_path, server)
            client.get(CONFIG_MAPS, "a")
            new = authority("new ca")
            (tmp_path / "ca.crt").write_bytes(new.cert_pem)
            server.tls = server_context(tmp_path, new)
            clock.step(LOOK_AFTER - 1)
            client.get(CONFIG_MAPS, "a")
            clock.step(1)
            client.get(CONFIG_MAPS, "a")
            assert len(client._transport._pool.live._handles) == 1
        assert ports[0] == ports[1] != ports[2]

    @pytest.mark.parametrize("content", [b"", b"half of a cert", None])
    def test_that_is_no_good_leaves_the_old_one(
        self, make: Make, tmp_path: Path, ca: Authority, clock: FakeClock, content: bytes | None
    ) -> None:
        def last(exchange: Exchange) -> None:
            ok(exchange)
            exchange.close()

        with ApiServer(last, last, last, tls=server_context(tmp_path, ca)) as server:
            client = self.client(make, tmp_path, server)
            client.get(CONFIG_MAPS, "a")
            path = tmp_path / "ca.crt"
            path.unlink() if content is None else path.write_bytes(content)
            for _ in range(2):
                clock.step(LOOK_AFTER)
                client.get(CONFIG_MAPS, "a")
        assert len(server.requests) == 3

    @pytest.mark.usefixtures("ca")
    def test_of_somebody_else_is_not_believed(self, make: Make, tmp_path: Path) -> None:
        stranger = authority("a stranger")
        with ApiServer(ok, tls=server_context(tmp_path, stranger)) as server:
            with pytest.raises(ConnectionFailed, match=r"TLS: .*CERTIFICATE_VERIFY_FAILED"):
                self.client(make, tmp_path, server).get(CONFIG_MAPS, "a")
            assert server.requests == []

    def test_leaves_a_watch_alone(
        self, make: Make, tmp_path: Path, ca: Authority, clock: FakeClock
    ) -> None:
        go_on: list[Exchange] = []

        def begin(exchange: Exchange) -> None:
            exchange.begin()
            exchange.event("ADDED", config_map("a", 1))
            go_on.append(exchange)
            exchange.stopping.wait(5)

        with ApiServer(begin, ok, tls=server_context(tmp_path, ca)) as server:
            client = self.client(make, tmp_path, server)
            with client.watch(CONFIG_MAPS, query={}) as stream:
                next(stream)
                (tmp_path / "ca.crt").write_bytes(ca.cert_pem + authority().cert_pem)
                clock.step(LOOK_AFTER)
                client.get(CONFIG_MAPS, "a")
                go_on[0].event("ADDED", config_map("b", 2))
                assert next(stream)["object"] == config_map("b", 2)


class TestClientCertificates:
    def names(self) -> tuple[list[str], Answer]:
        """The names that clients show, and an answer that notes them."""
        seen: list[str] = []

        def note(exchange: Exchange) -> None:
            seen.append(peer_name(exchange.sock))
            ok(exchange)

        return seen, note

    def client(self, make: Make, folder: Path, server: ApiServer, user: dict[str, Any]) -> Client:
        cluster = {"server": server.url, "certificate-authority": "ca.crt"}
        return make(load_config(kubeconfig(folder, user, cluster=cluster)))

    def test_are_shown_anew_within_a_minute(
        self, make: Make, tmp_path: Path, ca: Authority, clock: FakeClock
    ) -> None:
        seen, note = self.names()
        tls = server_context(tmp_path, ca, clients=ca)
        write_pair(tmp_path, pair(ca, "old"))
        user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
        with ApiServer(*[note] * 3, tls=tls) as server:
            client = self.client(make, tmp_path, server, user)
            client.get(CONFIG_MAPS, "a")
            write_pair(tmp_path, pair(ca, "new"))
            client.get(CONFIG_MAPS, "a")
            clock.step(LOOK_AFTER)
            client.get(CONFIG_MAPS, "a")
        assert seen == ["old", "old", "new"]

    def test_are_shown_anew_after_a_401(self, make: Make, tmp_path: Path, ca: Authority) -> None:
        seen, note = self.names()
        tls = server_context(tmp_path, ca, clients=ca)
        write_pair(tmp_path, pair(ca, "old"))
        user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
        with ApiServer(note, refuse, note, tls=tls) as server:
            client = self.client(make, tmp_path, server, user)
            client.get(CONFIG_MAPS, "a")
            write_pair(tmp_path, pair(ca, "new"))
            client.create(CONFIG_MAPS, config_map("a"))
        assert seen == ["old", "new"]

    def test_of_a_plugin_are_asked_for_again_after_a_401(
        self, make: Make, tmp_path: Path, ca: Authority
    ) -> None:
        def status(cn: str) -> dict[str, str]:
            made = pair(ca, cn)
            return {
                "clientCertificateData": made.cert_pem.decode(),
                "clientKeyData": made.key_pem.decode(),
            }

        seen, note = self.names()
        tls = server_context(tmp_path, ca, clients=ca)
        with ApiServer(note, refuse, note, tls=tls) as server:
            user = exec_plugin(tmp_path, status("old"))
            client = self.client(make, tmp_path, server, user)
            client.get(CONFIG_MAPS, "a")
            answer(tmp_path, status("new"))
            client.get(CONFIG_MAPS, "a")
        assert seen == ["old", "new"]
        assert sent(server) == [None, None, None]
