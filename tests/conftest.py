"""For all tests: whoever changes an object of an informer's store is found."""

import os

import pytest

from informers.mutation import SWITCH
from tests.support.mutations import no_mutations

# Programs that tests start inherit these.
os.environ[SWITCH] = "true"
# API servers that tests share the processors with spend a quarter of their own on a heap that is
# small as it is. Benchmarks, which are no tests, leave Go as users have it.
os.environ.setdefault("GOGC", "400")

mutations = pytest.fixture(autouse=True)(no_mutations)
