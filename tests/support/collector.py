"""The garbage collector is the whole process's: what one test sets would be felt in the others."""

import gc
from collections.abc import Iterator


def same_thresholds() -> Iterator[None]:
    """The body of a fixture: the collector's thresholds are put back."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
