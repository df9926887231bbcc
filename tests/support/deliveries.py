"""Deliveries whose pairs are words: a pair is good if certificate and key have one number."""

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controller.api.storage import StorageReference
from controller.consumers.consumer import Consumer, Content, Data, Delivery, Signed
from controller.resources import CONFIG_MAPS, SECRETS

Json = dict[str, Any]

STORAGE = StorageReference("etcd-name", "11111111-1111-1111-1111-111111111111")
OTHER = StorageReference("other", "22222222-2222-2222-2222-222222222222")
END = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

BUNDLE = Consumer("ConfigMap", "team-a", "etcd-serving-ca")
PAIR = Consumer("Secret", "team-a", "etcd-client")


def bundle(text: str = "CA 1", consumer: Consumer = BUNDLE, serial: int = 1) -> Delivery:
    content = Content({"serving-ca.crt": text}, Signed(serial, END, f"authority {serial}"))
    return Delivery(consumer, text, lambda _: content)


@dataclass
class PairMaker:
    """Makes pairs that are good as long as `authority` is the one they were made by."""

    authority: int = 1
    serials: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def delivery(self, consumer: Consumer = PAIR) -> Delivery:
        return Delivery(consumer, str(self.authority), self.content)

    def content(self, present: Data | None) -> Content:
        data, issued = present or {}, ""
        serial = self._serial(data)
        if serial is None:
            issued = "there is none yet" if present is None else "the one there is no good"
            serial = next(self.serials)
            data = self.pair(serial)
        signed = Signed(serial, END, f"authority {self.authority}")
        return Content({key: data[key] for key in ("tls.crt", "tls.key")}, signed, issued)

    def pair(self, serial: int) -> dict[str, str]:
        return {
            "tls.crt": encoded(f"certificate {serial} by {self.authority}"),
            "tls.key": encoded(f"private key {serial}"),
        }

    def _serial(self, data: Data) -> int | None:
        certificate, key = (decoded(data.get(name, "")) for name in ("tls.crt", "tls.key"))
        serial = key.removeprefix("private key ")
        fits = certificate == f"certificate {serial} by {self.authority}"
        return int(serial) if fits else None


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def decoded(value: str) -> str:
    return base64.b64decode(value).decode()


def config_map(data: Data | None = None, consumer: Consumer = BUNDLE, **fields: Any) -> Json:
    return _object(CONFIG_MAPS.kind, consumer, data, fields)


def secret(data: Data | None = None, consumer: Consumer = PAIR, **fields: Any) -> Json:
    return _object(SECRETS.kind, consumer, data, fields)


def _object(kind: str, consumer: Consumer, data: Data | None, fields: Json) -> Json:
    metadata = {
        "name": consumer.name,
        "namespace": consumer.namespace,
        **fields.pop("metadata", {}),
    }
    body = {} if data is None else {"data": dict(data)}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body, **fields}
