"""A client of etcd in this process, for calls that are worth less than the start of an etcdctl."""

from collections.abc import Sequence
from typing import Self

from controller.core import Access
from controller.core.connection import Connection
from controller.core.messages import define
from controller.pki import Authority, Pair
from hack.dataplane.core import CoreEtcd
from hack.dataplane.gatepod import GatePod

MESSAGES = define(
    {
        "PutRequest": ("bytes key 1", "bytes value 2"),
        "PutResponse": (),
        "RequestOp": ("PutRequest request_put 2",),
        "TxnRequest": ("repeated RequestOp success 2",),
        "TxnResponse": (),
        "RangeRequest": ("bytes key 1", "bytes range_end 2"),
        "KeyValue": ("bytes key 1", "bytes value 5"),
        "RangeResponse": ("repeated KeyValue kvs 2",),
        "LeaseRevokeRequest": ("int64 ID 1",),
        "WatchCreateRequest": ("bytes key 1", "int64 start_revision 3"),
        "WatchRequest": ("WatchCreateRequest create_request 1",),
    }
)
"""What is used of them, with etcd's own field numbers."""


class KeyValue:
    """Keys behind one endpoint, for one thread; the calls raise CoreError."""

    def __init__(self, access: Access) -> None:
        self._connection = Connection(access)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def put(self, key: str, value: bytes) -> None:
        request = MESSAGES["PutRequest"](key=key.encode(), value=value)
        self._connection.call("KV/Put", request, MESSAGES["PutResponse"])

    def put_all(self, keys: Sequence[str], value: bytes) -> None:
        """Give all these keys one value, at one revision; etcd takes 128 at once."""
        puts = [{"request_put": {"key": key.encode(), "value": value}} for key in keys]
        request = MESSAGES["TxnRequest"](success=puts)
        self._connection.call("KV/Txn", request, MESSAGES["TxnResponse"])

    def get(self, key: str) -> bytes | None:
        """Return the value, as of now; None if there is no such key."""
        request = MESSAGES["RangeRequest"](key=key.encode())
        found = self._connection.call("KV/Range", request, MESSAGES["RangeResponse"]).kvs
        return bytes(found[0].value) if found else None


def access_of_core(core: CoreEtcd, pair: Pair | None = None) -> Access:
    """Return the way straight to the core, with TLS by default as the administrator."""
    if not core.tls:
        return Access(core.urls)
    certificates = core.certificates
    return _secure(core.urls, certificates.authority, pair or certificates.root)


def access_of_pod(pod: GatePod) -> Access:
    """Return the way to a pod's endpoint as the tenant."""
    urls = (pod.endpoint,)
    return _secure(urls, pod.tenant.authority, pod.tenant.client()) if pod.tls else Access(urls)


def _secure(urls: tuple[str, ...], authority: Authority, pair: Pair) -> Access:
    return Access(urls, authority.cert_pem, pair.cert_pem, pair.key_pem)
