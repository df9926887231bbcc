"""The real etcdctl, against any endpoint."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.command import run

_TIMES = ("--dial-timeout=30s", "--command-timeout=60s")
"""Its own, two seconds and five, are for people: a busy machine may need more."""


@dataclass(frozen=True, slots=True)
class Etcdctl:
    """How to reach one endpoint, and as whom."""

    program: Path
    endpoint: str
    """Or several, comma separated."""
    tls: tuple[str, ...] = ()
    """The flags `--cacert`, `--cert` and `--key`."""

    def run(self, *arguments: str) -> str:
        """Return what it printed; raises CommandError with etcd's message."""
        argv: list[str | Path] = [
            self.program,
            f"--endpoints={self.endpoint}",
            *_TIMES,
            *self.tls,
            *arguments,
        ]
        return run(argv).decode()

    def json(self, *arguments: str) -> Any:
        """Return the answer as data, bytes in base64."""
        return json.loads(self.run(*arguments, "--write-out=json"))
