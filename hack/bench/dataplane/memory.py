"""What a process takes of the node's memory, of its own and together with others like it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes."""

    resident: int
    private: int
    """In no other process: what one more of this kind costs."""
    shared: int
    """Also in others at the moment, as the pages of a program that runs more than once."""


def of(pid: int) -> Memory:
    """Look at a process."""
    return parse(Path(f"/proc/{pid}/smaps_rollup").read_text())


def parse(rollup: str) -> Memory:
    """Read the kernel's sums, `Name: N kB` a line after the first."""
    lines = (line.split() for line in rollup.splitlines()[1:])
    sums = {name.rstrip(":"): 1024 * int(size) for name, size, *_ in lines}
    private = sums["Private_Clean"] + sums["Private_Dirty"]
    return Memory(sums["Rss"], private, sums["Shared_Clean"] + sums["Shared_Dirty"])
