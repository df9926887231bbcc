"""What runs first: the signal that ends the program is handled before anything else is loaded.

To load everything takes a second. Until a signal is minded its default ends the program as well,
but not the first process of a container: the kernel drops it, and the kubelet waits half a minute
for nothing, then kills.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

INSPECTIONS: Final = ("status", "doctor")
"""What may stand in front of the flags, and looks into the cluster instead."""


def main() -> int:
    """Run what the command line says; returns the exit code."""
    arguments = sys.argv[1:]
    if not _inspects(arguments):
        # Nothing is under way yet that has to be ended in order. `controller.cli` minds it from
        # the moment on that something is.
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    # To look for garbage meanwhile would take a fifth of the time. What is loaded stays, so nobody
    # has to look at it later either.
    gc.disable()
    try:
        run = load(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # As a shell has it.
    gc.freeze()
    gc.enable()
    return run(arguments)


def load(arguments: Sequence[str]) -> Callable[[Sequence[str]], int]:
    """Load what these arguments are for, and nothing of the other: each takes half a second."""
    if _inspects(arguments):
        from controller.inspection.commandline import inspect  # noqa: PLC0415 - see above

        return inspect
    from controller.cli import main as run  # noqa: PLC0415 - see above

    return run


def _inspects(arguments: Sequence[str]) -> bool:
    return bool(arguments) and arguments[0] in INSPECTIONS
