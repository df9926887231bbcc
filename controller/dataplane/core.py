"""The core etcd, as the proxies reach it, and whether its credentials are there."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.api.conditions import Problem

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


def core_problem(
    core: CoreEtcd, config_map: Mapping[str, Any] | None, secret: Mapping[str, Any] | None
) -> Problem | None:
    """Check the objects that hold the core's CA and our client pair; None if all is there."""
    if not core.tls:
        return None
    if config_map is None:
        return Problem("CoreCAMissing", _missing("ConfigMap", core.ca_config_map, CA_KEY))
    if not (config_map.get("data") or {}).get(CA_KEY, "").strip():
        return Problem(
            "CoreCAMissing", f"ConfigMap {core.ca_config_map} has no key {CA_KEY}, or it is empty"
        )
    if secret is None:
        keys = f"{CERT_KEY} and {KEY_KEY}"
        return Problem("CoreCertsMissing", _missing("Secret", core.certs_secret, keys))
    absent = [key for key in (CERT_KEY, KEY_KEY) if not _decoded(secret, key).strip()]
    if absent:
        return Problem(
            "CoreCertsMissing",
            f"Secret {core.certs_secret} has no key {' and no key '.join(absent)}, or it is empty",
        )
    return None


def core_ca(config_map: Mapping[str, Any] | None) -> str:
    """Return the core's CA bundle in PEM, '' where there is none."""
    bundle: str = ((config_map or {}).get("data") or {}).get(CA_KEY, "")
    return bundle


def _missing(kind: str, name: str, keys: str) -> str:
    return f"{kind} {name} is missing: create it in the controller's namespace with {keys}"


def _decoded(secret: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "")
    except binascii.Error:
        return b""
