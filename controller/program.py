"""What runs first: the signal that ends the program is minded before anything else is loaded.

To load everything takes a second. Until a signal is minded its default ends the program as well,
but not the first process of a container: the kernel drops it, and the kubelet waits half a minute
for nothing, then kills.
"""

import gc
import os
import signal
import sys
from typing import Final

INSPECTIONS: Final = ("status", "doctor")
"""What may stand in front of the flags, and looks into the cluster instead."""


def main() -> int:
    """Run what the command line says; returns the exit code."""
    if sys.argv[1:2] not in ([name] for name in INSPECTIONS):
        # Nothing is under way yet that has to be ended in order. `controller.cli` minds it from
        # the moment on that something is.
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    # To look for garbage meanwhile would take a fifth of the time. What is loaded stays, so nobody
    # has to look at it later either.
    gc.disable()
    from controller import cli  # noqa: PLC0415 - see above

    gc.freeze()
    gc.enable()
    return cli.main()
