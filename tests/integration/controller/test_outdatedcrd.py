"""A CRD that a cluster has from before, on the real API server."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from controller.resources import ETCD_STORAGES, SERVICES
from hack.cluster.controlplane import ControlPlane
from informers import Client
from tests.integration.controller.conftest import CRD, RunController, establish, manifest
from tests.support.eventually import eventually

NAME = "crd/etcdstorages.etcd.xmudrii.com"


@pytest.fixture
def without_status(control_plane: ControlPlane, api: Client, crd: None) -> Iterator[None]:
    """Take the subresources off the CRD, as that of a first draft had none."""
    step = '[{"op": "remove", "path": "/spec/versions/0/subresources"}]'
    control_plane.kubectl("patch", NAME, "--type=json", f"--patch={step}")

    def served() -> bool:
        found = api.raw_get(f"/apis/{ETCD_STORAGES.api_version}")
        return b"etcdstorages/status" not in found

    eventually(served, what="the change to be served")
    yield
    control_plane.kubectl("delete", "etcdstorages", "--all", "--wait=false")
    control_plane.kubectl("replace", "-f", str(CRD))
    establish(control_plane, api)


def test_without_a_status_it_says_once_what_to_apply(
    without_status: None,
    core_credentials: None,
    run_controller: RunController,
    api: Client,
    namespace: str,
) -> None:
    with capture_logs() as logs, run_controller():
        for name in ("first", "second"):
            api.create(ETCD_STORAGES, manifest(name, {}))
        eventually(lambda: len(api.list(SERVICES, namespace)["items"]) == 2)
        told = eventually(lambda: [log for log in logs if log["event"] == "crd_outdated"])
    (only,) = told
    assert "no status can be written: kubectl apply -f artifacts/etcdstorage/crd.yaml" in str(only)
