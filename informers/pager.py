"""A list in pages, put together again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from informers.errors import ConnectionFailed, is_expired
from informers.events import Transform
from informers.listwatch import Query
from informers.store import Objects, resource_version

PAGE_SIZE = 500
"""Objects per page, as in client-go."""


@dataclass(frozen=True, slots=True)
class ListResult:
    """All objects as of `resource_version`; `paginated` if the server did give it in pages."""

    objects: Objects
    resource_version: str
    paginated: bool


def list_all(
    list_page: Callable[[Query], dict[str, Any]], version: str, limit: int, prepare: Transform
) -> ListResult:
    """List at `version`, in pages of `limit`, 0 for a single one. Each object goes by `prepare`.

    The version belongs to the first page, the others follow its continue token. When that has
    expired on the way, everything is listed once more in one piece. Raises what `list_page` and
    `prepare` do, and `ConnectionFailed` if an answer is no list.
    """
    query: Query = {"resourceVersion": version, "limit": limit}
    page = list_page(query)
    objects = _items(page, prepare)
    first = resource_version(page)
    paginated = False
    while token := (page.get("metadata") or {}).get("continue"):
        paginated = True
        try:
            page = list_page({"limit": limit, "continue": token})
        except Exception as error:
            if not is_expired(error):
                raise
            page = list_page({"resourceVersion": version})
            return ListResult(_items(page, prepare), resource_version(page), paginated)
        objects += _items(page, prepare)
    return ListResult(objects, first, paginated)


def _items(page: dict[str, Any], prepare: Transform) -> Objects:
    # What some proxy answers instead must not count as "nothing exists".
    if "items" not in page or not resource_version(page):
        raise ConnectionFailed("API server", "the answer is not a list of objects")
    return [prepare(item) for item in page["items"] or []]
