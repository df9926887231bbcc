import threading
from collections.abc import Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hack.cluster.process import Process, ProcessError
from hack.dataplane import answers


class Server(HTTPServer):
    """Answers with the statuses given, the last one again and again."""

    statuses: list[int]
    asked: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.end_headers()
        self.wfile.write(b"a body")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.statuses, server.asked = [200], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Process]:
    process = Process("program", ["sh", "-c", "echo its last words; exec sleep 60"], tmp_path)
    process.start()
    yield process
    process.stop(grace=0)


def test_get(server: Server) -> None:
    assert answers.get(f"{server.url}/stats?format=text") == "a body"
    assert server.asked == ["/stats?format=text"]


def test_any_other_status_is_an_error(server: Server) -> None:
    server.statuses = [404]
    with pytest.raises(HTTPException, match=r"/x: 404 a body"):
        answers.get(f"{server.url}/x")


def test_an_answer_is_waited_for(server: Server, program: Process) -> None:
    server.statuses = [503, 503, 200]
    answers.await_answer(f"{server.url}/ready", [program])
    assert server.asked == ["/ready"] * 3


def test_no_answer_in_time_is_told_with_the_logs(server: Server, program: Process) -> None:
    server.statuses = [503]
    with pytest.raises(ProcessError, match=r"(?s)/ready after 0 s: .* 503 a body.*its last words"):
        answers.await_answer(f"{server.url}/ready", [program], timeout=0.1)


def test_a_program_that_has_ended_is_waited_for_no_longer(
    server: Server, program: Process
) -> None:
    server.statuses = [503]
    program.stop(grace=0)
    with pytest.raises(ProcessError, match="program does not run"):
        answers.await_answer(server.url, [program])
