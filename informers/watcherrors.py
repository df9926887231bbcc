"""What is said when an attempt to list and watch fails, and when that is over."""

from collections.abc import Callable

import structlog

from informers.errors import ApiError, ConnectionFailed, is_expired
from informers.resource import Resource

_log = structlog.get_logger(__name__)

WatchErrorHandler = Callable[[Resource, Exception | None], None]
"""Told of each failed attempt, and of None once a watch stands again after such.

On the informer's thread; must return soon.
"""


def log_watch_error(resource: Resource, error: Exception | None) -> None:
    """The default handler: one line, loud according to what it takes to mend it."""
    if error is None:
        _log.debug("watching_again", resource=resource.group_resource)
        return
    about = {"resource": resource.group_resource, "error": str(error)}
    if is_expired(error):
        _log.debug("list_and_watch_expired", **about)
    elif isinstance(error, (ApiError, ConnectionFailed)):
        _log.warning("list_and_watch_failed", **about)
    else:
        _log.error("list_and_watch_failed", **about, exc_info=error)
