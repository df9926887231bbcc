"""Equal parts of objects, kept once.

Most of what the ReplicaSets of a thousand storages say is the same: so are whole containers'
probes, limits and ports. As JSON gives them each object has its own, at 200 bytes for each dict.
"""

from typing import Any, Final

import orjson

from informers.store import Object

_LONGEST: Final = 256
"""Bytes, as JSON, of a dict or list that may be shared. Larger ones have a name in them somewhere,
and are shared in parts."""

_KNOWN: Final = 512
"""Parts that are remembered when an object comes, or all are forgotten: most are of one object
alone, and those that are not come again at once."""


class Sharing:
    """What was seen last of the objects of one informer; for one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[bytes | str, Any] = {}

    def share(self, obj: Object) -> Object:
        """Put parts of earlier objects into `obj` where they are equal to its own."""
        if len(self._known) > _KNOWN:
            self._known.clear()
        self._share_within(obj)
        return obj

    def _share_within(self, part: Any) -> None:
        known = self._known
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, str):
                part[key] = known.setdefault(value, value)
            elif isinstance(value, dict | list):
                part[key] = self._shared(value)

    def _shared(self, part: Any) -> Any:
        text = orjson.dumps(part)
        if (known := self._known.get(text)) is not None:
            return known
        self._share_within(part)
        if len(text) <= _LONGEST:
            self._known[text] = part
        return part
