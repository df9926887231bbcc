"""Who we are in the server's audit log."""

import platform
import sys
from importlib import metadata

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Go's names for what the kernel calls otherwise."""


def user_agent(command: str, version: str) -> str:
    """client-go's form, with the version of the `kubernetes` package for that library's commit."""
    machine = platform.machine().lower()
    system = f"{sys.platform}/{_ARCHITECTURES.get(machine, machine)}"
    return f"{command}/{version} ({system}) kubernetes/{metadata.version('kubernetes')}"
