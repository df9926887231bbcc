"""What storages stand on goes while the controller runs, and comes back."""

import pytest
from structlog.testing import capture_logs

from controller.resources import SERVICES
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.controller.conftest import (
    CRD,
    Pods,
    RunController,
    Storages,
    establish,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.long

PLAIN = "http://core.example:2379"
"""Of which no credentials are asked, which go with the namespace as well."""


def test_the_namespace_is_deleted_and_made_again(
    storages: Storages,
    run_controller: RunController,
    control_plane: ControlPlane,
    api: Client,
    namespace: str,
    pods: Pods,
) -> None:
    def uid() -> str:
        found: str = api.get(SERVICES, "etcd-homed", namespace)["metadata"]["uid"]
        return found

    with run_controller(core=PLAIN):
        storages.create("homed", replicas=1)
        storages.await_condition("homed", "Deployed", "EtcdProxyDeployed")
        before = uid()
        control_plane.kubectl("delete", "namespace", namespace, "--timeout=120s")
        storages.await_condition("homed", "Deployed", "WriteFailed")
        assert storages.condition("homed", "Ready")["status"] == "False"
        control_plane.kubectl("create", "namespace", namespace)
        storages.await_condition("homed", "Deployed", "EtcdProxyDeployed")
        assert uid() != before
        eventually(lambda: len(pods.of("homed")) == 1)
        pods.make_ready("homed")
        storages.await_condition("homed", "Ready", "PodsReady")


def test_the_crd_is_deleted_with_all_storages_and_made_again(
    storages: Storages, run_controller: RunController, control_plane: ControlPlane, api: Client
) -> None:
    with capture_logs() as logs, run_controller(core=PLAIN):
        storages.create("before", replicas=1)
        storages.await_condition("before", "Deployed", "EtcdProxyDeployed")
        try:
            control_plane.kubectl("delete", "-f", str(CRD), "--timeout=120s")
            words = "CRD is not installed"
            eventually(lambda: any(words in log.get("error", "") for log in logs))
        finally:
            establish(control_plane, api)
        # Of another name: the collector may take half a minute for what the first one had.
        storages.create("after", replicas=1)
        storages.await_condition("after", "Deployed", "EtcdProxyDeployed")
    assert not [log for log in logs if log["event"] in {"reconcile_broke", "reconcile_failed"}]
