"""The core etcd, as the pods reach it, and whether its credentials are there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.api.conditions import Problem
from controller.secretdata import absent

CA_KEY: Final = "ca.pem"
CERT_KEY: Final = "client.pem"
KEY_KEY: Final = "client-key.pem"


@dataclass(frozen=True, slots=True)
class CoreEtcd:
    """Where the core is and which objects of our namespace hold what is needed to reach it."""

    urls: tuple[str, ...]
    ca_config_map: str
    certs_secret: str

    @property
    def tls(self) -> bool:
        """Whether the core is reached by TLS; the options refuse a mixture."""
        return self.urls[0].startswith("https://")


@dataclass(frozen=True, slots=True)
class UserSecrets:
    """The Secrets of our namespace by which storages get users of their own in the core.

    `root` holds a pair of etcd's user of that name, under the keys of the shared pair, and
    `client_ca` an authority that the core trusts for its clients: ca.pem and ca-key.pem.
    """

    root: str
    client_ca: str


def core_problem(
    core: CoreEtcd,
    config_map: Mapping[str, Any] | None,
    secret: Mapping[str, Any] | None,
    *,
    users: bool,
) -> Problem | None:
    """Check the objects that hold the core's CA and our client pair; None if all is there.

    With `users` the pair is not asked for: each storage has one of its own.
    """
    if not core.tls:
        return None
    if config_map is None:
        return Problem("CoreCAMissing", _missing("ConfigMap", core.ca_config_map, CA_KEY))
    if not (config_map.get("data") or {}).get(CA_KEY, "").strip():
        return Problem(
            "CoreCAMissing", f"ConfigMap {core.ca_config_map} has no key {CA_KEY}, or it is empty"
        )
    return None if users else _pair_problem(core, secret)


def _pair_problem(core: CoreEtcd, secret: Mapping[str, Any] | None) -> Problem | None:
    if secret is None:
        keys = f"{CERT_KEY} and {KEY_KEY}"
        return Problem("CoreCertsMissing", _missing("Secret", core.certs_secret, keys))
    if missing := absent(secret.get("data"), (CERT_KEY, KEY_KEY)):
        keys = " and no key ".join(missing)
        message = f"Secret {core.certs_secret} has no key {keys}, or it is empty"
        return Problem("CoreCertsMissing", message)
    return None


def _missing(kind: str, name: str, keys: str) -> str:
    return f"{kind} {name} is missing: create it in the controller's namespace with {keys}"
