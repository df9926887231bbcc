"""Whether the API server's clock and ours agree: certificates count by both."""

from datetime import datetime, timedelta
from typing import Final

from controller.inspection.finding import Finding, Level

CHECK: Final = "clock"

WARNED: Final = timedelta(minutes=1)
FAILED: Final = timedelta(hours=24)
"""Our certificates begin 25 hours before they are made, for clocks that are wrong by a day."""


def finding(server: datetime | None, ours: datetime) -> Finding:
    """Compare them; `server` None: the server told no time."""
    if server is None:
        todo = "compare the clocks of the nodes and of this machine by hand"
        return Finding(Level.UNKNOWN, CHECK, "the API server's answers have no Date", todo)
    apart = abs(server - ours)
    if apart < WARNED:
        return Finding(Level.OK, CHECK, "this machine's and the API server's agree")
    which = "behind" if ours < server else "ahead of"
    span = timedelta(seconds=int(apart.total_seconds()))
    what = f"this machine's is {span} {which} the API server's"
    level = Level.FAIL if apart >= FAILED else Level.WARN
    return Finding(level, CHECK, what, "set the one right that is wrong, by NTP")
