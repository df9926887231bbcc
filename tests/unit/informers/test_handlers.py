"""Handlers made of functions, and filtered ones."""

from typing import Any

from informers.handlers import FilteringResourceEventHandler, ResourceEventHandlerFuncs
from informers.store import DeletedFinalStateUnknown, Object
from tests.support.listerwatcher import config_map


def test_functions_are_optional() -> None:
    seen: list[Any] = []
    handler = ResourceEventHandlerFuncs(delete=seen.append)
    handler.on_add(config_map("a"), False)
    handler.on_update(config_map("a"), config_map("a"))
    handler.on_delete(config_map("b"))
    assert seen == [config_map("b")]


class TestFilter:
    def run(self, *steps: tuple[str, Object, Object | None]) -> list[str]:
        """What a handler behind a filter on `data.keep` is told."""
        told: list[str] = []
        behind = ResourceEventHandlerFuncs(
            add=lambda _obj, initial: told.append(f"add {initial}"),
            update=lambda _old, _new: told.append("update"),
            delete=lambda _obj: told.append("delete"),
        )
        handler = FilteringResourceEventHandler(lambda obj: "keep" in obj["data"], behind)
        for verb, obj, new in steps:
            if verb == "add":
                handler.on_add(obj, True)
            elif new is not None:
                handler.on_update(obj, new)
            else:
                handler.on_delete(obj)
        return told

    IN, OUT = config_map("a", keep="1"), config_map("a")

    def test_passes_what_it_keeps(self) -> None:
        steps = ("add", self.IN, None), ("update", self.IN, self.IN), ("delete", self.IN, None)
        assert self.run(*steps) == ["add True", "update", "delete"]

    def test_hides_what_it_does_not(self) -> None:
        steps = ("add", self.OUT, None), ("update", self.OUT, self.OUT), ("delete", self.OUT, None)
        assert self.run(*steps) == []

    def test_turns_a_change_of_mind_into_add_and_delete(self) -> None:
        steps = ("update", self.OUT, self.IN), ("update", self.IN, self.OUT)
        assert self.run(*steps) == ["add False", "delete"]

    def test_looks_into_tombstones(self) -> None:
        told: list[Any] = []
        handler = FilteringResourceEventHandler(
            lambda obj: "keep" in obj["data"], ResourceEventHandlerFuncs(delete=told.append)
        )
        handler.on_delete(DeletedFinalStateUnknown("default/a", self.OUT))
        kept = DeletedFinalStateUnknown("default/a", self.IN)
        handler.on_delete(kept)
        assert told == [kept]
