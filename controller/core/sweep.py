"""How far the removal of a storage's keys is: pure steps from page to page.

Each page starts after the last key of the one before, as etcd steps over every key that it has
removed since its last compaction. Whoever still writes may do so behind that, so a pass that found
anything is followed by another one; the keys are gone once a whole pass has found none. Nothing is
remembered elsewhere: a sweep that begins anew does no more than to look at what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.core.identity import key_range


@dataclass(frozen=True, slots=True)
class Sweep:
    """Where the next page begins, and what the pages before it have found."""

    first: bytes
    range_end: bytes
    start: bytes
    found: bool = False
    """Whether this pass has found a key."""
    passes: int = 0
    """That are over, and have found some."""
    done: bool = False


def begin(storage: str) -> Sweep:
    """Return the sweep of all keys of `storage`; raises ValueError if no storage is called so."""
    first, range_end = key_range(storage)
    return Sweep(first, range_end, start=first)


def removal(sweep: Sweep, page: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Return the range of the keys to remove, None if the page has none.

    Raises ValueError for a page with keys that were not asked for.
    """
    if not page:
        return None
    if not sweep.start <= min(page) <= max(page) < sweep.range_end:
        raise ValueError(f"keys outside of {sweep.first!r} were answered")
    return sweep.start, _after(page)


def advanced(sweep: Sweep, page: Sequence[bytes]) -> Sweep:
    """Return the sweep as it stands once `page` is removed."""
    if page:
        return replace(sweep, start=_after(page), found=True)
    if sweep.found:
        return replace(sweep, start=sweep.first, found=False, passes=sweep.passes + 1)
    return replace(sweep, done=True)


def _after(page: Sequence[bytes]) -> bytes:
    return max(page) + b"\0"
