"""What is wrong for a while, told when it begins and not at every look."""

import structlog

_log = structlog.get_logger(__name__)


class Trouble:
    """One thing that can go wrong, logged as `event` with `about`. Not thread safe."""

    def __init__(self, event: str, **about: object) -> None:
        self._event = event
        self._about = about
        self._told: str | None = None

    def tell(self, problem: str | None, **about: object) -> None:
        """Say what is wrong now, or None; a warning follows unless it was the same before."""
        if problem is not None and problem != self._told:
            _log.warning(self._event, problem=problem, **self._about, **about)
        self._told = problem
