"""A real Kubernetes for everybody who works on this project, from source and ordinary packages.

`binaries.ensure` finds or builds the programs; `controlplane.ControlPlane` runs etcd, API server
and controller manager without root. What stands in the cache folder may be deleted at any time
while nothing runs.
"""
