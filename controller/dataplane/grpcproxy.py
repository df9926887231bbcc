"""etcd's grpc-proxy behind the gate: what puts every key of a storage under `/<name>/`."""

from controller.dataplane.gate import Gate


def arguments(gate: Gate) -> list[str]:
    """Return the command line after `etcd`.

    No TLS: both of its ends are the gate's, on the pod's own loopback. The URL that it tells of
    itself is that of its listener, as its own health check asks there.
    """
    ports = gate.ports
    listener = f"127.0.0.1:{ports.proxy}"
    return [
        *("grpc-proxy", "start"),
        f"--endpoints=http://127.0.0.1:{ports.egress}",
        f"--namespace={gate.prefix}",
        f"--listen-addr={listener}",
        f"--advertise-client-url={listener}",
    ]
