import base64
import datetime as dt
from typing import Any

from controller.pki import Authority, Leaf
from hack.soak.history import History

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def authority(name: str) -> Authority:
    return Authority.create(name, validity=DAY, now=NOW)


def leaf(of: Authority) -> bytes:
    return of.issue(Leaf(uris=("a:b",)), validity=DAY, now=NOW).cert_pem


def secret(pem: bytes) -> dict[str, Any]:
    data = {"tls.crt": base64.b64encode(pem).decode()}
    return {"metadata": {"namespace": "ns", "name": "pair"}, "data": data}


def test_what_a_rotation_brings_is_no_renewal() -> None:
    history, first, second = History(), authority("first"), authority("second")
    leaves = [leaf(first), leaf(first), leaf(second), leaf(second), leaf(second)]
    history.on_add(secret(leaves[0]), True)
    for pem in leaves[1:]:
        history.on_update({}, secret(pem))
    found = history.of("ns", "pair")
    assert (found.changes, found.renewals) == (4, 3)


def test_what_came_twice_counts_once_and_what_is_emptied_not_at_all() -> None:
    history, pem = History(), leaf(authority("it"))
    history.on_update({}, {"metadata": {}})
    for content in (pem, b"", pem):
        history.on_update({}, secret(content))
    assert len(history.of("ns", "pair").certificates) == 1
    assert history.of("ns", "unknown").changes == 0
