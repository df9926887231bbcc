"""Who is who towards the core and towards a storage's gate."""

import hashlib
from functools import cached_property
from pathlib import Path

from controller.dataplane.gate import CLIENTS_FILE, PAIR_FILE, clients_file, pair_file
from controller.pki import CLIENT, SERVER, Authority, Leaf, Pair
from hack.cluster import pki
from hack.cluster.arguments import LOOPBACK

ROOT = "root"
"""etcd's own administrator."""


class CoreCertificates:
    """The core's two authorities and what they sign; files go to `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def authority(self) -> Authority:
        """Signs the members' serving pairs."""
        return pki.create("core etcd")

    @cached_property
    def client_ca(self) -> Authority:
        """Signs users; the core trusts it, and servers know nothing of it."""
        return pki.create("core etcd's clients")

    @cached_property
    def root(self) -> Pair:
        """The administrator's."""
        return self.user(ROOT)

    @cached_property
    def shared(self) -> Pair:
        """Without a CN, so of no user: what all storages share on a core without auth."""
        return pki.issue(self.client_ca, Leaf(organizations=("etcdproxy-controller",)))

    def user(self, name: str) -> Pair:
        """Return a new pair by which the core takes its owner for this user."""
        return pki.issue(self.client_ca, Leaf(name))

    def files(self, pair: Pair) -> dict[str, bytes]:
        """Return what a gate needs in its folder `core` to come as the owner of `pair`."""
        ca = self.authority.cert_pem
        return {"ca.pem": ca, "tls.crt": pair.cert_pem, "tls.key": pair.key_pem}

    def write(self) -> None:
        """Write what `server_flags` names."""
        leaf = Leaf(
            # Not the authority's own name: OpenSSL would take it for self-signed.
            "core etcd member",
            dns=("localhost",),
            ips=(LOOPBACK,),
            # etcd's gateway for JSON dials the server with the serving pair as its client pair.
            usages=(SERVER, CLIENT),
        )
        pki.write(pki.issue(self.authority, leaf), self.folder, "server")
        trusted = self.authority.cert_pem + self.client_ca.cert_pem
        (self.folder / "trusted.pem").write_bytes(trusted)

    def server_flags(self) -> tuple[str, ...]:
        """Return a member's flags."""
        return (
            f"--cert-file={self.folder / 'server.crt'}",
            f"--key-file={self.folder / 'server.key'}",
            f"--trusted-ca-file={self.folder / 'trusted.pem'}",
            "--client-cert-auth",
        )

    def flags(self, pair: Pair) -> tuple[str, ...]:
        """Return the flags of etcdctl and grpc-proxy for the owner of `pair`."""
        return client_flags(self.folder, self.authority.cert_pem, pair)


class Tenant:
    """Those whom a storage's gate lets in by mutual TLS, and as whom it serves them."""

    URI = "urn:etcdproxy:client"
    """The SAN of the client that it lets in."""

    def __init__(self, folder: Path, *, names: tuple[str, ...], ips: tuple[str, ...]) -> None:
        self.folder = folder
        self._names = names
        self._ips = ips

    @cached_property
    def authority(self) -> Authority:
        """Signs both sides."""
        return pki.create("a storage")

    def serving(self) -> Pair:
        """Return a new serving pair."""
        leaf = Leaf(dns=self._names, ips=self._ips, usages=(SERVER,))
        return pki.issue(self.authority, leaf)

    def client(self, uri: str = URI) -> Pair:
        """Return a new client pair that says this SAN alone."""
        return pki.issue(self.authority, Leaf(uris=(uri,)))

    def files(self, *uris: str) -> dict[str, bytes]:
        """Return what a gate needs in its folder `serving`, by default to let in `URI`."""
        return serving_files(self.serving(), self.authority.cert_pem, *(uris or (self.URI,)))

    def flags(self, pair: Pair) -> tuple[str, ...]:
        """Return etcdctl's flags for the owner of `pair`."""
        return client_flags(self.folder, self.authority.cert_pem, pair)


def serving_files(pair: Pair, bundle: bytes, *uris: str) -> dict[str, bytes]:
    """Return a gate's folder `serving`: `pair`, and clients of `bundle` with one of these SANs."""
    return {
        PAIR_FILE: pair_file(pair.cert_pem, pair.key_pem),
        CLIENTS_FILE: clients_file(uris, bundle),
    }


def client_flags(folder: Path, ca: bytes, pair: Pair) -> tuple[str, ...]:
    """Write both and return the flags that name them."""
    name = hashlib.sha256(ca + pair.cert_pem).hexdigest()[:12]
    pki.write(pair, folder, name)
    bundle = folder / f"{name}-ca.crt"
    bundle.write_bytes(ca)
    paths = {"cacert": bundle, "cert": folder / f"{name}.crt", "key": folder / f"{name}.key"}
    return tuple(f"--{flag}={path}" for flag, path in paths.items())
