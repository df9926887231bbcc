"""A control plane for one person at a terminal: it runs until Ctrl-C and leaves nothing."""

import argparse
import threading
from pathlib import Path
from typing import NoReturn

from hack.cluster import binaries, cache, components
from hack.cluster.controlplane import ControlPlane

_CHECK_INTERVAL = 1.0


def run(_options: argparse.Namespace) -> int:
    """Run until KeyboardInterrupt; raises ProcessError if one of the programs ends by itself."""
    paths = binaries.ensure(*components.CONTROL_PLANE)
    with cache.scratch("control-plane") as folder:
        control_plane = ControlPlane(folder, paths)
        try:
            seconds = control_plane.start()
            print(_greeting(control_plane, seconds, paths["kubectl"].parent), flush=True)
            _watch(control_plane)
        except KeyboardInterrupt:
            return 0
        finally:
            control_plane.stop()


def _watch(control_plane: ControlPlane) -> NoReturn:
    never = threading.Event()
    while True:
        control_plane.check()
        never.wait(_CHECK_INTERVAL)


def _greeting(control_plane: ControlPlane, seconds: float, programs: Path) -> str:
    return (
        f"# {control_plane.server} is ready after {seconds:.1f} s; Ctrl-C ends it\n"
        f"export KUBECONFIG={control_plane.kubeconfig}\n"
        f"export PATH={programs}:$PATH"
    )
