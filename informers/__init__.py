"""Local copies of API objects that keep themselves up to date, in the manner of client-go.

`load_config` and `Client` reach the server. `SharedInformerFactory` gives one
`SharedIndexInformer` per resource and namespace: it lists, then watches, keeps a `Store` and
tells its handlers of every change. `Lister` reads the store as the server would answer. Names
and behaviour are client-go's; a docstring says so where they differ.

Use a lister or a store for reads; use the client for writes and for the few reads that must not
be stale. Objects are plain dicts, shared and read only.
"""

from informers.client import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    Client,
)
from informers.clock import Clock
from informers.config import ClusterConfig, ConfigError, load_config
from informers.errors import ApiError, ConnectionFailed
from informers.factory import SharedInformerFactory
from informers.handlers import (
    FilteringResourceEventHandler,
    ResourceEventHandler,
    ResourceEventHandlerFuncs,
)
from informers.lister import Lister
from informers.resource import Resource
from informers.shared import Registration, SharedIndexInformer
from informers.store import (
    NAMESPACE_INDEX,
    DeletedFinalStateUnknown,
    Object,
    Store,
    meta_namespace_key,
    split_meta_namespace_key,
)

__all__ = [
    "APPLY_PATCH",
    "JSON_PATCH",
    "MERGE_PATCH",
    "NAMESPACE_INDEX",
    "STRATEGIC_MERGE_PATCH",
    "ApiError",
    "Client",
    "Clock",
    "ClusterConfig",
    "ConfigError",
    "ConnectionFailed",
    "DeletedFinalStateUnknown",
    "FilteringResourceEventHandler",
    "Lister",
    "Object",
    "Registration",
    "Resource",
    "ResourceEventHandler",
    "ResourceEventHandlerFuncs",
    "SharedIndexInformer",
    "SharedInformerFactory",
    "Store",
    "load_config",
    "meta_namespace_key",
    "split_meta_namespace_key",
]
