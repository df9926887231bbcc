"""Where the programs of the data plane are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from hack.cluster import binaries, components

Programs: TypeAlias = Mapping[str, Path]
"""Path by name, at least of `components.DATA_PLANE`."""


def ensure(etcd: str = "etcd") -> Programs:
    """Return them, building or fetching what is missing; raises as `binaries.ensure` does.

    `etcd`, of `components.CORES`, is the one that goes by that name.
    """
    newest = binaries.ensure(*components.DATA_PLANE, "sample-apiserver")
    return {**newest, "etcd": binaries.ensure(etcd)[etcd]}
