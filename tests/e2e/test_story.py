"""Aggregated API servers on EtcdStorages, from the first command of their README to the last.

Two of them beside each other, one in each mode, as different tenants have them.
"""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from controller.ownership import STORAGE_LABEL
from controller.resources import LEASES, PODS
from tests.attack.picture import Core
from tests.e2e.example import NAME, REGISTRATION, Example, flunders, resource
from tests.e2e.killing import kill
from tests.e2e.product import DEPLOYMENT, NAMESPACE, PATIENCE, USERS, Json, Product

pytestmark = [pytest.mark.usefixtures("network", "tenants"), pytest.mark.timeout(600)]

OTHER = "other-apiserver"


@pytest.fixture(scope="module")
def examples(product: Product, network: None, tenants: None) -> Iterator[list[Example]]:
    """Both of them, serving; neither is registered. The controller has a standby."""
    product.start(*USERS)
    product.require_users()
    modes = {NAME: "Direct", OTHER: "Proxy"}
    made = [Example(product, name, mode, product.folder / name) for name, mode in modes.items()]
    for example in made:
        example.copy_manifests()
    for section in ("The storage", "The API server"):
        for example in made:
            example.follow(section)
    yield made
    kinds = ("apiservice.yaml", "apiserver.yaml", "etcdstorage.yaml")
    files = [f"-f{example.folder / kind}" for kind in kinds for example in made]
    product.kubectl("delete", "--ignore-not-found", f"--timeout={PATIENCE}s", *files)


@pytest.fixture
def core(product: Product, network: None) -> Iterator[Core]:
    """Give the core as its root, by a connection of this test's own: it is started anew."""
    with closing(product.core()) as core:
        yield core


@pytest.fixture
def direct(examples: list[Example]) -> Example:
    return examples[0]


@pytest.fixture
def proxied(examples: list[Example]) -> Example:
    return examples[1]


def register(example: Example) -> None:
    """Have it serve the group in the place of the other one."""
    example.product.kubectl("delete", "--ignore-not-found", REGISTRATION)
    example.follow("Its registration")


def keys(core: Core, name: str) -> dict[bytes, bytes]:
    """Return what the core holds of a storage."""
    begin, end = f"/{name}/".encode(), f"/{name}0".encode()
    found: Any = core.call("/etcdserverpb.KV/Range", key=begin, range_end=end).kvs
    return {bytes(kv.key): bytes(kv.value) for kv in found}


def sees(example: Example) -> None:
    """See that the cluster serves its one object, and that it has no other."""
    own = {resource(example.flunder)}
    register(example)
    assert flunders(example.product) == own
    assert example.flunders() == own


def test_what_is_created_through_the_cluster_lies_in_the_core(
    examples: list[Example], product: Product
) -> None:
    for example in examples:
        assert example.flunders() == set()
        register(example)
        told = example.follow("Use it").splitlines()
        # Created, read back, and found with etcdctl below the storage's name.
        assert told[0] == f"{resource(example.flunder)} created"
        assert any(line.startswith(f"{example.flunder} ") for line in told)
        stored = [line for line in told if line.startswith(f"/{example.name}/")]
        assert len(stored) == 1
        assert stored[0].endswith(f"/flunders/default/{example.flunder}")


def test_neither_sees_anything_of_the_other(examples: list[Example]) -> None:
    for example in examples:
        assert example.flunders() == {resource(example.flunder)}


def test_all_is_there_again_after_everything_was_started_anew(
    examples: list[Example], product: Product
) -> None:
    """API servers, the storages' pods and the controller in order, the core in a crash."""
    names = [example.name for example in examples]
    old = {name: product.uids(name) for name in names}
    was = core_pod(product)
    product.kubectl("rollout", "restart", f"-n{NAMESPACE}", DEPLOYMENT)
    for example in examples:
        example.restart()
    selector = f"-l{STORAGE_LABEL} in ({','.join(names)})"
    product.kubectl("delete", "pods", f"-n{NAMESPACE}", selector, "--wait=false")
    kill(was)
    product.await_(lambda: restarted(product, was), "the core serves again")
    for name in names:
        product.await_replaced(name, old[name])
    status = ("rollout", "status", f"-n{NAMESPACE}", DEPLOYMENT)
    product.kubectl(*status, f"--timeout={PATIENCE}s")
    for example in examples:
        example.await_rollout()
        sees(example)


def core_pod(product: Product) -> Json:
    return product.client.get(PODS, "core-etcd", "etcd")


def restarted(product: Product, was: Json) -> bool:
    """Whether its container has been started again since, and serves."""
    (before,), (now,) = (p["status"]["containerStatuses"] for p in (was, core_pod(product)))
    return bool(now["restartCount"] > before["restartCount"] and now["ready"])


def test_a_new_storage_of_the_name_finds_what_was_retained(
    direct: Example, product: Product, core: Core
) -> None:
    before = keys(core, direct.name)
    product.delete(direct.name)
    assert keys(core, direct.name) == before
    assert f"etcdstorage:{direct.name}" not in core.call("/etcdserverpb.Auth/UserList").users
    direct.follow("The storage")
    direct.restart()
    direct.await_rollout()
    sees(direct)
    assert keys(core, direct.name) == before


def test_keys_go_with_their_storage_whose_controller_crashes(
    direct: Example, proxied: Example, product: Product, core: Core
) -> None:
    """Another one takes over the lease, and the deletion."""
    others = keys(core, direct.name)
    patch = '--patch={"spec": {"reclaimPolicy": "Delete"}}'
    product.kubectl("patch", f"es/{proxied.name}", "--type=merge", patch)
    assert keys(core, proxied.name)
    leader = holder(product)
    (pod,) = (pod for pod in controllers(product) if leader.startswith(pod["metadata"]["name"]))
    kill(pod)
    product.delete(proxied.name)
    assert holder(product) not in {"", leader}
    assert keys(core, proxied.name) == {}
    assert keys(core, direct.name) == others
    sees(direct)


def holder(product: Product) -> str:
    """Return who leads the controllers."""
    lease = product.client.get(LEASES, "etcdproxy-controller", NAMESPACE)
    found: str = lease["spec"]["holderIdentity"]
    return found


def controllers(product: Product) -> list[Json]:
    label = "app.kubernetes.io/name=etcdproxy-controller"
    found: list[Json] = product.client.list(PODS, NAMESPACE, labelSelector=label)["items"]
    return found


def test_the_end_leaves_the_keys(direct: Example, product: Product, core: Core) -> None:
    before = keys(core, direct.name)
    direct.follow("The end")
    assert keys(core, direct.name) == before
    left = partial(product.kubectl, "get", "es", "-oname")
    assert direct.name not in left()
