"""etcdproxy-controller: an etcd of its own for every aggregated API server.

Read `controller.controller` first: informers, queue, workers, from top to bottom. It calls
`controller.reconcile`, which reads caches, lets `controller.plan` and `controller.status` decide,
and carries the decisions out. What runs for a storage is `controller.dataplane`.
"""
