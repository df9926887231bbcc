"""Brings bundles and pairs into objects of other namespaces, and takes them away again.

There we may get, patch and create objects by name and nothing else. So everything is written by
server-side apply, which also tells whose each field is, and nothing is watched.
"""

from controller.consumers.consumer import Consumer, Content, Delivery, Signed, dump, load
from controller.consumers.delivery import Consumers, Outcome, Report
from controller.consumers.looks import Looks
from controller.consumers.restarts import Restarts

__all__ = [
    "Consumer",
    "Consumers",
    "Content",
    "Delivery",
    "Looks",
    "Outcome",
    "Report",
    "Restarts",
    "Signed",
    "dump",
    "load",
]
