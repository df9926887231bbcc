"""The keys of a core etcd in memory."""

from bisect import bisect_left, insort


class KeyStore:
    """A `controller.core.keys.Core`, whose `keys` are sorted."""

    def __init__(self, *keys: bytes) -> None:
        self.keys = sorted(keys)
        self.failures: list[Exception | None] = []
        """A call raises what this begins with, if anything."""
        self.pages: list[int] = []
        """How many keys each page had that was read."""

    def put(self, *keys: bytes) -> None:
        for key in keys:
            if key not in self.of(key, key + b"\0"):
                insort(self.keys, key)

    def of(self, key: bytes, range_end: bytes) -> list[bytes]:
        """Return the keys of a range."""
        return self.keys[bisect_left(self.keys, key) : bisect_left(self.keys, range_end)]

    def count(self, key: bytes, range_end: bytes) -> int:
        self.fail()
        return len(self.of(key, range_end))

    def page(self, key: bytes, range_end: bytes, limit: int) -> tuple[bytes, ...]:
        self.fail()
        page = tuple(self.of(key, range_end)[:limit])
        self.pages.append(len(page))
        return page

    def delete(self, key: bytes, range_end: bytes) -> int:
        self.fail()
        first, end = bisect_left(self.keys, key), bisect_left(self.keys, range_end)
        del self.keys[first:end]
        return end - first

    def fail(self) -> None:
        """Raise the failure whose turn it is."""
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
