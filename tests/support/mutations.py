"""Objects of an informer are read only, in every test."""

from collections.abc import Iterator
from unittest.mock import patch

from informers.mutation import MutationDetector, MutationError

_compare = MutationDetector.compare


def no_mutations() -> Iterator[list[str]]:
    """The body of a fixture: what any informer finds changed is listed, and fails the test.

    A test that changes something on purpose empties the list.
    """
    found: list[str] = []

    def compare(detector: MutationDetector) -> None:
        try:
            _compare(detector)
        except MutationError as error:
            found.append(str(error))
            raise

    with patch.object(MutationDetector, "compare", compare):
        yield found
    assert found == []
