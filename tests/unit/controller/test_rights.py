"""A right that is missing is named once, not for every storage and every try."""

import pytest
from structlog.testing import capture_logs

from controller.discovery import OutdatedCrdError
from controller.rights import MissingRights
from informers import ApiError, ConnectionFailed

WHO = 'User "system:serviceaccount:n:etcdproxy-controller-sa"'


def forbidden(what: str) -> ApiError:
    return ApiError(403, "Forbidden", f'services "s" is forbidden: {WHO} {what}')


CREATE = 'cannot create resource "services" in API group "" in the namespace "n"'
EVICT = 'cannot create resource "pods/eviction" in API group "" in the namespace "n"'
STATUS = (
    'cannot patch resource "etcdstorages/status" in API group "etcd.xmudrii.com" at the'
    " cluster scope"
)


def test_each_right_is_named_once_as_a_role_has_it() -> None:
    rights = MissingRights()
    with capture_logs() as logs:
        for what in (CREATE, EVICT, CREATE, STATUS, STATUS, CREATE):
            assert rights.name(forbidden(what))
    told = [{name: log[name] for name in log.keys() - {"event", "log_level"}} for log in logs]
    assert told == [
        {"verb": "create", "resource": "services", "group": "", "namespace": "n"},
        {"verb": "create", "resource": "pods/eviction", "group": "", "namespace": "n"},
        {"verb": "patch", "resource": "etcdstorages/status", "group": "etcd.xmudrii.com"},
    ]
    assert {(log["event"], log["log_level"]) for log in logs} == {("right_missing", "warning")}


def test_the_right_on_owners_is_named_whatever_the_refused_object_is() -> None:
    """As a real server says it that asks for that right."""
    words = (
        "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set"
        " finalizers on: , <nil>"
    )
    with capture_logs() as logs:
        for kind in ("secrets", "services"):
            message = f'{kind} "etcd-a" is forbidden: {words}'
            assert MissingRights().name(ApiError(403, "Forbidden", message))
    told = [(log["verb"], log["resource"], log["group"]) for log in logs]
    assert told == [("update", "etcdstorages/finalizers", "etcd.xmudrii.com")] * 2


def test_a_crd_that_is_too_old_is_named_once() -> None:
    rights, error = MissingRights(), OutdatedCrdError(404, "NotFound", "kubectl apply")
    with capture_logs() as logs:
        assert rights.name(error)
        assert rights.name(error)
    assert logs == [{"event": "crd_outdated", "log_level": "warning", "error": "kubectl apply"}]


@pytest.mark.parametrize(
    "error",
    [
        ApiError(403, "Forbidden", 'services "s" is forbidden: exceeded quota: q'),
        ApiError(403, "Forbidden", "admission webhook denied the request: no"),
        ApiError(500, "InternalError", CREATE),
        ConnectionFailed("https://s", CREATE),
        KeyError(CREATE),
    ],
)
def test_what_is_no_right_is_not_named(error: Exception) -> None:
    with capture_logs() as logs:
        assert not MissingRights().name(error)
    assert logs == []
