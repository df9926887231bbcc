from typing import Any

from controller.inspection.finding import Level
from controller.inspection.pullfailures import findings
from tests.support.objects import pod


def waiting(name: str, container: str, reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason}}
    return pod(
        name, status={"containerStatuses": [{"name": container, "image": "x:1", "state": state}]}
    )


def test_an_image_is_named_once_with_the_flag_that_names_it() -> None:
    first, second = findings(
        [
            waiting("a-2", "gate", "ImagePullBackOff"),
            waiting("a-1", "gate", "ImagePullBackOff"),
            waiting("c-1", "etcdproxy-controller", "ErrImagePull"),
            pod("good"),
        ]
    )
    assert first.what == ("ErrImagePull: x:1, of container etcdproxy-controller in pod c-1")
    assert "Deployment" in first.todo
    assert second.what == "ImagePullBackOff: x:1, of container gate in pod a-1 and 1 more"
    assert "--gate-image" in second.todo
    assert {first.level, second.level} == {Level.FAIL}


def test_a_native_sidecar_is_looked_at_too() -> None:
    state = {"waiting": {"reason": "InvalidImageName"}}
    sidecar = {"name": "etcdproxy", "image": "X", "state": state}
    (only,) = findings([pod("a", status={"initContainerStatuses": [sidecar]})])
    assert "--etcd-proxy-image" in only.todo


def test_other_waits_are_none() -> None:
    (only,) = findings([waiting("a", "gate", "CrashLoopBackOff"), pod("b", status={})])
    assert (only.level, only.what) == (Level.OK, "none of 2 pods waits for an image")
