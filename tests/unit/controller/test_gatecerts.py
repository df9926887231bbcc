"""What a gate answers, read with suspicion."""

import socket
import threading
from datetime import UTC, datetime

import orjson
import pytest

from controller import gatecerts
from controller.gatecerts import NoAnswerError, Served, ask, read
from tests.support.gatestub import GateStub, certs, ok, version

GOOD = certs("a", 0xABC, (1, 2))


def answered(answer: bytes) -> Served | None:
    with GateStub(lambda _host, _sock: answer) as gate:
        return ask("127.0.0.1", gate.port, "a")


def test_what_is_served_is_told_from_what_is_shown_to_the_core() -> None:
    expiry = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert answered(ok(GOOD)) == Served(0xABC, expiry, frozenset({1, 2}), "v1")


def test_a_gate_without_tls_serves_none() -> None:
    assert answered(ok(certs("another", 1, (1,)))) is None
    assert answered(ok(b'{"certificates": []}')) is None


def test_an_answer_in_chunks_is_one() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    half = len(GOOD) // 2
    parts = (b"%x\r\n%s\r\n" % (len(part), part) for part in (GOOD[:half], GOOD[half:]))
    assert answered(head + b"".join(parts) + b"0\r\n\r\n") is not None


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"rubbish", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 999999 OK\r\n\r\n"),
        ok(GOOD).replace(b"200", b"404"),
        ok(GOOD).replace(b"200", b"302"),
        # Less than was promised.
        ok(GOOD)[:-10],
        *(ok(body) for body in (b"", b"{", b"[]", b"null", b"{}", b'{"certificates": 1}')),
        *(
            ok(body)
            for body in (b'{"certificates": [1]}', b'{"certificates": [{"cert_chain": 1}]}')
        ),
        ok(GOOD.replace(b'"abc"', b'"no number"')),
        ok(GOOD.replace(b'"abc"', b"12")),
        ok(GOOD.replace(b"2027-01-02T03:04:05Z", b"soon")),
        ok(GOOD.replace(b"2027-01-02T03:04:05Z", b"2027-01-02T03:04:05")),
        ok(GOOD.replace(b"ca_cert", b"ca_card")),
        ok(orjson.dumps({"certificates": [{"cert_chain": [{"subject_alt_names": "etcd-a"}]}]})),
    ],
)
def test_what_is_no_answer_of_a_gate_is_none(answer: bytes) -> None:
    with pytest.raises(NoAnswerError):
        answered(answer)


def test_nobody_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NoAnswerError, match="ConnectionRefused"):
        ask("127.0.0.1", port, "a")
    with pytest.raises(NoAnswerError):
        ask("no address", port, "a")


def test_a_flood_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatecerts, "SIZE", 100_000)
    with pytest.raises(NoAnswerError):
        answered(ok(b" " * 200_000))


def trickle(stop: threading.Event, sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stop.wait(0.005):
        try:
            sock.sendall(b"x")
        except OSError:
            return


@pytest.mark.parametrize("trickles", [False, True])
def test_a_slow_answer_is_ended(monkeypatch: pytest.MonkeyPatch, *, trickles: bool) -> None:
    """A timeout of single reads would let each byte have it anew."""
    monkeypatch.setattr(gatecerts, "TIMEOUT", 0.1)
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def answer(_host: str, sock: socket.socket) -> None:
        if trickles:
            threads.append(threading.Thread(target=trickle, args=(stop, sock)))
            threads[0].start()

    with GateStub(answer) as gate:
        try:
            with pytest.raises(NoAnswerError, match="TimeoutError"):
                ask("127.0.0.1", gate.port, "a")
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_no_content_of_an_answer_is_told() -> None:
    with pytest.raises(NoAnswerError) as caught:
        read(b'{"certificates": "a-word-of-theirs"}', version("v"), "a")
    assert "a-word-of-theirs" not in str(caught.value)
    with pytest.raises(NoAnswerError) as caught:
        read(GOOD, b"a-word-of-theirs", "a")
    assert "a-word-of-theirs" not in str(caught.value)


@pytest.mark.parametrize(
    "clients",
    [
        *(b"", b"404: not found", version("v")[:-3], version("v") * 2),
        version('x" y'),
        b"sds.others.version_text",
        version("v").replace(b"clients", b"others"),
    ],
)
def test_what_tells_of_no_list_is_no_answer(clients: bytes) -> None:
    with pytest.raises(NoAnswerError):
        read(GOOD, clients, "a")


def test_a_gate_that_has_taken_no_list_yet_goes_by_none() -> None:
    found = read(GOOD, version(""), "a")
    assert found is not None
    assert found.clients == ""
