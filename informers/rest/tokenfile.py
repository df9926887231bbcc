"""A bearer token that somebody else keeps fresh in a file, as the kubelet does for pods."""

from pathlib import Path

import structlog

from informers.errors import ConfigError
from informers.rest.trouble import Trouble

REREAD_AFTER = 50.0
"""Seconds for which what a file said is taken as true: client-go's minute less its leeway of 10 s.
The kubelet has a new token there when a fifth of the old one's life is left."""

_log = structlog.get_logger(__name__)


class TokenFile:
    """The token in `path`; `inline` counts while the file cannot be read. Not thread safe."""

    def __init__(self, path: Path, inline: str = "") -> None:
        """Raises `ConfigError` if there is no token at all."""
        self._path = path
        self._token = inline.strip()
        self._read_at: float | None = None
        self._trouble = Trouble("token_file_unusable", path=str(path))
        problem = self._read()
        if problem and not self._token:
            raise ConfigError(f"token file {path}: {problem}")
        self._trouble.tell(problem)

    def token(self, now: float) -> str:
        """The token, read again if that is long ago; `now` is monotonic time."""
        if self._read_at is None or now - self._read_at >= REREAD_AFTER:
            self.reread(now)
        return self._token

    def reread(self, now: float) -> None:
        """Read the file now; what it said before stays if it says nothing of use."""
        self._read_at = now
        before = self._token
        self._trouble.tell(self._read())
        if self._token != before:
            _log.info("token_file_renewed", path=str(self._path))

    def _read(self) -> str | None:
        """Take over what the file says, or say what is wrong with it."""
        try:
            words = self._path.read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            return getattr(error, "strerror", None) or "not text"
        if len(words) != 1:
            # More than one word would break the header that it goes into.
            return "more than one word" if words else "empty"
        self._token = words[0]
        return None
