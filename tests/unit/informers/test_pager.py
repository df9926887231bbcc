"""Lists in pages: what is asked for, and what is made of the answers."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from informers.errors import ApiError, ConnectionFailed
from informers.listwatch import Query
from informers.pager import ListResult, list_all
from informers.store import Object
from tests.support.listerwatcher import config_map, listed

A, B, C = config_map("a"), config_map("b"), config_map("c")
EXPIRED = ApiError(410, "Expired", "the continue token is too old")
Page = dict[str, Any] | Exception


def same(obj: Object) -> Object:
    return obj


class Script:
    """Gives `pages` in order and remembers what was asked."""

    def __init__(self, *pages: Page) -> None:
        self._left = iter(pages)
        self.asked: list[Query] = []

    def __call__(self, query: Query) -> dict[str, Any]:
        self.asked.append(query)
        page = next(self._left)
        if isinstance(page, Exception):
            raise page
        return page


def test_a_single_page_is_the_list() -> None:
    script = Script(listed(7, A, B))
    assert list_all(script, "5", 0, same) == ListResult([A, B], "7", paginated=False)
    assert script.asked == [{"resourceVersion": "5", "limit": 0}]


def test_the_version_is_asked_of_the_first_page_and_taken_from_it() -> None:
    script = Script(listed(7, A, token="t1"), listed(8, B, token="t2"), listed(9, C))
    assert list_all(script, "0", 1, same) == ListResult([A, B, C], "7", paginated=True)
    assert script.asked == [
        {"resourceVersion": "0", "limit": 1},
        {"limit": 1, "continue": "t1"},
        {"limit": 1, "continue": "t2"},
    ]


def test_a_token_that_expires_leads_to_one_piece_at_the_same_version() -> None:
    script = Script(listed(7, A, token="t1"), EXPIRED, listed(9, B, C))
    assert list_all(script, "5", 1, same) == ListResult([B, C], "9", paginated=True)
    assert script.asked[2] == {"resourceVersion": "5"}


@pytest.mark.parametrize(
    ("pages", "error"),
    [
        ([EXPIRED], EXPIRED),
        ([listed(7, A, token="t"), busy := ApiError(429, "TooManyRequests", "busy")], busy),
        ([listed(7, A, token="t"), EXPIRED, gone := ApiError(410, "Gone", "again")], gone),
    ],
    ids=["at once", "on the way", "twice"],
)
def test_other_failures_are_the_callers(pages: list[Page], error: Exception) -> None:
    script = Script(*pages)
    with pytest.raises(ApiError) as caught:
        list_all(script, "5", 1, same)
    assert caught.value is error
    assert len(script.asked) == len(pages)


def test_a_list_of_nothing_may_be_null() -> None:
    script = Script({"metadata": {"resourceVersion": "7"}, "items": None})
    assert list_all(script, "", 500, same) == ListResult([], "7", paginated=False)


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "Status", "status": "Success"},
        {"metadata": {"resourceVersion": "7"}},
        {"metadata": {}, "items": []},
        {"metadata": None, "items": []},
    ],
)
@pytest.mark.parametrize("before", [[], [listed(7, A, token="t")]], ids=["first", "second"])
def test_what_is_no_list_is_not_taken_for_an_empty_one(
    before: list[Page], answer: dict[str, Any]
) -> None:
    with pytest.raises(ConnectionFailed, match="not a list of objects"):
        list_all(Script(*before, answer), "", 1, same)


def serve(
    names: list[str], expires_at: int | None, later: list[str]
) -> Callable[[Query], dict[str, Any]]:
    """A server of `names` whose tokens expire at that position, when it has `later` instead."""

    def list_page(query: Query) -> dict[str, Any]:
        limit, start = int(query.get("limit") or 0), int(query.get("continue") or 0)
        if start and expires_at is not None and start >= expires_at:
            raise EXPIRED
        if not limit:
            return listed(2, *map(config_map, later))
        page = [config_map(name) for name in names[start : start + limit]]
        more = {"token": str(start + limit)} if start + limit < len(names) else {}
        return listed(1, *page, **more)

    return list_page


@given(
    names=st.lists(st.text("abc", min_size=1), unique=True),
    limit=st.integers(1, 4),
    expires_at=st.none() | st.integers(1, 8),
    later=st.lists(st.text("xyz", min_size=1), unique=True),
)
def test_the_result_is_one_state_of_the_server_and_each_object_is_prepared(
    names: list[str], limit: int, expires_at: int | None, later: list[str]
) -> None:
    result = list_all(
        serve(names, expires_at, later), "0", limit, lambda obj: {**obj, "prepared": True}
    )
    assert all(obj.pop("prepared") for obj in result.objects)
    states = {"1": names, "2": later}
    assert [obj["metadata"]["name"] for obj in result.objects] == states[result.resource_version]
    assert result.paginated == (limit < len(names))
    fell_back = expires_at is not None and any(
        start >= expires_at for start in range(limit, len(names), limit)
    )
    assert (result.resource_version == "2") == fell_back
