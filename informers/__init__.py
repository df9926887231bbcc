"""Local copies of API objects that keep themselves up to date, in the manner of client-go.

`load_config` and `Client` reach the server. `SharedInformerFactory` gives one
`SharedIndexInformer` per resource and namespace: it lists, then watches, keeps a `Store` and
tells its handlers of every change. `Lister` reads the store as the server would answer. Names
and behaviour are client-go's; a docstring says so where they differ.

Use a lister or a store for reads; use the client for writes and for the few reads that must not
be stale. Objects are plain dicts, shared and read only. A program that keeps thousands of them
calls `relax_collector` first. Prometheus metrics of the informers are in `informers.metrics`,
which is to be imported by itself.

Inside, on the way of an event: `rest` asks the server, `listwatch` opens lists and watches of one
resource, and `reflector` keeps them going, with `pager`, `events`, `backoff`, `stall` and
`watcherrors`. What it sees waits in the `fifo` until `processing` has put it into the `store` and
told the `processor`, which has a `listener` with a thread for each of the `handlers`. All of that
is a `shared` informer, of which the `factory` has one for each `resource`.

A controller tells its queue which keys to look at, and looks at them in the store. `client` is a
`Client`, `clock` a `RealClock` of `workqueue` or anything else with its three methods:

>>> import queue, random, threading
>>> from informers import (
...     Lister, Resource, ResourceEventHandlerFuncs, SharedInformerFactory, meta_namespace_key
... )
>>> config_maps = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
>>> keys = queue.SimpleQueue()
>>> factory = SharedInformerFactory(client, clock, random.Random())
>>> informer = factory.informer(config_maps, "default")
>>> handler = ResourceEventHandlerFuncs(
...     add=lambda obj, is_in_initial_list: keys.put(meta_namespace_key(obj)),
...     update=lambda old, new: keys.put(meta_namespace_key(new)),
...     delete=lambda obj: keys.put(meta_namespace_key(obj)),
... )
>>> registration = informer.add_event_handler(handler)
>>> factory.start()
>>> factory.wait_for_cache_sync(timeout=10, stop=threading.Event())
[]
>>> keys.get()
'default/settings'
>>> Lister(informer.store, config_maps).get("settings", "default")["data"]
{'colour': 'blue'}

The empty list above names what has not synced, the one below the threads that do not end:

>>> factory.shutdown()
[]
"""

from informers.clock import Clock
from informers.collector import relax_collector
from informers.errors import ApiError, ConfigError, ConnectionFailed
from informers.factory import SharedInformerFactory
from informers.handlers import (
    FilteringResourceEventHandler,
    ResourceEventHandler,
    ResourceEventHandlerFuncs,
)
from informers.lister import Lister
from informers.resource import Resource
from informers.rest.client import (
    APPLY_PATCH,
    MERGE_PATCH,
    Client,
)
from informers.rest.config import ClusterConfig, load_config
from informers.rest.throttle import Throttle
from informers.rest.useragent import user_agent
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
    "MERGE_PATCH",
    "NAMESPACE_INDEX",
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
    "Throttle",
    "load_config",
    "meta_namespace_key",
    "relax_collector",
    "split_meta_namespace_key",
    "user_agent",
]
