"""The Secret with a storage's pair for the core: whether there can be one, and what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.api.conditions import Problem
from controller.api.storage import EtcdStorage
from controller.core import user_name
from controller.dataplane.names import labels, object_name
from controller.pki.coreuser import keep_or_issue, read_authority
from controller.resources import SECRETS

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PairLook:
    """The Secret as it should be, None while none can be made; in `again` seconds look again."""

    secret: Json | None
    problem: Problem | None = None
    again: float | None = None


@dataclass(frozen=True, slots=True)
class PairMaker:
    """Signs with the authority in the Secret `authority_name`, and puts pairs in `namespace`."""

    namespace: str
    authority_name: str

    def look(
        self,
        storage: EtcdStorage,
        present: Mapping[str, Any] | None,
        authority: Mapping[str, Any] | None,
        now: datetime,
    ) -> PairLook:
        """Return the storage's Secret, with the pair of `present` as long as that is good.

        Without an authority that can sign, what is there goes on being used.
        """
        by = read_authority(_data(authority), self.authority_name, now)
        if isinstance(by, Problem):
            return PairLook(None, by)
        pair = keep_or_issue(_data(present), by, user_name(storage.name), now)
        return PairLook(self._secret(storage, pair.data), again=pair.again)

    def _secret(self, storage: EtcdStorage, data: Mapping[str, str]) -> Json:
        return {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {
                "name": object_name(SECRETS, storage.name),
                "namespace": self.namespace,
                "labels": labels(storage),
            },
            "type": "kubernetes.io/tls",
            "data": dict(data),
        }


def _data(secret: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    return None if secret is None else secret.get("data") or {}
