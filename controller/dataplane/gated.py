"""The data plane: pods that let a tenant's requests through to the core, and no others.

Mode Proxy puts every key of a storage under `/<name>/`; in mode Direct the core itself keeps its
user to that prefix, and the client names the keys in full.
"""

from dataclasses import dataclass

from controller.api.storage import DELETE, RETAIN, EtcdStorage
from controller.dataplane.core import CoreEtcd
from controller.dataplane.exposure import PORT, disruption_budget, network_policy, service
from controller.dataplane.interface import Desired, Facts, Json
from controller.dataplane.names import head, object_name, selector
from controller.dataplane.pods import Images, pod_template
from controller.resources import DISRUPTION_BUDGETS, NETWORK_POLICIES, REPLICA_SETS, SERVICES


@dataclass(frozen=True, slots=True)
class GatedDataPlane:
    """A ReplicaSet of gated pods, and what stands around them."""

    namespace: str
    images: Images
    core: CoreEtcd

    def desired(self, storage: EtcdStorage, facts: Facts) -> Desired:
        host = f"{object_name(SERVICES, storage.name)}.{self.namespace}.svc"
        scheme = "https" if facts.tls else "http"
        return Desired(
            replica_set=self._replica_set(storage, facts),
            # The policy comes before the Service, so that nobody is let in for a moment only.
            objects={
                NETWORK_POLICIES: network_policy(storage, self.namespace),
                DISRUPTION_BUDGETS: disruption_budget(storage, self.namespace),
                SERVICES: service(storage, self.namespace),
            },
            endpoint=f"{scheme}://{host}:{PORT}",
        )

    def unsupported(self, storage: EtcdStorage) -> str | None:
        if storage.mode not in {"Proxy", "Direct"}:
            return f"there is no mode {storage.mode}, only Proxy and Direct"
        if storage.reclaim_policy not in {RETAIN, DELETE}:
            return f"there is no reclaimPolicy {storage.reclaim_policy}, only Retain and Delete"
        return None

    def _replica_set(self, storage: EtcdStorage, facts: Facts) -> Json:
        return {
            **head(REPLICA_SETS, storage, self.namespace),
            "spec": {
                "replicas": storage.replicas,
                "selector": {"matchLabels": selector(storage)},
                "template": pod_template(storage, facts, self.core, self.images),
            },
        }
