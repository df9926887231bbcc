"""The shared core etcd: one member or several, plain or with client certificates and users."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from controller.pki import Pair
from hack.cluster import ports
from hack.cluster.arguments import LOOPBACK
from hack.cluster.process import STOP_GRACE, Process
from hack.dataplane import answers
from hack.dataplane.certificates import CoreCertificates
from hack.dataplane.etcdctl import Etcdctl
from hack.dataplane.programs import Programs

ROOT = "root"
"""etcd's own administrator."""


class CoreEtcd:
    """The members and what they keep, all in `folder`.

    With `tls` clients need a certificate that it trusts, see `certificates`; with `auth`, which
    takes `tls`, users are on as well. What `auth` says is true as long as it is changed by
    `enable_auth` and `disable_auth` alone.
    """

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        *,
        tls: bool = False,
        auth: bool = False,
        members: int = 1,
        flags: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.tls = tls or auth
        self.auth = False
        self.certificates = CoreCertificates(folder / "pki")
        self._auth_wanted = auth
        self._programs = programs
        self._flags = flags
        drawn = ports.free(3 * members)
        self._clients, self._peers, self._metrics = (drawn[i::3] for i in range(3))
        self.members = [self._member(index) for index in range(members)]

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients find each member."""
        scheme = "https" if self.tls else "http"
        return tuple(f"{scheme}://{LOOPBACK}:{port}" for port in self._clients)

    @property
    def url(self) -> str:
        """Where clients find the first member."""
        return self.urls[0]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start what does not run and wait until every member serves; raises ProcessError."""
        try:
            if self.tls:
                self.certificates.write()
            for member in self.members:
                member.start()
            self.await_ready()
            if self._auth_wanted:
                self.enable_auth()
        except BaseException:
            self.stop()
            raise

    def await_ready(self) -> None:
        """Wait until every member serves reads, as after one has been started again."""
        for index, member in enumerate(self.members):
            answers.await_answer(f"{self.metrics_url(index)}/readyz", [member])

    def stop(self, grace: float = 0) -> None:
        """Stop every member; the data stays for another start."""
        # The data is not synchronised anyway, so nothing is there that a kill could spoil.
        for member in self.members:
            member.stop(grace)

    def stop_member(self, index: int, grace: float = STOP_GRACE) -> None:
        """End one member in order, or with a grace of 0 as a crash does."""
        self.members[index].stop(grace)

    def metrics_url(self, index: int = 0) -> str:
        """Where /metrics, /health and /readyz of a member are, without TLS."""
        return f"http://{LOOPBACK}:{self._metrics[index]}"

    def metrics(self, index: int = 0) -> str:
        """Return a member's metrics in Prometheus's text form."""
        return answers.get(f"{self.metrics_url(index)}/metrics")

    def etcdctl(self, pair: Pair | None = None) -> Etcdctl:
        """Return an etcdctl straight at the core, with TLS by default as the administrator."""
        tls = self.certificates.flags(pair or self.certificates.root) if self.tls else ()
        return Etcdctl(self._programs["etcdctl"], ",".join(self.urls), tls)

    def enable_auth(self) -> None:
        """Turn users on, with the administrator as the first one if there is none yet."""
        root = self.etcdctl()
        if ROOT not in root.run("user", "list").split():
            root.run("user", "add", ROOT, "--no-password")
            root.run("user", "grant-role", ROOT, ROOT)
        root.run("auth", "enable")
        self.auth = True

    def disable_auth(self) -> None:
        """Turn users off; they stay for another time."""
        self.etcdctl().run("auth", "disable")
        self.auth = False

    def add_user(self, user: str, prefix: str) -> Pair:
        """Make a user who may read and write below `prefix`, and return a pair of theirs.

        What the controller does for a storage, by the commands of an administrator.
        """
        root = self.etcdctl()
        grant = ("role", "grant-permission", user)
        root.run("role", "add", user)
        root.run(*grant, "--prefix=true", "readwrite", prefix)
        root.run(*grant, "read", "compact_rev_key")
        root.run("user", "add", user, "--no-password")
        root.run("user", "grant-role", user, user)
        return self.certificates.user(user)

    def _member(self, index: int) -> Process:
        name = f"core-{index}"
        cluster = [f"core-{i}=http://{LOOPBACK}:{port}" for i, port in enumerate(self._peers)]
        peer = f"http://{LOOPBACK}:{self._peers[index]}"
        flags = [
            f"--name={name}",
            f"--data-dir={self.folder / name}",
            f"--listen-client-urls={self.urls[index]}",
            f"--advertise-client-urls={self.urls[index]}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={','.join(cluster)}",
            f"--listen-metrics-urls={self.metrics_url(index)}",
            # Nobody but the core itself compacts.
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=5m",
            # The data is not worth the wait for the disk.
            "--unsafe-no-fsync",
            "--log-level=warn",
            *(self.certificates.server_flags() if self.tls else ()),
            *self._flags,
        ]
        return Process(name, [self._programs["etcd"], *flags], self.folder)
