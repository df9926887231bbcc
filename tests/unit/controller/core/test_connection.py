import os
import socket
import subprocess
import sys

import pytest

from controller.core.connection import Connection
from controller.core.errors import ClosedError, UnreachableError
from controller.core.looks import Access
from controller.core.messages import MESSAGES
from hack.cluster import ports


def ask(connection: Connection) -> object:
    request = MESSAGES["AuthStatusRequest"]()
    return connection.call("Auth/AuthStatus", request, MESSAGES["AuthStatusResponse"])


@pytest.mark.parametrize("urls", [(), ("http://a:1", "https://a:1"), ("a:1",), ("ftp://a:1",)])
def test_urls_that_are_none_are_refused(urls: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="all http or all https"):
        Connection(Access(urls))


def test_every_member_is_asked_and_named() -> None:
    urls = tuple(f"http://127.0.0.1:{port}" for port in ports.free(2))
    connection = Connection(Access(urls))
    with pytest.raises(UnreachableError) as caught:
        ask(connection)
    connection.close()
    assert all(url in str(caught.value) for url in urls)


def test_a_member_that_says_nothing_has_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        connection = Connection(Access((url,)), deadline=0.05)
        with pytest.raises(UnreachableError, match=url):
            ask(connection)
        connection.close()


def test_what_is_closed_stays_closed() -> None:
    connection = Connection(Access(("http://127.0.0.1:1",)))
    connection.close()
    connection.close()
    with pytest.raises(ClosedError):
        ask(connection)


def test_a_proxy_of_the_environment_is_not_asked() -> None:
    port, proxy = ports.free(2)
    program = (
        "from controller.core.client import CoreClient\n"
        "from controller.core.looks import Access\n"
        f"CoreClient(Access(('http://127.0.0.1:{port}',))).auth_status()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "http_proxy": f"http://127.0.0.1:{proxy}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"127.0.0.1:{port}: Failed to connect" in run.stderr
    assert str(proxy) not in run.stderr


def test_grpc_is_imported_by_the_client_alone() -> None:
    program = "import sys, controller.core; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
