"""Which certificates there were, as the API server tells of each change of a Secret."""

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cryptography import x509

from informers import DeletedFinalStateUnknown, Object

Key = tuple[str, str]
"""Namespace and name of a Secret."""


@dataclass(slots=True)
class Issued:
    """The first certificates that a Secret had, in order: serial, and who signed it."""

    certificates: list[tuple[int, str]] = field(default_factory=list)

    @property
    def renewals(self) -> int:
        """How often one took the place of another of the same authority."""
        signers = [signer for _, signer in self.certificates]
        return sum(one == other for one, other in pairwise(signers))

    @property
    def changes(self) -> int:
        return max(0, len(self.certificates) - 1)


class History:
    """A handler of informers; its methods are for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issued: dict[Key, Issued] = {}

    def of(self, namespace: str, name: str) -> Issued:
        """Return what is known of one Secret."""
        with self._lock:
            return Issued([*self._issued.get((namespace, name), Issued()).certificates])

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:  # noqa: ARG002, FBT001
        self._take(obj)

    def on_update(self, old: Object, new: Object) -> None:  # noqa: ARG002
        self._take(new)

    def on_delete(self, obj: Object | DeletedFinalStateUnknown) -> None:
        """What there was stays known."""

    def _take(self, secret: Mapping[str, Any]) -> None:
        encoded = (secret.get("data") or {}).get("tls.crt")
        if not encoded:
            return
        found = x509.load_pem_x509_certificates(base64.b64decode(encoded))[0]
        one = found.serial_number, found.issuer.rfc4514_string()
        metadata = secret["metadata"]
        with self._lock:
            key = metadata["namespace"], metadata["name"]
            known = self._issued.setdefault(key, Issued()).certificates
            if one not in known:
                known.append(one)
