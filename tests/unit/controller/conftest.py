"""What the tests of the controller share."""

import pytest

from tests.support.sockets import no_stray_sockets
from tests.support.threads import no_stray_threads

_no_stray_threads = pytest.fixture(autouse=True)(no_stray_threads)
_no_stray_sockets = pytest.fixture(autouse=True)(no_stray_sockets)
