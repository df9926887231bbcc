"""The command line: what it takes, and one line for what it does not."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.dataplane import CoreEtcd, Images, UserSecrets
from controller.leaderelection import LeaderElectionConfig
from controller.options import (
    DEFAULT_GATE_IMAGE,
    DEFAULT_PROXY_IMAGE,
    Options,
    parse_options,
    version,
)

URL = "https://etcd-svc-1.etcd.svc:2379"
HOME = {"HOME": "/of/the/operator"}


DIGESTED = f"registry.example.org:5000/etcd@sha256:{64 * 'a'}"


def parse(
    *arguments: str, environment: Mapping[str, str] = HOME, pod: Path = Path("/nowhere")
) -> Options:
    return parse_options(("-u", URL, *arguments), environment=environment, service_account=pod)


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """Return what the kubelet mounts into a pod in the namespace `of-the-pod`."""
    (tmp_path / "token").write_text("made up")
    (tmp_path / "namespace").write_text("of-the-pod\n")
    return tmp_path


def test_the_defaults() -> None:
    options = parse()
    log_format = options.log_format
    assert options == Options(
        kubeconfig="/of/the/operator/.kube/config",
        kube_api_qps=0.0,
        kube_api_burst=10,
        core=CoreEtcd((URL,), "etcd-coreserving-ca", "etcd-coreserving-cert"),
        namespace="kube-apiserver-storage",
        core_controller_urls=(URL,),
        user_secrets=None,
        images=Images(DEFAULT_GATE_IMAGE, DEFAULT_PROXY_IMAGE),
        max_concurrent_rollouts=5,
        workers=4,
        resync_period=600.0,
        reserved_names=frozenset({"registry", "root"}),
        require_tls=False,
        leader_election=LeaderElectionConfig(15.0, 10.0, 2.0),
        metrics_bind_address=("", 8080),
        log_level="info",
        log_format=log_format,
    )
    assert log_format in {"json", "console"}


def test_every_flag() -> None:
    options = parse_options(
        [
            *("--kubeconfig", "file"),
            *("--kube-api-qps", "12.5"),
            *("--kube-api-burst", "30"),
            *("--etcd-core-url", "https://core:1"),
            *("--etcd-core-controller-url", "https://outside:2"),
            *("--etcd-core-root-secret", "root-of-mine"),
            *("--etcd-core-client-ca-secret", "clients.of-mine"),
            *("--etcd-core-ca-configmap", "ca.of-mine"),
            *("--etcd-core-certs-secret", "certs"),
            *("--namespace", "storage"),
            *("--etcd-proxy-image", DIGESTED),
            *("--gate-image", "gate:1"),
            *("--max-concurrent-rollouts", "0"),
            *("--workers", "64"),
            *("--resync-period", "1h30m"),
            *("--reserved-names", "kube, default,,registry"),
            "--require-tls",
            *("--leader-elect-lease-duration", "1m"),
            *("--leader-elect-renew-deadline", "40s"),
            *("--leader-elect-retry-period", "500ms"),
            *("--metrics-bind-address", "[::1]:9090"),
            *("--log-level", "debug"),
            *("--log-format", "json"),
        ],
        environment={},
    )
    assert options == Options(
        kubeconfig="file",
        kube_api_qps=12.5,
        kube_api_burst=30,
        core=CoreEtcd(("https://core:1",), "ca.of-mine", "certs"),
        namespace="storage",
        core_controller_urls=("https://outside:2",),
        user_secrets=UserSecrets("root-of-mine", "clients.of-mine"),
        images=Images("gate:1", DIGESTED),
        max_concurrent_rollouts=0,
        workers=64,
        resync_period=5400.0,
        reserved_names=frozenset({"registry", "root", "kube", "default"}),
        require_tls=True,
        leader_election=LeaderElectionConfig(60.0, 40.0, 0.5),
        metrics_bind_address=("::1", 9090),
        log_level="debug",
        log_format="json",
    )


def test_the_short_flags_of_the_original() -> None:
    options = parse_options(["-k", "file", "-u", URL, "-n", "storage"], environment={})
    assert (options.kubeconfig, options.core.urls, options.namespace) == (
        "file",
        (URL,),
        "storage",
    )


def test_the_alias_of_the_original() -> None:
    assert parse("--etcd-core-ca-secret", "certs").core.certs_secret == "certs"


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        (["-u", "https://a:1", "-u", "https://b:2"], ("https://a:1", "https://b:2")),
        (["-u", "https://a:1,https://b:2"], ("https://a:1", "https://b:2")),
        (
            ["-u", "https://a:1, https://b:2", "-u", "https://c"],
            ("https://a:1", "https://b:2", "https://c"),
        ),
        (["-u", "https://a:1/"], ("https://a:1",)),
        (["-u=HTTPS://a"], ("https://a",)),
        (["-u", "https://[::1]:2379"], ("https://[::1]:2379",)),
        (["-u", "https://10.0.0.1:2379"], ("https://10.0.0.1:2379",)),
    ],
)
def test_several_urls_in_every_way(given: list[str], urls: tuple[str, ...]) -> None:
    assert parse_options(given, environment={}).core.urls == urls


@pytest.mark.parametrize(
    "image",
    [
        "etcd",
        "etcd:v3.7.3",
        "quay.io/coreos/etcd:v3.7.3",
        "localhost:5000/a/b_c.d:latest",
        f"registry.example/etcd:v1@sha256:{'0' * 64}",
    ],
)
def test_references_of_images(image: str) -> None:
    assert parse("--etcd-proxy-image", image).images.etcd == image
    assert parse("--gate-image", image).images.gate == image


def test_users_need_a_core_with_tls(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--etcd-core-root-secret", "a", "--etcd-core-client-ca-secret", "b"]
    inside, outside = ["-u", "https://core"], ["--etcd-core-controller-url", "http://core"]
    for urls in (["-u", "http://core"], [*inside, *outside]):
        with pytest.raises(SystemExit):
            parse_options([*urls, *flags], environment={})
        assert "have to be https" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "elects"),
    [
        ([], True),
        (["--leader-elect"], True),
        (["--leader-elect=true"], True),
        (["--leader-elect=false"], False),
        (["--leader-elect=0"], False),
        (["--leader-elect", "--require-tls"], True),
    ],
)
def test_an_election_is_held_unless_told_otherwise(
    given: list[str],
    elects: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert (parse(*given).leader_election is not None) == elects


def test_no_resync() -> None:
    assert parse("--resync-period", "0").resync_period == 0.0


WRONG = [
    (["-u", ""], "--etcd-core-url"),
    (["-u", "etcd:2379"], "--etcd-core-url"),
    (["-u", "core"], "--etcd-core-url"),
    (["-u", "ftp://core:2379"], "--etcd-core-url"),
    (["-u", "https://"], "--etcd-core-url"),
    (["-u", "https://:2379"], "--etcd-core-url"),
    (["-u", "https://core:port"], "--etcd-core-url"),
    (["-u", "https://core:0"], "--etcd-core-url"),
    (["-u", "https://core:65536"], "--etcd-core-url"),
    (["-u", "https://core:"], "--etcd-core-url"),
    (["-u", "https://[::1"], "--etcd-core-url"),
    (["-u", "https://core/path"], "--etcd-core-url"),
    (["-u", "https://core?query=1"], "--etcd-core-url"),
    (["-u", "https://core#fragment"], "--etcd-core-url"),
    (["-u", "https://user:password@core"], "--etcd-core-url"),
    (["-u", "https://core etcd:2379"], "--etcd-core-url"),
    (["-u", "https://core;reboot"], "--etcd-core-url"),
    (["-u", "https://core:1,"], "--etcd-core-url"),
    (["-u", "http://a\nb"], "--etcd-core-url"),
    (["--no-such\nflag"], "--no-such flag"),
    (["--etcd-core-ca-configmap", "a..b"], "--etcd-core-ca-configmap"),
    (["--etcd-core-ca-configmap", "a" * 254], "--etcd-core-ca-configmap"),
    (["--etcd-proxy-image", "a:b:c@@d"], "--etcd-proxy-image"),
    (["--etcd-proxy-image", "A/B:c"], "--etcd-proxy-image"),
    (["--resync-period", "1ns"], "--resync-period"),
    (["-u", "https://a https://b"], "--etcd-core-url"),
    (["-u", "http://a"], "--etcd-core-url"),  # next to an https one: a mixture
    (["-u"], "--etcd-core-url"),
    (["--etcd-core-ca-configmap", "Not A Name"], "--etcd-core-ca-configmap"),
    (["--etcd-core-ca-configmap", ""], "--etcd-core-ca-configmap"),
    (["--etcd-core-certs-secret", "a/b"], "--etcd-core-certs-secret"),
    (["--etcd-core-ca-secret", "-a"], "--etcd-core-certs-secret"),
    (["-n", "a.b"], "--namespace"),
    (["-n", "A"], "--namespace"),
    (["-n", "a" * 64], "--namespace"),
    (["-n", ""], "--namespace"),
    (["--etcd-proxy-image", ""], "--etcd-proxy-image"),
    (["--etcd-proxy-image", "two words"], "--etcd-proxy-image"),
    (["--kube-api-qps", "-1"], "--kube-api-qps"),
    (["--kube-api-qps", "nan"], "--kube-api-qps"),
    (["--kube-api-qps", "inf"], "--kube-api-qps"),
    (["--kube-api-qps", "1e9"], "--kube-api-qps"),
    (["--kube-api-qps", "1000001"], "--kube-api-qps"),
    (["--kube-api-qps", ""], "--kube-api-qps"),
    (["--kube-api-qps", "0.000000001"], "--kube-api-qps"),
    (["--kube-api-burst", "-1"], "--kube-api-burst"),
    (["--kube-api-burst", "1.5"], "--kube-api-burst"),
    (["--kube-api-burst", "1000001"], "--kube-api-burst"),
    (["--kube-api-burst", "many"], "--kube-api-burst"),
    (["--workers", "0"], "--workers"),
    (["--workers", "65"], "--workers"),
    (["--workers", "-1"], "--workers"),
    (["--workers", "four"], "--workers"),
    (["--workers", "1.5"], "--workers"),
    (["--workers", ""], "--workers"),
    (["--gate-image", "a b"], "--gate-image"),
    (["--max-concurrent-rollouts", "-1"], "--max-concurrent-rollouts"),
    (["--max-concurrent-rollouts", "five"], "--max-concurrent-rollouts"),
    (["--etcd-core-controller-url", "core"], "--etcd-core-controller-url"),
    (["--etcd-core-controller-url", "http://a,https://b"], "--etcd-core-controller-url"),
    (["--etcd-core-root-secret", "root"], "--etcd-core-client-ca-secret"),
    (["--etcd-core-client-ca-secret", "ca"], "--etcd-core-root-secret"),
    (["--etcd-core-root-secret", "a/b"], "--etcd-core-root-secret"),
    (["--resync-period", "5 days"], "--resync-period"),
    (["--resync-period", "600"], "--resync-period"),
    (["--resync-period", "-1s"], "--resync-period"),
    (["--resync-period", "9999999999999999h"], "--resync-period"),
    (["--reserved-names", "a,B"], "--reserved-names"),
    (["--leader-elect=maybe"], "--leader-elect"),
    (["--leader-elect-lease-duration", "10s"], "--leader-elect-lease-duration"),
    (["--leader-elect-lease-duration", "48h"], "--leader-elect-lease-duration"),
    (["--leader-elect-renew-deadline", "15s"], "--leader-elect-lease-duration"),
    (["--leader-elect-renew-deadline", "2.4s"], "--leader-elect-renew-deadline"),
    (["--leader-elect-retry-period", "9s"], "--leader-elect-renew-deadline"),
    (["--leader-elect-retry-period", "0"], "--leader-elect-retry-period"),
    (["--leader-elect-retry-period", "2"], "--leader-elect-retry-period"),
    (["--log-level", "verbose"], "--log-level"),
    (["--log-format", "xml"], "--log-format"),
    (["--etcd-core-u", "https://a"], "--etcd-core-u"),  # no abbreviations
    (["--what"], "--what"),
    (["left", "over"], "left over"),
]


@pytest.mark.parametrize(("given", "flag"), WRONG, ids=[" ".join(w[0]) for w in WRONG])
def test_a_wrong_value_is_one_line_that_names_the_flag(
    given: list[str], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*given)
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert err.startswith("etcdproxy-controller: ")
    assert flag in err


def test_the_line_says_what_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    for given, says in (
        (["-u", "etcd:2379"], "'etcd:2379'"),
        (["--workers", "99"], "'99' is no number from 1 to 64"),
        (["--resync-period", "5 days"], "'5 days' is no duration"),
        (["-n", "A"], "'A' is no name of a namespace"),
        (["-u", "http://a"], "either http or https"),
    ):
        with pytest.raises(SystemExit):
            parse(*given)
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "enough"),
    [
        (["--kube-api-qps", "0.1", "--workers", "2"], False),
        (["--kube-api-qps", "0.101", "--workers", "2"], True),
        (["--kube-api-qps", "0.101", "--workers", "3"], False),
        # No limit at all.
        (["--kube-api-qps", "0.1", "--kube-api-burst", "0"], True),
        (["--kube-api-qps", "0"], True),
    ],
)
def test_a_limit_by_which_every_call_would_fail_is_refused(
    flags: list[str],
    enough: bool,  # noqa: FBT001 - a column of the table
    capsys: pytest.CaptureFixture[str],
) -> None:
    if enough:
        parse(*flags)
        return
    with pytest.raises(SystemExit):
        parse(*flags)
    assert "wait longer than the 30 s" in capsys.readouterr().err


def test_without_a_core_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options([], environment={})
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "--etcd-core-url" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "in_a_pod", "namespace"),
    [
        ({}, False, "kube-apiserver-storage"),
        ({}, True, "of-the-pod"),
        ({"POD_NAMESPACE": "told"}, True, "told"),
        ({"POD_NAMESPACE": "told"}, False, "told"),
        ({"POD_NAMESPACE": ""}, True, "of-the-pod"),
    ],
)
def test_the_namespace_is_the_pods_own(
    environment: dict[str, str],
    in_a_pod: bool,  # noqa: FBT001 - a column of the table
    namespace: str,
    pod: Path,
) -> None:
    mount = pod if in_a_pod else Path("/nowhere")
    assert parse(environment=environment, pod=mount).namespace == namespace
    assert parse("-n", "given", environment=environment, pod=mount).namespace == "given"


def test_an_empty_file_is_no_namespace(pod: Path) -> None:
    (pod / "namespace").write_text("\n")
    assert parse(pod=pod).namespace == "kube-apiserver-storage"


SERVICE = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environment", "kubeconfig"),
    [
        ({}, "/of/the/operator/.kube/config"),
        ({"KUBECONFIG": "a:b"}, "a:b"),
        ({"KUBECONFIG": ""}, "/of/the/operator/.kube/config"),
        (SERVICE, None),
        ({**SERVICE, "KUBECONFIG": "a"}, "a"),
    ],
)
def test_where_the_cluster_is_looked_for(
    environment: dict[str, str], kubeconfig: str | None, pod: Path
) -> None:
    everywhere = {**HOME, **environment}
    assert parse(environment=everywhere, pod=pod).kubeconfig == kubeconfig
    assert parse("-k", "given", environment=everywhere, pod=pod).kubeconfig == "given"


def test_a_service_host_without_a_token_is_no_pod(tmp_path: Path) -> None:
    found = parse(environment={**HOME, **SERVICE}, pod=tmp_path).kubeconfig
    assert found == "/of/the/operator/.kube/config"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"etcdproxy-controller {version()}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version())


def test_help_tells_every_flag_its_defaults_and_none_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("--help")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for flag in ("--etcd-core-url", "-u", "--workers", "--log-format", "--reserved-names"):
        assert flag in told
    for default in ("etcd-coreserving-ca", "kube-apiserver-storage", DEFAULT_PROXY_IMAGE, "10m"):
        assert default in " ".join(told.split())


def test_options_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse().workers = 5  # type: ignore[misc]


def test_the_program_ends_with_code_2_and_nothing_else_on_its_streams() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "controller", "-u", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("etcdproxy-controller: argument --etcd-core-url")
    assert run.stderr.count("\n") == 1
