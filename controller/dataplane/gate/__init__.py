"""The gate: an Envoy in every pod that lets through a storage's own requests, and nothing else.

A pure function from a `Gate` to the files that Envoy reads and its command line.

`bootstrap` is the whole of them, made from a `model`: `listeners` with the `routes` that requests
may take, `clusters` with the `addresses` behind them, `tls` of both sides, the `probe` listener
and the `stats` that are kept. What may pass is in `methods`, what a body may ask for in `leases`,
`transactions` and `watches`, which are read as `bodies`; how fast, in `bandwidth`. All bounds are
in `limits`, each with its source.
"""

from controller.dataplane.gate.bootstrap import CONFIG_FILE, arguments, files
from controller.dataplane.gate.limits import DRAIN_SECONDS, MEMORY_LIMIT_MIB
from controller.dataplane.gate.model import Folders, Gate, Ports
from controller.dataplane.gate.probe import (
    CERTS_PATH,
    CLIENTS_PATH,
    LIVE_PATH,
    METRICS_PATH,
    PROXY_LIVE_PATH,
    READY_PATH,
    drain_path,
)
from controller.dataplane.gate.tls import (
    CLIENTS_FILE,
    PAIR_FILE,
    clients_file,
    clients_version,
    pair_file,
)

__all__ = [
    "CERTS_PATH",
    "CLIENTS_FILE",
    "CLIENTS_PATH",
    "CONFIG_FILE",
    "DRAIN_SECONDS",
    "LIVE_PATH",
    "MEMORY_LIMIT_MIB",
    "METRICS_PATH",
    "PAIR_FILE",
    "PROXY_LIVE_PATH",
    "READY_PATH",
    "Folders",
    "Gate",
    "Ports",
    "arguments",
    "clients_file",
    "clients_version",
    "drain_path",
    "files",
    "pair_file",
]
