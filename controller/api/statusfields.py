"""What of a status can be read: it is ours to write, but not ours alone.

Where an older CRD had no schema, or no status subresource, whoever may make an EtcdStorage may
have put anything there. Such a field counts as unset, until it is written.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

from controller.api.times import read_time


def readable(status: object) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the status as far as it can be read, and the names of the fields that cannot."""
    if not isinstance(status, Mapping):
        return {}, ()
    bad = tuple(name for name, fits in _SHAPES.items() if status.get(name) and not fits(status))
    return {name: value for name, value in status.items() if name not in bad}, bad


def _are_conditions(status: Mapping[str, Any]) -> bool:
    found = status["conditions"]
    return isinstance(found, list) and all(map(_is_flat, found))


def _are_certificates(status: Mapping[str, Any]) -> bool:
    found = status["certificates"]
    if not isinstance(found, Mapping):
        return False
    clients = found.get("clients") or []
    if not isinstance(clients, list):
        return False
    named = all(_is_flat(client) and {"namespace", "name"} <= client.keys() for client in clients)
    kinds = [found.get(kind) or {} for kind in ("signing", "serving")]
    return named and all(map(_is_certificate, [*clients, *kinds]))


def _is_certificate(value: object) -> bool:
    return _is_flat(value) and all(
        isinstance(told, str) and ("otAfter" not in name or read_time(told) is not None)
        for name, told in value.items()
    )


def _is_flat(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is an object of single values, as each of ours is."""
    return isinstance(value, Mapping) and not any(
        isinstance(inner, Mapping | list) for inner in value.values()
    )


_SHAPES: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "conditions": _are_conditions,
    "certificates": _are_certificates,
    "usage": lambda status: _is_flat(status["usage"]),
    "readyReplicas": lambda status: type(status["readyReplicas"]) is int,
}
