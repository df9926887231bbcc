"""Who uses a storage on the node: from which namespace, and by which certificates."""

from dataclasses import dataclass

from controller.pki import Pair
from controller.resources import CONFIG_MAPS
from tests.e2e.product import NAMESPACE, Json, Product
from tests.support import handshake
from tests.support.etcdrpc import Endpoint

HOME = "default"
"""The namespace of tenants that have none of their own, and of all Flunders."""

CONFIG_MAP, SECRET = "etcd-serving-ca", "etcd-client"
"""What artifacts/consumers/role.yaml lets the controller write."""

_FILES = {"cacert": "ca/serving-ca.crt", "cert": "client/tls.crt", "key": "client/tls.key"}
"""By etcdctl's flag: where in a pod it lies below `_MOUNT`."""
_MOUNT = "/etc/etcd"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One of the users of a storage."""

    storage: str
    mode: str
    home: str = ""
    """Its namespace, to which its certificates are brought; without one it knows no TLS."""

    @property
    def namespace(self) -> str:
        """Of its pods."""
        return self.home or HOME

    @property
    def host(self) -> str:
        """The name of the storage's Service."""
        return f"etcd-{self.storage}.{NAMESPACE}.svc"

    @property
    def url(self) -> str:
        return f"{'https' if self.home else 'http'}://{self.host}:2379"

    def key(self, name: str) -> str:
        """Return how it calls a key that the core has below the storage's prefix."""
        return name if self.mode == "Proxy" else f"/{self.storage}/{name}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Of etcdctl, in a pod with `volumes` at `mounts`."""
        given = _FILES if self.home else {}
        return tuple(f"--{flag}={_MOUNT}/{path}" for flag, path in given.items())

    @property
    def volumes(self) -> list[Json]:
        if not self.home:
            return []
        return [
            {"name": "ca", "configMap": {"name": CONFIG_MAP}},
            {"name": "client", "secret": {"secretName": SECRET}},
        ]

    @property
    def mounts(self) -> list[Json]:
        names = [volume["name"] for volume in self.volumes]
        return [{"name": name, "mountPath": f"{_MOUNT}/{name}"} for name in names]


def spec(*tenants: Tenant) -> Json:
    """Return that of a storage with these tenants, which are of one mode."""
    homes = [tenant.home for tenant in tenants if tenant.home]
    return {
        "mode": tenants[0].mode,
        "caCertConfigMap": [{"name": CONFIG_MAP, "namespace": home} for home in homes],
        "clientCertSecret": [{"name": SECRET, "namespace": home} for home in homes],
    }


@dataclass(frozen=True, slots=True)
class Brought:
    """What lies in a tenant's namespace for it."""

    bundle: bytes
    pair: Pair | None
    """None for somebody who shows none."""

    @classmethod
    def read(cls, product: Product, tenant: Tenant) -> "Brought":
        found = product.client.get(CONFIG_MAPS, CONFIG_MAP, tenant.namespace)
        bundle = found["data"]["serving-ca.crt"].encode()
        return cls(bundle, product.pair(SECRET, tenant.namespace))

    def endpoint(self, product: Product, tenant: Tenant, address: str, *alpn: str) -> Endpoint:
        """Return the tenant's storage at this address, as who has this reaches it.

        `alpn` are the protocols that are wanted inside.
        """
        pair = (self.pair.cert_pem, self.pair.key_pem) if self.pair else None
        context = handshake.asking(product.folder, self.bundle, pair)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return Endpoint(2379, context, address, tenant.host)


def endpoint(product: Product, tenant: Tenant, address: str, *alpn: str) -> Endpoint:
    """Return the tenant's storage at this address, as the tenant reaches it."""
    if not tenant.home:
        return Endpoint(2379, host=address)
    return Brought.read(product, tenant).endpoint(product, tenant, address, *alpn)
