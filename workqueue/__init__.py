"""Queues of keys for controllers, after client-go's `util/workqueue`.

A controller hears of changes faster than it can act on them, and acting can fail. So it puts the
*key* of what changed into a queue, and workers take keys out. The queue remembers each key once,
never gives one key to two workers at a time, gives a key out again when it was added while a
worker had it, and knows how to come back to it later.

Which class, each one being the one before and a little more:

- `Queue`: add, get, done.
- `DelayingQueue`: `add_after` for "look again in an hour".
- `RateLimitingQueue`: `add_rate_limited` for "that failed, try again", with a delay that a
  `RateLimiter` decides. This is the one for a controller, with
  `default_controller_rate_limiter` unless there is a reason for another; priorities are one, see
  below.

Prometheus metrics are in `workqueue.metrics`, which is to be imported by itself: the queues need
no Prometheus. Everything here may be called from any thread. A worker looks like this:

>>> from workqueue import RateLimitingQueue, ShutDown, default_controller_rate_limiter
>>> queue = RateLimitingQueue[str](default_controller_rate_limiter(), "storages")
>>> def process_next(reconcile):
...     try:
...         key = queue.get()
...     except ShutDown:
...         return False
...     try:
...         reconcile(key)
...     except ConnectionError:
...         queue.add_rate_limited(key)
...     else:
...         queue.forget(key)
...     finally:
...         queue.done(key)
...     return True

A reconcile that fails is tried again after 5 ms, 10 ms, 20 ms and so on:

>>> def reconcile(key):
...     print(key, "attempt", queue.num_requeues(key) + 1)
...     if queue.num_requeues(key) < 2:
...         raise ConnectionError
>>> queue.add("apples")
>>> queue.add("apples")  # waits already: still one key
>>> for _ in range(3):
...     assert process_next(reconcile)
apples attempt 1
apples attempt 2
apples attempt 3
>>> queue.num_requeues("apples"), len(queue)
(0, 0)

What may wait gets a lower priority, and keeps it when it is tried again. With priorities an
`ItemExponentialFailureRateLimiter` is enough: there is no need to slow down all keys for the sake
of those that have something new to do.

>>> queue.add("restored", priority=-100)
>>> queue.add("changed")
>>> for _ in range(2):
...     key = queue.get()
...     print(key)
...     queue.done(key)
changed
restored

After `shut_down` workers get what still waits in line, then learn that they may go:

>>> queue.add("pears")
>>> queue.shut_down()
>>> process_next(reconcile)
pears attempt 1
True
>>> process_next(reconcile)
False
"""

from workqueue.clock import REAL_CLOCK, Clock, RealClock
from workqueue.delaying import DelayingQueue
from workqueue.limiters import (
    BucketRateLimiter,
    ItemExponentialFailureRateLimiter,
    ItemFastSlowRateLimiter,
    MaxOfRateLimiter,
    RateLimiter,
    WithMaxWaitRateLimiter,
    default_controller_rate_limiter,
    default_item_based_rate_limiter,
)
from workqueue.queue import MetricsProvider, Queue, QueueMetrics, ShutDown
from workqueue.ratelimiting import RateLimitingQueue

__all__ = [
    "REAL_CLOCK",
    "BucketRateLimiter",
    "Clock",
    "DelayingQueue",
    "ItemExponentialFailureRateLimiter",
    "ItemFastSlowRateLimiter",
    "MaxOfRateLimiter",
    "MetricsProvider",
    "Queue",
    "QueueMetrics",
    "RateLimiter",
    "RateLimitingQueue",
    "RealClock",
    "ShutDown",
    "WithMaxWaitRateLimiter",
    "default_controller_rate_limiter",
    "default_item_based_rate_limiter",
]
