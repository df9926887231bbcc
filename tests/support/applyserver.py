"""Objects of other namespaces in memory, with server-side apply as far as consumers need it.

The rules were read off a real server, by tests/integration/consumers.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from informers import APPLY_PATCH, ApiError, Client, Resource
from tests.support.clock import FakeClock

Json = dict[str, Any]
_Key = tuple[Resource, str | None, str]
_Path = tuple[str, ...]

_FIRST: Final = 100
_BEGAN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class ApplyServer:
    """Takes the calls of `Client`; `calls` names those that came, failed ones included."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}
        """What calls fail with, by their name as `calls` has it, until taken out again."""
        self.before_apply: list[Callable[[], object]] = []
        """What others do just before the next applies, one each."""
        self.webhook: Callable[[Json], object] = lambda _: None
        """What the cluster makes of what is applied."""
        self.takes: float = 0.0
        """Seconds that each call takes."""
        self._clock = clock
        self._objects: dict[_Key, Json] = {}
        self._revision = _FIRST

    @property
    def client(self) -> Client:
        return cast("Client", self)

    # What a test and others do.

    def put(self, resource: Resource, obj: Mapping[str, Any], by: str = "kubectl") -> Json:
        """Store `obj` as somebody's creation or update, who then owns what differs from before."""
        meta = obj["metadata"]
        key = (resource, meta.get("namespace"), meta["name"])
        before = self._objects.get(key, {"metadata": {}})
        after = deepcopy(dict(obj))
        changed = {
            path for path, value in _leaves(after) if dict(_leaves(before)).get(path) != value
        }
        gone = {path for path, _ in _leaves(before)} - {path for path, _ in _leaves(after)}
        owners = {
            who: paths - changed - gone for who, paths in _owners(before).items() if who[0] != by
        }
        mine = (by, "Update")
        owners[mine] = (_owners(before).get(mine, set()) - gone) | changed
        return self._store(key, after, owners)

    def edit(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Json], object]
    ) -> Json:
        """Let somebody change an object in place."""
        obj = self.peek(resource, namespace, name)
        change(obj)
        return self.put(resource, obj, by="kubectl-edit")

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        del self._objects[resource, namespace, name]

    def peek(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return a copy of the object; `KeyError` if there is none."""
        return deepcopy(self._objects[resource, namespace, name])

    def has(self, resource: Resource, namespace: str, name: str) -> bool:
        return (resource, namespace, name) in self._objects

    # What the controller calls.

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        self._record("get", resource, namespace, name)
        obj = self._objects.get((resource, namespace, name))
        if obj is None:
            raise _error(404, "NotFound", resource, name)
        return deepcopy(obj)

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Json,
        *,
        namespace: str | None = None,
        content_type: str = "",
        query: Mapping[str, Any] | None = None,
    ) -> Json:
        self._record("patch", resource, namespace, name)
        key = (resource, namespace, name)
        if content_type != APPLY_PATCH:
            obj = self._objects[key]
            obj["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
            if template := body.get("spec", {}).get("template"):
                meta = obj["spec"]["template"]["metadata"]
                meta.setdefault("annotations", {}).update(template["metadata"]["annotations"])
            return obj
        for act in self.before_apply[:1]:
            self.before_apply.remove(act)
            act()
        query = query or {}
        assert query["force"] is True
        return self._apply(key, body, query["fieldManager"])

    def _apply(self, key: _Key, body: Json, manager: str) -> Json:
        before = self._objects.get(key)
        self._guard(key, body["metadata"], before)
        after = deepcopy(before) if before else {**deepcopy(body), "metadata": {}, "data": {}}
        after["metadata"] |= {"name": key[2], "namespace": key[1]}
        owners = _owners(before or {"metadata": {}})
        mine = (manager, "Apply")
        wanted = dict(_leaves(body))
        others = {path for who, paths in owners.items() if who != mine for path in paths}
        for path in owners.get(mine, set()) - wanted.keys() - others:
            _set(after, path, None)
        there = dict(_leaves(after))
        for path, value in wanted.items():
            if there.get(path) != value:
                owners = {who: paths - {path} for who, paths in owners.items()}
                _set(after, path, value)
        owners[mine] = set(wanted)
        self.webhook(after)
        if (
            before is not None
            and owners == _owners(before)
            and [*_leaves(after)] == [*_leaves(before)]
        ):
            return deepcopy(before)
        return self._store(key, after, owners)

    def _guard(self, key: _Key, metadata: Json, before: Json | None) -> None:
        if before is None:
            if "uid" in metadata:
                raise _error(409, "Conflict", key[0], key[2])
            return
        for name in ("uid", "resourceVersion"):
            if metadata.get(name, before["metadata"][name]) != before["metadata"][name]:
                raise _error(409, "Conflict", key[0], key[2])
        if before.get("immutable"):
            raise AssertionError("an immutable object was written to")

    def _store(self, key: _Key, obj: Json, owners: dict[tuple[str, str], set[_Path]]) -> Json:
        self._revision += 1
        before = self._objects.get(key, {"metadata": {}})
        meta = {
            "uid": f"uid-{self._revision}",
            "creationTimestamp": self._now(),
            **obj["metadata"],
            "resourceVersion": str(self._revision),
            "managedFields": [
                {
                    "manager": who[0],
                    "operation": who[1],
                    "time": self._time(before, obj, who, paths),
                    "fieldsV1": _fields(paths),
                }
                for who, paths in sorted(owners.items())
                if paths
            ],
        }
        self._objects[key] = {"kind": key[0].kind, **obj, "metadata": meta}
        return deepcopy(self._objects[key])

    def _time(self, before: Json, after: Json, who: tuple[str, str], paths: set[_Path]) -> str:
        """Return when a manager last changed what it owns: fields, or their values."""
        old, new = dict(_leaves(before)), dict(_leaves(after))
        same = all(old.get(path) == new.get(path) for path in paths)
        entries = before["metadata"].get("managedFields", [])
        times = [e["time"] for e in entries if (e["manager"], e["operation"]) == who]
        if times and same and paths == _owners(before)[who]:
            return str(times[0])
        return self._now()

    def _now(self) -> str:
        seconds = self._clock.monotonic() if self._clock else 0.0
        return f"{_BEGAN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"

    def _record(self, verb: str, resource: Resource, namespace: str | None, name: str) -> None:
        if self._clock:
            self._clock.step(self.takes)
        call = f"{verb} {resource.kind} {namespace}/{name}" if namespace else f"{verb} {name}"
        self.calls.append(call)
        if failure := self.failures.get(call):
            raise failure


def _leaves(obj: Mapping[str, Any]) -> Iterator[tuple[_Path, Any]]:
    meta = obj["metadata"]
    yield from ((("data", key), value) for key, value in (obj.get("data") or {}).items())
    for name, value in (meta.get("annotations") or {}).items():
        yield ("metadata", "annotations", name), value
    for owner in meta.get("ownerReferences") or []:
        yield ("metadata", "ownerReferences", owner["uid"]), owner


def _set(obj: Json, path: _Path, value: Any) -> None:
    if path[:-1] == ("metadata", "ownerReferences"):
        kept = [o for o in obj["metadata"].get("ownerReferences", []) if o["uid"] != path[-1]]
        obj["metadata"]["ownerReferences"] = [*kept, *([value] if value else [])]
        return
    for step in path[:-1]:
        obj = obj.setdefault(step, {})
    if value is None:
        obj.pop(path[-1], None)
    else:
        obj[path[-1]] = value


def _owners(obj: Mapping[str, Any]) -> dict[tuple[str, str], set[_Path]]:
    return {
        (entry["manager"], entry["operation"]): set(_paths(entry["fieldsV1"]))
        for entry in obj["metadata"].get("managedFields", [])
    }


def _paths(fields: Json) -> Iterator[_Path]:
    yield from (("data", key[2:]) for key in fields.get("f:data", {}))
    meta = fields.get("f:metadata", {})
    for key in meta.get("f:annotations", {}):
        yield "metadata", "annotations", key[2:]
    for key in meta.get("f:ownerReferences", {}):
        yield "metadata", "ownerReferences", key.removeprefix('k:{"uid":"').removesuffix('"}')


def _fields(paths: set[_Path]) -> Json:
    fields: Json = {}
    for path in paths:
        inner = fields
        for step in path[:-1]:
            inner = inner.setdefault(f"f:{step}", {})
        owner = path[:-1] == ("metadata", "ownerReferences")
        inner[f'k:{{"uid":"{path[-1]}"}}' if owner else f"f:{path[-1]}"] = {}
    return fields


def _error(code: int, reason: str, resource: Resource, name: str) -> ApiError:
    details = {"name": name, "kind": resource.plural}
    return ApiError(code, reason, f'{resource.plural} "{name}": {reason}', details=details)
