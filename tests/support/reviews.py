"""What the API server would let a user do."""

from collections.abc import Mapping
from typing import Any

from controller.inspection.grants import REVIEWS, allowed
from informers import Client


def may(api: Client, user: str, attributes: Mapping[str, Any]) -> bool:
    """Ask whether `user` has the right; the attributes are those of a SubjectAccessReview."""
    spec = {"user": user, "resourceAttributes": attributes}
    body = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": spec}
    return allowed(api.create(REVIEWS, body))
