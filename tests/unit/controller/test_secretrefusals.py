"""Messages as a real API server gives them."""

import pytest

from controller.resources import CONFIG_MAPS, SECRETS
from controller.secretrefusals import in_own_words, told
from informers import ApiError, ConnectionFailed

KEY = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"
FORBIDDEN = 'secrets "a" is forbidden: '
POLICY = f"{FORBIDDEN}ValidatingAdmissionPolicy 'p' with binding 'b' denied request"
RIGHT = 'User "u" cannot create resource "secrets" in API group "" in the namespace "n"'
OWNER = (
    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set"
    " finalizers on"
)
LEAVING = "unable to create new content in namespace n because it is being terminated"


@pytest.mark.parametrize(
    "whose",
    [
        'admission webhook "no.example.org" denied the request',
        'Internal error occurred: failed calling webhook "no.example.org"',
        POLICY,
    ],
)
@pytest.mark.parametrize("words", ["", f": no room for {KEY}", f": {KEY[::-1]}", f":\n{KEY[:5]}"])
def test_of_a_policy_it_is_told_which_one_it_is_and_nothing_that_it_says(
    whose: str, words: str
) -> None:
    assert told(ApiError(400, "BadRequest", whose + words)) == f"refused with code 400: {whose}"


@pytest.mark.parametrize(
    "message",
    [
        f"{FORBIDDEN}exceeded quota: q, requested: secrets=1, used: secrets=0",
        f"{FORBIDDEN}{RIGHT}",
        f"secrets is forbidden: {RIGHT}",
        f"{FORBIDDEN}{LEAVING}",
        f"{FORBIDDEN}{OWNER}",
        'namespaces "n" not found',
        "etcdserver: mvcc: database space exceeded",
    ],
)
def test_the_servers_own_words_are_told(message: str) -> None:
    assert told(ApiError(403, "Forbidden", message)) == f"refused with code 403: {message}"


@pytest.mark.parametrize(
    "message",
    [
        KEY,
        f"{FORBIDDEN}{KEY}",
        # What a webhook makes of a Secret may be none any more, and is quoted then.
        f'Internal error occurred: ReadString: error found in ...|"tls.key":"{KEY}"|...',
    ],
)
def test_of_words_that_nobody_knows_the_code_is_told(message: str) -> None:
    assert told(ApiError(500, "InternalError", message)) == "refused with code 500"


def test_nor_is_it_told_what_the_attempt_before_was_refused_with() -> None:
    failed = ConnectionFailed("https://api", "dropped", dropped=True)
    failed.previous = ApiError(429, "TooManyRequests", f"{POLICY}: {KEY}")
    with pytest.raises(ConnectionFailed) as raised, in_own_words(SECRETS):
        raise failed
    assert str(raised.value) == "https://api: dropped"


def test_what_is_no_secret_is_told_in_full() -> None:
    refused = ApiError(403, "Forbidden", "denied: a bundle of certificates")
    with pytest.raises(ApiError) as raised, in_own_words(CONFIG_MAPS):
        raise refused
    assert raised.value is refused
