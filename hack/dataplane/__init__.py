"""The real data plane as local processes, without root: for tests and benchmarks.

A core etcd, the pods of a storage with the very configuration that the controller gives them,
the bare grpc-proxy beside them, and an API server as a tenant. Each is a context manager whose
files and logs lie in a folder that the caller gives and removes; all listen on loopback only.
"""

from hack.dataplane.bareproxy import BareProxy
from hack.dataplane.certificates import CoreCertificates, Tenant
from hack.dataplane.core import CoreEtcd
from hack.dataplane.etcdctl import Etcdctl
from hack.dataplane.gatepod import GatePod
from hack.dataplane.sampleapiserver import SampleApiserver

__all__ = [
    "BareProxy",
    "CoreCertificates",
    "CoreEtcd",
    "Etcdctl",
    "GatePod",
    "SampleApiserver",
    "Tenant",
]
