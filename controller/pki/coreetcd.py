"""Certificates for the core etcd of artifacts/etcd, made in the cluster, on the spot.

Run by the Jobs of those manifests: `python -m controller.pki.coreetcd server` makes the authority,
its bundle and, next to the core, the serving pair and one of etcd's user root; `client` hands the
bundle and a client pair to the controller's namespace, by the names that the controller's flags
have as defaults; `users` hands it what it makes users in the core with. What exists already
stays, so all may run again.
Operators with a core of their own never need this.
"""

import argparse
import base64
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from controller.log import configure_logging
from controller.pki.authority import CLIENT, SERVER, Authority, Leaf, Pair
from controller.resources import CONFIG_MAPS, SECRETS
from informers import ApiError, Client, ConfigError, ConnectionFailed, Resource, load_config
from informers.errors import is_already_exists
from workqueue import RealClock

VALIDITY: Final = timedelta(days=3650)
"""The core of artifacts/etcd is for trying things out, and nothing renews these."""

AUTHORITY_SECRET: Final = "etcd-core-ca"  # noqa: S105 - the name of an object
SERVING_SECRET: Final = "etcd-coreserver-cert"  # noqa: S105 - the name of an object
BUNDLE_CONFIG_MAP: Final = "etcd-coreserving-ca"
CLIENT_SECRET: Final = "etcd-coreserving-cert"  # noqa: S105 - the name of an object
ROOT_SECRET: Final = "etcd-core-root"  # noqa: S105 - the name of an object
CLIENT_CA_SECRET: Final = "etcd-core-client-ca"  # noqa: S105 - the name of an object

_log = structlog.get_logger("coreetcd")


def make_server(client: Client, namespace: str, service: str, now: datetime) -> None:
    """Make the authority if there is none, its bundle, and the pairs in the core's pod.

    One is for `service` to be believed with, the other for who administers the core from there
    once it checks users. No user may be called as the first: whoever asks etcd's gateway for JSON
    with a pair without a name could come as that user.
    """
    authority = Authority.create("core etcd", validity=VALIDITY, now=now)
    pair = authority.pair
    _ensure(
        client,
        SECRETS,
        secret(AUTHORITY_SECRET, namespace, {"ca.pem": pair.cert_pem, "ca-key.pem": pair.key_pem}),
    )
    authority = read_authority(client, namespace)
    names = [f"{service}.{namespace}{domain}" for domain in ("", ".svc", ".svc.cluster.local")]
    leaf = Leaf(
        cn=service,
        dns=(service, *names, "localhost"),
        ips=("127.0.0.1",),
        # etcd's gateway for JSON dials the server with the serving pair as its client pair.
        usages=(SERVER, CLIENT),
    )
    pair = authority.issue(leaf, validity=VALIDITY, now=now)
    _ensure(client, CONFIG_MAPS, config_map(namespace, authority))
    root = _issue_root(authority, now)
    content = {
        "server.pem": pair.cert_pem,
        "server-key.pem": pair.key_pem,
        "root.pem": root.cert_pem,
        "root-key.pem": root.key_pem,
    }
    _ensure(client, SECRETS, secret(SERVING_SECRET, namespace, content))


def make_client(client: Client, namespace: str, to: str, now: datetime) -> None:
    """Hand the authority's bundle and a client pair of it to the namespace `to`."""
    authority = read_authority(client, namespace)
    _ensure(client, CONFIG_MAPS, config_map(to, authority))
    leaf = Leaf(organizations=("etcdproxy-controller",))
    pair = authority.issue(leaf, validity=VALIDITY, now=now)
    content = {"client.pem": pair.cert_pem, "client-key.pem": pair.key_pem}
    _ensure(client, SECRETS, secret(CLIENT_SECRET, to, content))


def make_users(client: Client, namespace: str, to: str, now: datetime) -> None:
    """Hand a pair of etcd's user root and the authority itself to the namespace `to`.

    This core has one authority for everything; it is for trying things out.
    """
    authority = read_authority(client, namespace)
    root = _issue_root(authority, now)
    content = {"client.pem": root.cert_pem, "client-key.pem": root.key_pem}
    _ensure(client, SECRETS, secret(ROOT_SECRET, to, content))
    pair = authority.pair
    content = {"ca.pem": pair.cert_pem, "ca-key.pem": pair.key_pem}
    _ensure(client, SECRETS, secret(CLIENT_CA_SECRET, to, content))


def _issue_root(authority: Authority, now: datetime) -> Pair:
    return authority.issue(Leaf(cn="root"), validity=VALIDITY, now=now)


def read_authority(client: Client, namespace: str) -> Authority:
    """Read the authority back; raises the API's NotFound as long as it is not made."""
    data = client.get(SECRETS, AUTHORITY_SECRET, namespace)["data"]
    certificate, key = (base64.b64decode(data[name]) for name in ("ca.pem", "ca-key.pem"))
    return Authority(Pair(certificate, key))


def config_map(namespace: str, authority: Authority) -> dict[str, Any]:
    """Return the ConfigMap with the authority's bundle."""
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": BUNDLE_CONFIG_MAP, "namespace": namespace},
        "data": {"ca.pem": authority.cert_pem.decode()},
    }


def secret(name: str, namespace: str, content: Mapping[str, bytes]) -> dict[str, Any]:
    """Return a Secret with `content`."""
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in content.items()},
    }


def _ensure(client: Client, resource: Resource, obj: dict[str, Any]) -> None:
    metadata = obj["metadata"]
    try:
        client.create(resource, obj, metadata["namespace"])
    except ApiError as error:
        if not is_already_exists(error):
            raise
        _log.info("kept", kind=resource.kind, **metadata)
    else:
        _log.info("made", kind=resource.kind, **metadata)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three; 1 on a failure that the Job should try again."""
    parser = argparse.ArgumentParser(prog="python -m controller.pki.coreetcd")
    parser.add_argument("what", choices=("server", "client", "users"))
    parser.add_argument("--namespace", default="etcd", help="of the core etcd")
    parser.add_argument("--service", default="etcd-svc-1", help="of the core etcd")
    parser.add_argument(
        "--to", default="kube-apiserver-storage", help="the controller's namespace"
    )
    parser.add_argument("--kubeconfig", help="default: the pod's own identity")
    given = parser.parse_args(arguments)
    configure_logging("info", "json")
    now = datetime.now(UTC)
    try:
        client = Client(load_config(given.kubeconfig), clock=RealClock())
        if given.what == "server":
            make_server(client, given.namespace, given.service, now)
        else:
            make = make_client if given.what == "client" else make_users
            make(client, given.namespace, given.to, now)
    except (ApiError, ConfigError, ConnectionFailed) as error:
        sys.stderr.write(f"coreetcd: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
