from controller.inspection.deployment import Setup, read_flags
from controller.inspection.patient import Patient
from controller.options import Options
from tests.support.bookshelf import Bookshelf
from tests.unit.controller.inspection.conftest import NOW


def patient(setup: Setup | None) -> Patient:
    return Patient(Bookshelf().client, "ns", (), (), inside=False, now=NOW, setup=setup)


def test_options_are_known_once_good_flags_are() -> None:
    flags = ("--etcd-core-url=http://core:2379",)
    good = Setup(flags, read_flags(flags, "ns"))
    assert isinstance(patient(good).options, Options)
    assert patient(Setup((), "argument --workers: no number")).options is None
    assert patient(None).options is None
