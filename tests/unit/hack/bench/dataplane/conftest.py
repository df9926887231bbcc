"""Programs that do nothing, as those of the tests of `hack.dataplane`."""

from tests.unit.hack.dataplane import conftest

noting = conftest.noting
