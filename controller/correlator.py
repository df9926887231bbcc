"""Which events are worth a request, and which are only counted: client-go's rules, in its order.

Similar ones become one event, a repetition counts on the event that is there, and of one object
no more come through than a bucket of tokens has. The figures are those of client-go's
tools/record.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from controller.events import Event

_SIMILAR: Final = 10
"""So many messages for one reason make the last of them one of a group."""
_GAP: Final = timedelta(seconds=600)
"""Without another one for so long a group begins anew."""
_COMBINED: Final = "(combined from similar events): "
_BURST: Final = 25
"""Events of one type about an object that are sent at once."""
_REFILL: Final = timedelta(seconds=300)
"""Until one more may be."""
_REMEMBERED: Final = 4096
"""Groups, events and buckets."""

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Posting:
    """An `event` of the moment `at` to send: the `count` of the one that is called `name`.

    It is to be a new one if that is ''.
    """

    key: Hashable
    event: Event
    name: str
    count: int
    at: datetime


@dataclass(slots=True)
class _Group:
    messages: set[str]
    last: datetime


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: datetime


class _Recent(OrderedDict[Hashable, _V], Generic[_V]):
    """As many values as are remembered, those used last."""

    def keep(self, key: Hashable, value: _V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True)
class Correlator:
    """Knows what was sent about objects, by uid; for one thread."""

    _groups: _Recent[_Group] = field(default_factory=_Recent)
    _sent: _Recent[tuple[str, int]] = field(default_factory=_Recent)
    _buckets: _Recent[_Bucket] = field(default_factory=_Recent)

    def correlate(self, uid: str, event: Event, now: datetime) -> Posting | None:
        """Return what to send for an event about an object; None if that is nothing.

        Also what is not sent is counted.
        """
        key: Hashable = (uid, event)
        if self._is_one_of_many(uid, event, now):
            key = (uid, event.type, event.reason)
            event = replace(event, message=_COMBINED + event.message)
        name, count = self._sent.get(key, ("", 0))
        self._sent.keep(key, (name, count + 1))
        if not self._takes_token((uid, event.type), now):
            return None
        return Posting(key, event, name, count + 1, now)

    def sent(self, posting: Posting, name: str) -> None:
        """Note that there is an event of this name now for what was posted."""
        self._sent.keep(posting.key, (name, posting.count))

    def _is_one_of_many(self, uid: str, event: Event, now: datetime) -> bool:
        key = (uid, event.type, event.reason)
        group = self._groups.get(key)
        if group is None or now - group.last > _GAP:
            group = _Group(set(), now)
        group.messages.add(event.message)
        group.last = now
        self._groups.keep(key, group)
        if len(group.messages) < _SIMILAR:
            return False
        # One less, and the next new one makes it as many again.
        group.messages.pop()
        return True

    def _takes_token(self, key: Hashable, now: datetime) -> bool:
        bucket = self._buckets.get(key) or _Bucket(_BURST, now)
        passed = max(timedelta(0), now - bucket.filled)
        bucket.tokens = min(float(_BURST), bucket.tokens + passed / _REFILL)
        bucket.filled = now
        self._buckets.keep(key, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
