"""The `data` of a Secret, as the API gives it: base64."""

import base64
from collections.abc import Iterable, Mapping


def absent(data: Mapping[str, str] | None, keys: Iterable[str]) -> list[str]:
    """Return those of `keys` under which nothing stands but blanks."""
    return [key for key in keys if not decoded(data, key).strip()]


def decoded(data: Mapping[str, str] | None, key: str) -> bytes:
    """Return what stands under `key`; b"" if nothing does, or it is no base64."""
    try:
        return base64.b64decode((data or {}).get(key) or "")
    except (ValueError, TypeError):
        return b""
