"""Whether the program is well, for the kubelet and whoever wonders: named checks behind pages.

`/livez` fails when only a new start can help, `/readyz` while the program does not do its work
yet; `/healthz` is the older name of `/livez`. As with Kubernetes' own servers `?verbose` lists
the checks and `?exclude=NAME` leaves some out; a failure always lists them, with what is wrong.
"""

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog

from controller.httpserver import Page, Pages, Request

Check = Callable[[], str | None]
"""Says what is wrong in a few words, which anybody may read, or None. For any thread; soon."""

_TEXT: Final = "text/plain; charset=utf-8"

_log = structlog.get_logger("controller.health")


class Checks:
    """The checks behind one page; they may be added at any time and by any thread."""

    def __init__(self, name: str) -> None:
        """`name` is that of the page, for its last line and for the log."""
        self._name = name
        self._lock = threading.Lock()
        self._checks: dict[str, Check] = {}
        self._failing: frozenset[str] = frozenset()

    def add(self, checks: Mapping[str, Check]) -> None:
        """Ask these as well from now on."""
        with self._lock:
            self._checks.update(checks)

    def page(self, request: Request) -> Page:
        """Ask every check that is not excluded; 200 if all is well and 503 if not."""
        with self._lock:
            checks = dict(self._checks)
        excluded = frozenset(request.query.get("exclude", ()))
        found = {name: ask(check) for name, check in checks.items() if name not in excluded}
        failed = {name: why for name, why in found.items() if why}
        if not excluded:
            self._tell(failed)
        if not failed and "verbose" not in request.query:
            return Page(_TEXT, b"ok")
        code = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
        return Page(_TEXT, listing(self._name, found, excluded & checks.keys()).encode(), code)

    def _tell(self, failed: Mapping[str, str]) -> None:
        """Log what begins to fail, and that all is well again: not every look at it."""
        with self._lock:
            before, self._failing = self._failing, frozenset(failed)
        if self._failing - before:
            _log.warning("unhealthy", page=self._name, checks=dict(failed))
        elif before and not failed:
            _log.info("healthy_again", page=self._name)


class Probes:
    """The pages: what is alive, and what is ready."""

    def __init__(self) -> None:
        self.live = Checks("livez")
        self.ready = Checks("readyz")

    def pages(self) -> Pages:
        """Return them by path."""
        live, ready = self.live.page, self.ready.page
        return {"/healthz": live, "/livez": live, "/readyz": ready}


def ask(check: Check) -> str | None:
    """Return what is wrong; a check that breaks is a failure of what it looks at."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are asked too
        return f"the check broke: {type(error).__name__}"


def listing(name: str, found: Mapping[str, str | None], excluded: frozenset[str]) -> str:
    """Return a line for each check and one for all, in the words of Kubernetes' servers."""
    lines = [
        f"[-]{check} failed: {why}" if why else f"[+]{check} ok" for check, why in found.items()
    ]
    lines += [f"[+]{check} excluded: ok" for check in sorted(excluded)]
    verdict = "failed" if any(found.values()) else "passed"
    return "\n".join([*lines, f"{name} check {verdict}", ""])
