"""Certificates: an authority and what it signs. The only place that knows cryptography.

Of a storage's TLS: `rotation` decides on its authority, `trust` is that one with those before it,
`trustsecret` their Secret, and `leaves` are the pairs that it signs. Towards the core: `coreuser`
is a storage's pair there, `coreetcd` makes the certificates of artifacts/etcd. Below all that:
`authority` signs, `lifetime` counts, `pem` reads what is ours, and `pairs` what is others'.
"""

from controller.pki.authority import CLIENT, SERVER, Authority, Leaf, Pair

__all__ = ["CLIENT", "SERVER", "Authority", "Leaf", "Pair"]
