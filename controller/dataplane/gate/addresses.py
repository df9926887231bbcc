"""The core's URLs as Envoy wants them."""

import ipaddress
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_ip(host: str) -> bool:
    """Whether a URL's host is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_and_port(url: str) -> tuple[str, int]:
    """Return where a URL of the core leads; without a port its scheme's, as Go's client does."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
