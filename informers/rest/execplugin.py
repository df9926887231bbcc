"""Exec plugins of kubeconfigs, as the `kubernetes` package runs them.

The package logs what is wrong with one, in a line of its own beside ours, and goes on without
credentials. Here it is an error that says what to do.
"""

import contextlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubernetes.config.kube_config import KubeConfigLoader

from informers.errors import ConfigError

_ENDED = re.compile(r"exec: process returned (-?\d+)(?:\. (.*))?", re.DOTALL)
_SHOWN = 200
"""Characters of what a plugin says."""


class PluginLoader(KubeConfigLoader):
    """Raises `ConfigError` where a plugin gives no credentials, also when it is asked again."""

    _user: Any

    def _load_from_exec_plugin(self) -> bool | None:
        with _overhearing() as heard:
            loaded: bool | None = super()._load_from_exec_plugin()  # type: ignore[no-untyped-call]
        if not loaded and "exec" in self._user:
            plugin = self._user["exec"]
            failure = heard[-1] if heard else _Failure("", None)
            # Its arguments may hold a secret.
            why = failure.told(_line(plugin.safe_get("installHint") or ""))
            raise ConfigError(f"the exec plugin {plugin['command']} gave no credentials: {why}")
        return loaded


@dataclass(frozen=True, slots=True)
class _Failure:
    """What the package has to say, and what it met, if anything."""

    text: str
    error: BaseException | None

    def told(self, hint: str) -> str:
        """Say what went wrong, and what to do about it; `hint` is the kubeconfig's own."""
        if isinstance(self.error, OSError):
            todo = hint or "install it, or mend users[].user.exec.command"
            return f"it cannot be run ({self.error.strerror}); {todo}"
        code, said = self._end()
        if code is not None:
            said = f" ({_line(said)})" if said else ""
            return f"it ended with exit code {code}{said}; run it by itself until it works"
        return (
            f"it gave no ExecCredential that can be used ({_line(self.text)}); see"
            " whether users[].user.exec has the arguments and the apiVersion that it takes"
        )

    def _end(self) -> tuple[int | None, str]:
        """Return the exit code, if it is why there are no credentials, and what was said."""
        if found := _ENDED.fullmatch(self.text):
            return int(found[1]), found[2] or ""
        # Whose stderr is the terminal: the package stumbles there over what it has not read.
        trace = traceback.walk_tb(self.error.__traceback__) if self.error else ()
        codes = [frame.f_locals.get("exit_code") for frame, _ in trace]
        return next((code for code in codes if code), None), ""


def _line(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]


@contextlib.contextmanager
def _overhearing() -> Iterator[list[_Failure]]:
    """Take from the log what the package writes there in this thread."""
    heard: list[_Failure] = []
    thread = threading.get_ident()

    def take(record: logging.LogRecord) -> bool:
        if record.module != "kube_config" or record.thread != thread:
            return True
        heard.append(_Failure(record.getMessage(), sys.exc_info()[1]))
        return False

    root = logging.getLogger()
    root.addFilter(take)
    try:
        yield heard
    finally:
        root.removeFilter(take)
