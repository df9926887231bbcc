"""The command line: flags, their values, and one clear line for a wrong one."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from controller import flagvalues
from controller.api.storage import RESERVED_NAMES
from controller.dataplane import CoreEtcd, Images, UserSecrets
from controller.leaderelection import LeaderElectionConfig
from controller.leaderelection.election import JITTER_FACTOR
from controller.log import FORMATS, LEVELS

PROGRAM: Final = "etcdproxy-controller"
DEFAULT_NAMESPACE: Final = "kube-apiserver-storage"
DEFAULT_PROXY_IMAGE: Final = "quay.io/coreos/etcd:v3.7.3"
DEFAULT_GATE_IMAGE: Final = "docker.io/envoyproxy/envoy:distroless-v1.40.0"
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts a pod's identity, its namespace among it."""

CALL_TIMEOUT: Final = 30.0
"""Seconds that a call to the API server may take, with all that it waits for."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the flags say; `kubeconfig` None means in-cluster, `resync_period` is in seconds.

    `kube_api_qps` is in requests a second, and without a limit if it or `kube_api_burst` is 0.
    `core_controller_urls` is where this program itself reaches the core. Without `user_secrets`
    storages have no users of their own there. A `max_concurrent_rollouts` of 0 is no limit.
    Without `leader_election` it works whoever else does. `metrics_bind_address` is host, '' for
    every address, and port; None: nothing is served.
    """

    kubeconfig: str | None
    kube_api_qps: float
    kube_api_burst: int
    core: CoreEtcd
    core_controller_urls: tuple[str, ...]
    user_secrets: UserSecrets | None
    namespace: str
    images: Images
    max_concurrent_rollouts: int
    workers: int
    resync_period: float
    reserved_names: frozenset[str]
    require_tls: bool
    leader_election: LeaderElectionConfig | None
    metrics_bind_address: tuple[str, int] | None
    log_level: str
    log_format: str


def parse_options(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Options:
    """Read the flags; a wrong one ends the program with one line and exit code 2."""
    parser = _parser(environment, service_account)
    given = parser.parse_args(arguments)
    urls = _flat(given.etcd_core_url)
    controller_urls = _flat(given.etcd_core_controller_url) or urls
    for flag, found in (("url", urls), ("controller-url", controller_urls)):
        if len({urlsplit(url).scheme for url in found}) > 1:
            parser.error(f"argument --etcd-core-{flag}: give either http or https URLs, not both")
    callers = given.workers + 1  # who sends events is one too
    if given.kube_api_burst and 0 < given.kube_api_qps <= callers / CALL_TIMEOUT:
        parser.error(
            f"argument --kube-api-qps: {given.kube_api_qps:g} is too little for {callers} callers:"
            f" a request would wait longer than the {CALL_TIMEOUT:g} s that it may take"
        )
    return Options(
        kubeconfig=given.kubeconfig or found_kubeconfig(environment, service_account),
        kube_api_qps=given.kube_api_qps,
        kube_api_burst=given.kube_api_burst,
        core=CoreEtcd(urls, given.etcd_core_ca_configmap, given.etcd_core_certs_secret),
        core_controller_urls=controller_urls,
        user_secrets=_user_secrets(parser, given, (*urls, *controller_urls)),
        namespace=given.namespace,
        images=Images(given.gate_image, given.etcd_proxy_image),
        max_concurrent_rollouts=given.max_concurrent_rollouts,
        workers=given.workers,
        resync_period=given.resync_period,
        reserved_names=RESERVED_NAMES | given.reserved_names,
        require_tls=given.require_tls,
        leader_election=_leader_election(parser, given),
        metrics_bind_address=given.metrics_bind_address,
        log_level=given.log_level,
        log_format=given.log_format,
    )


def _user_secrets(
    parser: argparse.ArgumentParser, given: argparse.Namespace, urls: Sequence[str]
) -> UserSecrets | None:
    """Return the Secrets for users in the core, None if none are named; one alone is refused."""
    flags = ("--etcd-core-root-secret", "--etcd-core-client-ca-secret")
    root, client_ca = given.etcd_core_root_secret, given.etcd_core_client_ca_secret
    if not root and not client_ca:
        return None
    for flag, other, name in ((*flags, client_ca), (*reversed(flags), root)):
        if not name:
            parser.error(f"argument {flag}: give {other} as well, or neither")
    if any(urlsplit(url).scheme != "https" for url in urls):
        parser.error(
            f"argument {flags[0]}: users are told by their certificates,"
            " so the core's URLs have to be https"
        )
    return UserSecrets(root, client_ca)


def _leader_election(
    parser: argparse.ArgumentParser, given: argparse.Namespace
) -> LeaderElectionConfig | None:
    """Return the durations, None without an election; ones that do not go together are refused."""
    config = LeaderElectionConfig(
        given.leader_elect_lease_duration,
        given.leader_elect_renew_deadline,
        given.leader_elect_retry_period,
    )
    if config.lease_duration <= config.renew_deadline:
        parser.error(
            "argument --leader-elect-lease-duration: give more than the"
            f" {config.renew_deadline:g} s of --leader-elect-renew-deadline"
        )
    if config.renew_deadline <= JITTER_FACTOR * config.retry_period:
        parser.error(
            f"argument --leader-elect-renew-deadline: give more than {JITTER_FACTOR:g} times the"
            f" {config.retry_period:g} s of --leader-elect-retry-period"
        )
    return config if given.leader_elect else None


def _flat(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(url for group in groups for url in group)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a flag, and nothing else."""

    def error(self, message: str) -> NoReturn:
        """One line instead of the usage, which would push the cause off a small screen."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see --help)\n")


def _parser(environment: Mapping[str, str], service_account: Path) -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description="Gives every aggregated API server an etcd of its own (EtcdStorage).",
        epilog="Two more look into a cluster where it runs: `%(prog)s status`, `%(prog)s doctor`.",
        allow_abbrev=False,
    )
    add_cluster_flags(parser, environment, service_account)
    add = parser.add_argument
    add(
        "--kube-api-qps",
        metavar="NUMBER",
        type=flagvalues.qps,
        default=0.0,
        help="requests a second to the API server, watches apart; 0: no limit (%(default)g)",
    )
    add(
        "--kube-api-burst",
        metavar="N",
        type=flagvalues.burst,
        default=10,
        help="requests at once before --kube-api-qps counts; 0: no limit (%(default)s)",
    )
    _add_core_flags(parser)
    _add_work_flags(parser)
    _add_leader_election_flags(parser)
    _add_diagnostic_flags(parser)
    add("--version", action="version", version=f"{PROGRAM} {version()}")
    return parser


def add_cluster_flags(
    parser: argparse.ArgumentParser, environment: Mapping[str, str], service_account: Path
) -> None:
    """Add the flags that say which cluster, and which namespace of it."""
    add = parser.add_argument
    add(
        "--kubeconfig",
        "-k",
        metavar="FILE",
        help="default: $KUBECONFIG, then the pod's own identity, then ~/.kube/config",
    )
    add(
        "--namespace",
        "-n",
        metavar="NAME",
        type=flagvalues.namespace,
        default=_own_namespace(environment, service_account),
        help="where proxies, Services and the core's credentials live (%(default)s)",
    )


def _add_core_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--etcd-core-url",
        "-u",
        metavar="URL",
        type=flagvalues.urls,
        action="append",
        required=True,
        help="the core etcd as the proxy pods reach it; repeatable, or comma separated",
    )
    add(
        "--etcd-core-ca-configmap",
        metavar="NAME",
        type=flagvalues.object_name,
        default="etcd-coreserving-ca",
        help="holds the core's CA, key ca.pem (%(default)s)",
    )
    add(
        "--etcd-core-certs-secret",
        "--etcd-core-ca-secret",
        metavar="NAME",
        type=flagvalues.object_name,
        default="etcd-coreserving-cert",
        help="holds client.pem and client-key.pem for the core (%(default)s)",
    )
    add(
        "--etcd-core-root-secret",
        metavar="NAME",
        type=flagvalues.object_name,
        help="holds client.pem and client-key.pem of the core's user root; with this and the next"
        " flag every storage gets a user of its own in the core",
    )
    add(
        "--etcd-core-client-ca-secret",
        metavar="NAME",
        type=flagvalues.object_name,
        help="holds ca.pem and ca-key.pem of an authority that the core trusts for clients",
    )
    add(
        "--etcd-core-controller-url",
        metavar="URL",
        type=flagvalues.urls,
        action="append",
        default=[],
        help="the core etcd as this program reaches it; default: --etcd-core-url",
    )


def _add_work_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--etcd-proxy-image",
        metavar="IMAGE",
        type=flagvalues.image,
        default=DEFAULT_PROXY_IMAGE,
        help="image with /usr/local/bin/etcd (%(default)s)",
    )
    add(
        "--gate-image",
        metavar="IMAGE",
        type=flagvalues.image,
        default=DEFAULT_GATE_IMAGE,
        help="image with /usr/local/bin/envoy (%(default)s)",
    )
    add(
        "--max-concurrent-rollouts",
        metavar="N",
        type=flagvalues.rollouts,
        default=5,
        help="storages whose pods are replaced at the same time; 0: no limit (%(default)s)",
    )
    add(
        "--workers",
        metavar="N",
        type=flagvalues.workers,
        default=4,
        help="storages reconciled at the same time, 1 to 64 (%(default)s)",
    )
    add(
        "--resync-period",
        metavar="DURATION",
        type=flagvalues.resync,
        default="10m",
        help="how often every storage is looked at again, from the caches; 0 is never"
        " (%(default)s)",
    )
    add(
        "--reserved-names",
        metavar="NAMES",
        type=flagvalues.names,
        default=frozenset(),
        help="comma separated; storages of these names are refused, besides registry and root",
    )
    add(
        "--require-tls",
        action="store_true",
        help="refuse storages that list neither caCertConfigMap nor clientCertSecret",
    )


def _add_leader_election_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of Kubernetes' own controllers, with their defaults.

    On without being asked for: whoever starts a second controller means it to stand by, be it by a
    rolling update or by mistake.
    """
    add = parser.add_argument
    add(
        "--leader-elect",
        metavar="BOOL",
        type=flagvalues.boolean,
        nargs="?",
        const=True,
        default=True,
        help="work only while this is the one that leads, by a Lease in the namespace; others of"
        " the same namespace stand by (true)",
    )
    defaults = LeaderElectionConfig()
    for flag, seconds, what in (
        ("lease-duration", defaults.lease_duration, "after which others may take a dead one's"),
        ("renew-deadline", defaults.renew_deadline, "after which one that cannot renew it ends"),
        ("retry-period", defaults.retry_period, "between two looks at it"),
    ):
        add(
            f"--leader-elect-{flag}",
            metavar="DURATION",
            type=flagvalues.period,
            default=f"{seconds:g}s",
            help=f"of the Lease: the time {what} (%(default)s)",
        )


def _add_diagnostic_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--metrics-bind-address",
        metavar="ADDRESS",
        type=flagvalues.bind_address,
        default=":8080",
        help="where metrics are served over HTTP, at /metrics; 0: nowhere (%(default)s)",
    )
    add("--log-level", choices=tuple(LEVELS), default="info", help="(%(default)s)")
    add(
        "--log-format",
        choices=FORMATS,
        default="console" if sys.stderr.isatty() else "json",
        help="console on a terminal, else json",
    )


def version() -> str:
    """The version of the installed package."""
    return metadata.version(PROGRAM)


def found_kubeconfig(environment: Mapping[str, str], service_account: Path) -> str | None:
    """What is used without the flag, in controller-runtime's order."""
    if from_environment := environment.get("KUBECONFIG"):
        return from_environment
    if environment.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return None
    return str(Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config")


def _own_namespace(environment: Mapping[str, str], service_account: Path) -> str:
    if from_environment := environment.get("POD_NAMESPACE"):
        return from_environment
    try:
        return (service_account / "namespace").read_text().strip() or DEFAULT_NAMESPACE
    except OSError:
        return DEFAULT_NAMESPACE
