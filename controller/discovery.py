"""What the API server serves of EtcdStorages: by discovery, which anybody may read."""

from typing import Final

import orjson

from controller.resources import ETCD_STORAGES
from informers import ApiError, Client, ConnectionFailed

NO_STATUS: Final = (
    f"the CRD {ETCD_STORAGES.group_resource} is of an older release and has no status subresource,"
    " so no status can be written: kubectl apply -f artifacts/etcdstorage/crd.yaml"
)

_STATUS: Final = f"{ETCD_STORAGES.plural}/status"


class OutdatedCrdError(ApiError):
    """The status of no storage can be written, by the CRD that there is."""


def lacks_status(client: Client) -> bool:
    """Whether EtcdStorages are served without the subresource; False if nobody can tell."""
    try:
        found = orjson.loads(client.raw_get(f"/apis/{ETCD_STORAGES.api_version}"))
        names = {resource["name"] for resource in found["resources"]}
    except (ApiError, ConnectionFailed, orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return ETCD_STORAGES.plural in names and _STATUS not in names
