"""The metric of the core's certificates, read from the registry as a scrape reads it."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from controller.coremetrics import CoreCertificateMetrics
from controller.pki import Authority, Leaf
from controller.resources import CONFIG_MAPS, SECRETS
from informers import Lister, Resource, Store

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMESPACE = "kube-apiserver-storage"
DAY = 86400.0

Json = dict[str, Any]


class World:
    """The objects that hold the core's certificates, in caches of their own."""

    def __init__(self, **secrets: Json) -> None:
        self.stores: dict[tuple[Resource, str], Store] = {}
        self.registry = CollectorRegistry()
        for name in secrets:
            self.stores[(SECRETS, name)] = Store()
        self.stores[(CONFIG_MAPS, "ca")] = Store()
        for name, data in secrets.items():
            self.put(SECRETS, name, data)
        shared = {key: Lister(store, key[0]) for key, store in self.stores.items()}
        self.registry.register(CoreCertificateMetrics(shared, NAMESPACE, lambda: NOW))

    def put(self, resource: Resource, name: str, data: Json) -> None:
        metadata = {"name": name, "namespace": NAMESPACE, "resourceVersion": "1"}
        self.stores[(resource, name)].add({"metadata": metadata, "data": data})

    def days(self, told: str) -> float | None:
        name = "etcdproxy_core_certificate_seconds_left"
        found = self.registry.get_sample_value(name, {"object": told})
        return None if found is None else found / DAY


def authority(days: float) -> Authority:
    return Authority.create("core", validity=timedelta(days=days), now=NOW)


def in_base64(**content: bytes) -> Json:
    return {f"{key}.pem": base64.b64encode(value).decode() for key, value in content.items()}


def test_a_pair_and_the_authorities_each_tell_what_they_have_left() -> None:
    core, clients = authority(100), authority(50)
    pair = core.issue(Leaf(), validity=timedelta(days=10), now=NOW)
    world = World(
        pair=in_base64(client=pair.cert_pem + core.cert_pem),
        clients=in_base64(ca=clients.cert_pem),
    )
    world.put(CONFIG_MAPS, "ca", {"ca.pem": core.cert_pem.decode()})
    told = [world.days(object_) for object_ in ("secret/pair", "secret/clients", "configmap/ca")]
    assert told == [10, 50, 100]


def test_one_that_has_ended_is_below_nothing_unless_another_is_good() -> None:
    began = NOW - timedelta(days=20)
    old = Authority.create("core", validity=timedelta(days=19), now=began)
    pair = old.issue(Leaf(), validity=timedelta(days=18), now=began)
    chain = pair.cert_pem + authority(9).cert_pem
    world = World(pair=in_base64(client=chain, ca=authority(9).cert_pem))
    world.put(CONFIG_MAPS, "ca", {"ca.pem": old.cert_pem.decode()})
    assert (world.days("secret/pair"), world.days("configmap/ca")) == (-2, -1)
    both = old.cert_pem + authority(30).cert_pem
    world.put(CONFIG_MAPS, "ca", {"ca.pem": both.decode()})
    assert world.days("configmap/ca") == 30


def test_what_holds_none_is_not_told_of() -> None:
    world = World(pair={"client.pem": "!", "ca.pem": None})
    assert (world.days("secret/pair"), world.days("configmap/ca")) == (None, None)
    world.put(CONFIG_MAPS, "ca", {})
    assert world.days("configmap/ca") is None
    world.put(CONFIG_MAPS, "ca", {"ca.pem": "none"})
    assert world.days("configmap/ca") is None
