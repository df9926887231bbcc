"""What the README says of the data plane: the copy between modes, and what stays open."""

import re
import shlex
from pathlib import Path

import pytest

from hack.cluster.process import Process
from hack.dataplane import CoreEtcd
from hack.dataplane.programs import Programs
from tests.attack.opens import OPEN
from tests.integration.dataplane.conftest import MakePod, Mode
from tests.support.eventually import eventually

README = (Path(__file__).parent.parent.parent.parent / "README.md").read_text()


def test_the_list_of_what_stays_open_is_the_attack_tests() -> None:
    _, _, section = README.partition("\n## Isolation\n")
    section, _, _ = section.partition("\n## ")
    assert re.findall(r"^- (.*)$", section, re.MULTILINE) == [one.text for one in OPEN]


@pytest.mark.parametrize(("source", "destination"), [("Proxy", "Direct"), ("Direct", "Proxy")])
def test_keys_are_copied_from_either_mode_to_the_other_as_told(
    auth_core: CoreEtcd,
    make_pod: MakePod,
    data_plane: Programs,
    tmp_path: Path,
    source: Mode,
    destination: Mode,
) -> None:
    names = (f"old-{source.lower()}", f"new-{source.lower()}")
    old, new = (
        make_pod(auth_core, name, mode).etcdctl()
        for name, mode in zip(names, (source, destination), strict=True)
    )
    # What an API server puts before its keys.
    before = f"/{names[0]}" if source == "Direct" else ""
    after = f"/{names[1]}" if destination == "Direct" else ""
    for number in range(3):
        old.run("put", f"{before}/registry/example/{number}", f"value {number}")
    told = _told(source, names, auth_core, data_plane)
    mirror = Process("mirror", told, tmp_path)
    mirror.start()
    last = f"{after}/registry/example/2"
    try:
        eventually(lambda: "value 2" in new.run("get", last), what="the copy")
    finally:
        mirror.stop()
    copied = new.run("get", "--prefix", f"{after}/").split("\n")[:-1]
    assert copied == [
        line
        for number in range(3)
        for line in (f"{after}/registry/example/{number}", f"value {number}")
    ]


def _told(
    source: Mode, names: tuple[str, str], core: CoreEtcd, data_plane: Programs
) -> list[str | Path]:
    """The README's command from this mode to the other, for storages of these names.

    It goes to the core's own address, with its administrator's pair.
    """
    old, new = (f"/{name}/" for name in names)
    from_proxy, from_direct = re.findall(r"^etcdctl make-mirror .*$", README, re.MULTILINE)
    line = from_proxy if source == "Proxy" else from_direct
    _, *arguments, destination = shlex.split(line)
    root = core.etcdctl().tls
    dest = [flag.replace("--", "--dest-", 1) for flag in root]
    assert destination.startswith("https://")
    return [
        data_plane["etcdctl"],
        f"--endpoints={core.url}",
        *root,
        *(word.replace("/old/", old).replace("/new/", new) for word in arguments),
        *dest,
        core.url,
    ]
