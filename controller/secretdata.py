"""The `data` of a Secret, as the API gives it: base64."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_QUOTED: Final = 16
"""Characters of a Secret that a message may not repeat."""


def absent(data: Mapping[str, str] | None, keys: Iterable[str]) -> list[str]:
    """Return those of `keys` under which nothing stands but blanks."""
    return [key for key in keys if not decoded(data, key).strip()]


def decoded(data: Mapping[str, str] | None, key: str) -> bytes:
    """Return what stands under `key`; b"" if nothing does, or it is no base64."""
    try:
        return base64.b64decode((data or {}).get(key) or "")
    except (ValueError, TypeError):
        return b""


def quotes(text: str, data: Mapping[str, str]) -> bool:
    """Whether `text` repeats some of a Secret, in base64 or as it is; blanks do not matter."""
    joined = "".join(text.split())
    values = (value for key in data for value in (data[key], _plain(data, key)))
    return any(part in joined for value in values for part in _parts("".join(value.split())))


def _plain(data: Mapping[str, str], key: str) -> str:
    return decoded(data, key).decode(errors="replace")


def _parts(value: str) -> Iterator[str]:
    return (value[at : at + _QUOTED] for at in range(len(value) - _QUOTED + 1))
