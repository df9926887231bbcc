"""Loopback ports that stay free."""

import random
import socket
from collections.abc import Sequence

from hack.cluster.errors import ClusterError

# Below the range that Linux gives to outgoing connections (32768 and up) and below node ports
# (30000 and up): a server that goes away for a while finds its port free when it comes back.
CANDIDATES = range(20000, 30000)


class NoFreePortError(ClusterError):
    """Hardly any candidate is free."""


def free(count: int, candidates: Sequence[int] = CANDIDATES) -> list[int]:
    """Return `count` different ports on which nobody listens, drawn by chance."""
    found: list[int] = []
    for port in random.sample(candidates, len(candidates)):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    if len(found) < count:
        raise NoFreePortError(f"fewer than {count} of {len(candidates)} ports are free")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: connections that were closed just now do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # All addresses at once: loopback has more than one that a server may listen on.
            probe.bind(("", port))
        except OSError:
            return False
        return True
