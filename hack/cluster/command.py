"""Programs that do one thing and end; what they say is shown only when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster.errors import ClusterError

_TAIL_LINES = 15


class CommandError(ClusterError):
    """A program failed; the message holds its last words."""


def run(
    argv: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> bytes:
    """Return what the program printed. `environment` is added to our own.

    Raises CommandError when it is missing or ends with another code than 0.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]}: not installed") from error
    if done.returncode:
        words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        tail = "\n".join(words[-_TAIL_LINES:])
        raise CommandError(f"{_shown(argv)} ended with code {done.returncode}:\n{tail}")
    return done.stdout


def _shown(argv: Sequence[str | Path]) -> str:
    return " ".join(map(str, argv[:6])) + (" ..." if len(argv) > 6 else "")
