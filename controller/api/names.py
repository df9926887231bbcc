"""Names as the API server takes them: RFC 1123's, of which nothing in a path has to be quoted."""

import re
from typing import Final

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)


def is_dns_label(text: str) -> bool:
    """Whether a namespace, or a Service, may be called that."""
    return _LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether a ConfigMap, a Secret or a Deployment may be called that."""
    return _SUBDOMAIN.fullmatch(text) is not None
