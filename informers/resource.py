"""Which kind of object: enough to build every path of it."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind served by the API server, as `kubectl api-resources` lists it.

    `group` is "" for the core group; `plural` is the name in paths, `kind` the one in objects.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """What objects of this kind carry as apiVersion, such as "v1" or "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """The name that the API server uses in messages, such as "replicasets.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(
        self,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
    ) -> str:
        """The path on the server, without a query.

        Without a namespace a namespaced kind is addressed in all of them, which the API server
        allows for lists and watches only.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.group_resource} live in no namespace, not in {namespace!r}")
        parts = ["apis", self.group] if self.group else ["api"]
        parts.append(self.version)
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)
