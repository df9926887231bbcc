import os

from hack.bench.dataplane import memory
from hack.bench.dataplane.memory import Memory

ROLLUP = """55d0-7fff ---p 00000000 00:00 0   [rollup]
Rss:               65536 kB
Pss:               30000 kB
Shared_Clean:      50000 kB
Shared_Dirty:         24 kB
Private_Clean:      2000 kB
Private_Dirty:     13512 kB
Swap:                  0 kB
"""


def test_the_kernels_sums() -> None:
    assert memory.parse(ROLLUP) == Memory(65536 * 1024, 15512 * 1024, 50024 * 1024)


def test_a_process() -> None:
    own = memory.of(os.getpid())
    assert own.private + own.shared == own.resident > 0
