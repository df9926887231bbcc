"""What a refused write of a Secret is told as: the API server's own words, and nobody else's.

A policy or a webhook sees what is written and what was there before, may quote either, and is in
no way bound to do so in a form that could be found again. Conditions, events and logs repeat what
a write was refused with, so what follows the name of whoever refused it is left out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from controller.resources import SECRETS
from informers import ApiError, ConnectionFailed, Resource

_OWN_WORDS: Final = re.compile(
    r'admission webhook "[^"]+" denied the request'
    r'|Internal error occurred: failed calling webhook "[^"]+"'
    r'|secrets(?: "[^"]+")? is forbidden: (?:'
    r"ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request"
    r"|(?:exceeded|failed) quota: .*"
    r"|cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set"
    r" finalizers on"
    r"|unable to create new content in namespace \S+ because it is being terminated"
    r'|User "[^"]+" cannot [a-z]+ resource "secrets" in API group "" in the namespace "[^"]+")'
    r'|[a-z]+ "[^"]+" (?:not found|already exists)'
    r'|Operation cannot be fulfilled on secrets "[^"]+"'
    r"|etcdserver: [a-z: ]+"
)
"""How messages begin of which the API server itself, 1.37, writes this much."""


@contextmanager
def in_own_words(resource: Resource) -> Iterator[None]:
    """Let the errors of a write repeat nothing of what is written, if that is a Secret."""
    try:
        yield
    except ApiError as error:
        if resource != SECRETS:
            raise
        raise ApiError(error.code, error.reason, told(error), details=error.details) from None
    except ConnectionFailed as error:
        if resource == SECRETS:
            error.previous = None  # The attempt before may have been refused.
        raise


def told(error: ApiError) -> str:
    """Return as much of a refusal as can hold nothing of a Secret."""
    found = _OWN_WORDS.match(error.message)
    return f"refused with code {error.code}" + (f": {found[0]}" if found else "")
