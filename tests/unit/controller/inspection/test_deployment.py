"""What a Deployment starts is read as the controller reads it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.inspection.deployment import (
    findings,
    flags_finding,
    read_flags,
    read_setup,
    running_flags,
)
from controller.inspection.finding import Level
from controller.options import Options

ROOT = Path(__file__).parents[4]
NAMESPACE = "kube-apiserver-storage"
URL = "--etcd-core-url=https://etcd-svc-1.etcd.svc:2379"


def deployment(*arguments: str, ready: int = 2, **container: Any) -> dict[str, Any]:
    found = {"name": "etcdproxy-controller", "args": list(arguments or (URL,)), **container}
    return {
        "metadata": {"name": "controller", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "template": {
                "spec": {
                    "serviceAccountName": "sa",
                    "containers": [{"name": "sidecar", "args": ["--of-its-own"]}, found],
                }
            },
        },
        "status": {"readyReplicas": ready},
    }


def read(found: dict[str, Any]) -> Options:
    options = read_setup(found).options
    assert isinstance(options, Options)
    return options


def test_that_of_the_artifacts_is_read() -> None:
    path = ROOT / "artifacts/deployment/00-etcdproxy-controller.yaml"
    documents = yaml.safe_load_all(path.read_text())
    (found,) = [one for one in documents if one and one["kind"] == "Deployment"]
    setup = read_setup(found)
    assert setup.account == f"{NAMESPACE}:etcdproxy-controller-sa"
    assert setup.deployment == "etcdproxy-controller-deployment"
    assert isinstance(setup.options, Options)
    assert setup.options.core.urls == ("https://etcd-svc-1.etcd.svc:2379",)
    assert setup.options.namespace == NAMESPACE


def test_flags_may_stand_in_the_command_and_take_values_of_variables() -> None:
    program = ["python3", "-m", "controller"]
    variables = [{"name": "CORE", "value": "https://core:2379"}]
    flags = ["--etcd-core-url=$(CORE)", "--etcd-core-ca-configmap", "ca"]
    found = deployment(args=flags, command=program, env=variables)
    assert read(found).core.urls == ("https://core:2379",)
    assert read(found).core.ca_config_map == "ca"
    whole = deployment(args=[], command=[*program, URL])
    assert read(whole).core.urls == ("https://etcd-svc-1.etcd.svc:2379",)


def test_a_wrong_flag_is_told_as_the_controller_would() -> None:
    found = read_setup(deployment("--etcd-core-url=nonsense")).options
    assert isinstance(found, str)
    assert found.startswith("argument --etcd-core-url/-u: 'nonsense' is no URL")
    finding = flags_finding(found)
    assert finding.level is Level.FAIL
    assert "--etcd-core-url" in finding.what
    assert isinstance(read_flags(["--help"], NAMESPACE), str)


@pytest.mark.parametrize(("ready", "level"), [(2, "OK"), (1, "WARN"), (0, "FAIL")])
def test_its_pods_are_counted(ready: int, level: str) -> None:
    found = deployment(ready=ready)
    first, flags = findings(found, read_setup(found))
    assert (first.level.value, first.what) == (
        level,
        f"Deployment controller: {ready} of 2 pods ready",
    )
    assert bool(first.todo) == (ready < 2)
    assert flags.what == "core etcd https://etcd-svc-1.etcd.svc:2379, no users of storages"


def test_users_are_told() -> None:
    flags = (URL, "--etcd-core-root-secret=root", "--etcd-core-client-ca-secret=ca")
    assert flags_finding(read_flags(flags, NAMESPACE)).what.endswith(", a user for each storage")


def test_a_pod_tells_the_flags_it_was_started_with(tmp_path: Path) -> None:
    told = tmp_path / "cmdline"
    program = "/usr/bin/python3\0/usr/local/bin/etcdproxy-controller\0"
    told.write_text(f"{program}{URL}\0--reserved-names=\0")
    assert running_flags(told) == (URL, "--reserved-names=")
    # Of a pod whose containers share their processes, and of none.
    told.write_text("/pause\0")
    assert running_flags(told) == ()
    assert running_flags(tmp_path / "none") == ()
