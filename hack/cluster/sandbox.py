"""What the node sees instead of the host's: mounts of its own, and sysctls it may not set.

All of this holds in the mount namespace of the caller, which must be a private one, and ends
with the last process in it. That makes the end of a node complete however it comes: layers
of containers, volumes of pods and the files below need nobody to unmount them.
"""

from pathlib import Path

from hack.cluster.command import run

_HIDDEN = ("/run", "/var/log")
"""Sockets and logs have fixed places here: containerd's shims, the iptables lock, pods' logs."""

_OVERLAID = "/var/lib"
"""The kubelet makes /var/lib/kubelet/device-plugins whatever else it is told."""

COVERED = (*_HIDDEN, _OVERLAID)

_TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""What the kubelet sets for the whole machine, unless it finds it so (pkg/kubelet/cm)."""


def set_up() -> None:
    """Mount over what the node would change. Raises CommandError."""
    # With -n, `mount` itself writes nothing into the host's /run before that is hidden.
    for folder in _HIDDEN:
        run(["mount", "-n", "-t", "tmpfs", "-o", "mode=755", "etcdproxy", folder])
    upper, work = Path("/run/overlay/upper"), Path("/run/overlay/work")
    upper.mkdir(parents=True)
    work.mkdir()
    options = f"lowerdir={_OVERLAID},upperdir={upper},workdir={work}"
    run(["mount", "-n", "-t", "overlay", "-o", options, "etcdproxy", _OVERLAID])
    _show_tunables(Path("/run/sysctl"))


def _show_tunables(folder: Path) -> None:
    for name, value in _TUNABLES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        run(["mount", "-n", "--bind", file, Path("/proc/sys") / name])
