import json
import threading
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from hack.bench.load import NAMESPACE
from hack.bench.replay import ReplayServer
from tests.support.eventually import eventually

PATH = "/apis/apps/v1/replicasets"


def get(server: ReplayServer, query: str, lines: int) -> list[dict[str, Any]]:
    """The first lines of an answer."""
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
        answer = ask(connection, query)
        with answer:
            return [json.loads(answer.readline()) for _ in range(lines)]


def ask(connection: HTTPConnection, query: str) -> HTTPResponse:
    connection.request("GET", f"{PATH}?{query}")
    return connection.getresponse()


def test_a_list_has_all_objects(server: ReplayServer) -> None:
    (listed,) = get(server, "limit=500", 1)
    assert (listed["kind"], listed["metadata"]) == ("ReplicaSetList", {"resourceVersion": "20"})
    assert [item["metadata"]["resourceVersion"] for item in listed["items"]] == [
        str(version) for version in range(1, 21)
    ]
    assert {item["metadata"]["namespace"] for item in listed["items"]} == {NAMESPACE}


def test_a_streaming_list_ends_by_a_bookmark_and_goes_on_with_the_changes(
    server: ReplayServer,
) -> None:
    events = get(server, "watch=true&sendInitialEvents=true", 171)
    assert [event["type"] for event in events] == [
        *["ADDED"] * 20,
        "BOOKMARK",
        *["MODIFIED"] * 150,
    ]
    bookmark = events[20]["object"]["metadata"]
    assert bookmark["annotations"] == {"k8s.io/initial-events-end": "true"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == [*range(1, 21), 20, *range(21, 171)]


def test_a_plain_watch_has_the_changes_alone(server: ReplayServer) -> None:
    events = get(server, "watch=True&resourceVersion=20", 150)
    assert {event["type"] for event in events} == {"MODIFIED"}
    names = [event["object"]["metadata"]["name"] for event in events]
    assert names[:20] == names[20:40]
    assert len(set(names)) == 20


def test_the_stream_stays_open_until_the_client_leaves(server: ReplayServer) -> None:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    with closing(connection), ask(connection, "watch=true") as answer:
        for _ in range(150):
            answer.readline()
        assert is_answering()
    eventually(lambda: not is_answering())


def is_answering() -> bool:
    return any("process_request" in thread.name for thread in threading.enumerate())
