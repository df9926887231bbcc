"""For all tests: whoever changes an object of an informer's store is found."""

import os

import pytest

from informers.mutation import SWITCH
from tests.support.mutations import no_mutations

# Programs that tests start inherit it.
os.environ[SWITCH] = "true"

mutations = pytest.fixture(autouse=True)(no_mutations)
