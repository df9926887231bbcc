"""Whether the server serves the status of storages."""

from typing import Any, cast

import orjson
import pytest

from controller.discovery import lacks_status
from informers import ApiError, Client, ConnectionFailed


class Server:
    """Answers as it is told, by bytes or by an error."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer

    def raw_get(self, path: str) -> bytes:
        assert path == "/apis/etcd.xmudrii.com/v1alpha1"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def lacking(answer: Any) -> bool:
    return lacks_status(cast("Client", Server(answer)))


def listing(*names: str) -> bytes:
    return orjson.dumps({"resources": [{"name": name} for name in names]})


def test_a_kind_without_the_subresource_lacks_it() -> None:
    assert lacking(listing("etcdstorages"))
    assert lacking(listing("etcdstorages", "etcdstorages/scale"))


@pytest.mark.parametrize(
    "answer",
    [
        listing("etcdstorages", "etcdstorages/status"),
        listing("others"),
        listing(),
        b"{}",
        b"[]",
        b"<html>",
        ApiError(403, "Forbidden", "no"),
        ConnectionFailed("https://example.com", "is away"),
    ],
)
def test_nothing_else_says_so(answer: bytes | Exception) -> None:
    assert not lacking(answer)
