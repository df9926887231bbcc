"""Attacks by certificates that are not the tenant's."""

from tests.attack.scene import Scene, works
from tests.support.etcdrpc import Connection, Endpoint


def strangers(scene: Scene) -> None:
    """Another tenant's, none, the core's, an expired one: none of them is let in."""
    works(scene.tenant, scene.schema, scene.key(b"k"))
    message = scene.make("RangeRequest", key=scene.key(b"k"))
    for name, endpoint in scene.strangers.items():
        assert not lets_in(endpoint, message), name


def lets_in(endpoint: Endpoint, message: bytes) -> bool:
    """Whether a RangeRequest is answered there at all."""
    # TLS 1.3 tells a client that it is refused only after the handshake.
    try:
        with Connection(endpoint) as connection:
            connection.call("/etcdserverpb.KV/Range", message)
    except TimeoutError:
        raise
    except OSError:
        return False
    return True
