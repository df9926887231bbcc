"""Brings bundles and pairs into objects of other namespaces, and takes them away again.

There we may get, patch and create objects by name and nothing else. So everything is written by
server-side apply, which also tells whose each field is, and nothing is watched.

A `consumer` is such an object. `delivery` reads it, has `decide` say what it needs, by what
`fields` says of managedFields, and applies that; `refusals` puts failures into words. `polls`
remembers what was found and until when that holds, `looks` sees whether it still does. `restarts`
rolls Deployments that read a bundle only when they start.
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
