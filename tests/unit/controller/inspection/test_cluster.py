from controller.inspection.cluster import Cluster, Unread
from controller.resources import CONFIG_MAPS, PODS
from informers import ApiError, ConnectionFailed
from tests.support.bookshelf import Bookshelf
from tests.support.objects import core_config_map, pod


def test_pages_are_put_together() -> None:
    shelf = Bookshelf()
    shelf.page = 2
    shelf.put(PODS, *(pod(f"p-{n}") for n in range(5)))
    found = Cluster(shelf.client).items(PODS)
    assert isinstance(found, list)
    assert [one["metadata"]["name"] for one in found] == [f"p-{n}" for n in range(5)]


def test_one_is_found_by_name_or_is_none() -> None:
    shelf = Bookshelf()
    shelf.put(CONFIG_MAPS, core_config_map())
    cluster = Cluster(shelf.client)
    name, namespace = (core_config_map()["metadata"][key] for key in ("name", "namespace"))
    assert cluster.one(CONFIG_MAPS, name, namespace) == core_config_map()
    assert cluster.one(CONFIG_MAPS, name, "elsewhere") is None
    assert cluster.one(CONFIG_MAPS, "other", namespace) is None


def test_a_page_is_an_object_or_unread() -> None:
    shelf = Bookshelf()
    shelf.pages["/list"] = [1]
    cluster = Cluster(shelf.client)
    assert cluster.page("/version") == {"gitVersion": "v1.37.2"}
    assert cluster.page("/list") == Unread("it is no object")
    assert isinstance(cluster.page("/none"), Unread)


def test_what_may_not_be_read_is_no_absence() -> None:
    shelf = Bookshelf()
    shelf.forbid(PODS)
    cluster = Cluster(shelf.client)
    assert cluster.one(PODS, "a", "b") == Unread("cannot list resource pods (403 Forbidden)")
    shelf.failing[PODS] = ConnectionFailed("https://api", "Connection refused")
    assert cluster.items(PODS) == Unread("https://api: Connection refused")
    shelf.failing[PODS] = ApiError(401, "Unauthorized", "Unauthorized")
    assert cluster.items(PODS) == Unread(
        "https://api.example:6443 does not take the credentials: Unauthorized (401 Unauthorized)"
    )


def test_a_kind_that_is_not_served_is_told_apart() -> None:
    shelf = Bookshelf()
    shelf.failing[PODS] = ApiError(404, "NotFound", "the server could not find it")
    found = Cluster(shelf.client).items(PODS)
    assert isinstance(found, Unread)
    assert found.unserved
