"""What refusals are told as; the answers are those of a real server."""

import pytest

from controller.consumers.consumer import Consumer
from controller.consumers.refusals import in_withdrawal, missing_right, refusal
from informers import ApiError, ConnectionFailed
from tests.support.deliveries import BUNDLE, PAIR

RBAC = (
    'secrets "etcd-client" is forbidden: User "u" cannot patch resource "secrets" in API group ""'
    ' in the namespace "team-a"'
)
QUOTA = 'secrets "etcd-client" is forbidden: exceeded quota: q, requested: secrets=1'
TERMINATING = {
    "causes": [{"reason": "NamespaceTerminating", "message": "namespace team-a is being deleted"}]
}


def test_a_missing_right_is_told_with_the_rule_that_gives_it() -> None:
    problem = refusal(ApiError(403, "Forbidden", RBAC), PAIR, "patch")
    assert (problem.reason, problem.passes) == ("ConsumerForbidden", False)
    assert "may not patch it" in problem.message
    assert (
        '{apiGroups: [""], resources: [secrets], resourceNames: [etcd-client],'
        " verbs: [get, patch, create]}"
    ) in problem.message
    assert "namespace team-a" in problem.message


def test_of_a_withdrawal_the_way_out_is_told_where_a_person_is_needed() -> None:
    forbidden = refusal(ApiError(403, "Forbidden", RBAC), PAIR, "patch")
    told = in_withdrawal(forbidden, "annotation x of Secret y")
    assert told.reason == "ConsumerForbidden"
    assert told.message.startswith(forbidden.message)
    assert "take its entry out of the annotation x of Secret y" in told.message
    busy = refusal(ApiError(503, "ServiceUnavailable", "busy"), PAIR, "patch")
    assert in_withdrawal(busy, "annotation x of Secret y") == busy


def test_of_a_deployment_no_right_to_create_is_asked_for() -> None:
    error = ApiError(403, "Forbidden", 'x cannot get resource "deployments" in')
    problem = refusal(error, Consumer("Deployment", "team-a", "api"), "restart")
    assert 'apiGroups: ["apps"]' in problem.message
    assert "verbs: [get, patch]" in problem.message


def test_other_refusals_of_code_403_are_no_missing_right() -> None:
    problem = refusal(ApiError(403, "Forbidden", QUOTA), PAIR, "create")
    assert problem.reason == "DeliveryFailed"
    assert "exceeded quota" in problem.message
    assert missing_right(ApiError(403, "Forbidden", QUOTA)) == ""
    assert missing_right(ApiError(422, "Invalid", RBAC)) == ""
    assert missing_right(ApiError(403, "Forbidden", RBAC)) == "patch"


def test_a_namespace_that_is_missing_or_leaving_is_named() -> None:
    details = {"kind": "namespaces", "name": "team-a"}
    missing = ApiError(404, "NotFound", 'namespaces "team-a" not found', details=details)
    problem = refusal(missing, BUNDLE, "create")
    assert (problem.reason, problem.passes) == ("NamespaceMissing", False)
    assert "no namespace team-a: create it" in problem.message
    leaving = ApiError(403, "Forbidden", "unable to create", details=TERMINATING)
    problem = refusal(leaving, BUNDLE, "create")
    assert (problem.reason, problem.passes) == ("NamespaceTerminating", True)


def test_a_missing_deployment_is_named() -> None:
    error = ApiError(404, "NotFound", 'deployments.apps "api" not found')
    problem = refusal(error, Consumer("Deployment", "team-a", "api"), "restart")
    assert problem.reason == "ConsumerMissing"
    assert "Deployment team-a/api" in problem.message


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ApiError(503, "ServiceUnavailable", "etcd is away"), True),
        (ApiError(409, "Conflict", "has been modified"), True),
        (ApiError(400, "BadRequest", 'admission webhook "w" denied the request: no'), False),
        (ConnectionFailed("https://api", "refused", refused=True), True),
        (ConnectionFailed("https://api", "timed out", timed_out=True), False),
    ],
)
def test_what_passes_by_itself_needs_no_person(
    error: ApiError | ConnectionFailed,
    passes: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    problem = refusal(error, PAIR, "patch")
    assert (problem.reason, problem.passes) == ("DeliveryFailed", passes)
    assert str(PAIR) in problem.message
