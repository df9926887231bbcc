"""What the README says of the data plane: the copy between modes, and what stays open."""

import re
import shlex
from pathlib import Path

from hack.cluster.process import Process
from hack.dataplane import CoreEtcd
from hack.dataplane.programs import Programs
from tests.attack.opens import OPEN
from tests.integration.dataplane.conftest import MakePod
from tests.support.eventually import eventually

README = (Path(__file__).parent.parent.parent.parent / "README.md").read_text()


def test_the_list_of_what_stays_open_is_the_attack_tests() -> None:
    _, _, section = README.partition("\n## Isolation\n")
    section, _, _ = section.partition("\n## ")
    assert re.findall(r"^- (.*)$", section, re.MULTILINE) == [one.text for one in OPEN]


def test_keys_are_copied_from_proxy_to_direct_as_told(
    auth_core: CoreEtcd, make_pod: MakePod, data_plane: Programs, tmp_path: Path
) -> None:
    old = make_pod(auth_core, "old", "Proxy").etcdctl()
    new = make_pod(auth_core, "new", "Direct").etcdctl()
    for number in range(3):
        old.run("put", f"/registry/example/{number}", f"value {number}")
    mirror = Process("mirror", _told(auth_core, data_plane), tmp_path)
    mirror.start()
    try:
        eventually(
            lambda: "value 2" in new.run("get", "/new/registry/example/2"),
            within=30,
            what="the copy",
        )
    finally:
        mirror.stop()
    copied = new.run("get", "--prefix", "/new/").split("\n")[:-1]
    assert copied == [
        line
        for number in range(3)
        for line in (f"/new/registry/example/{number}", f"value {number}")
    ]


def _told(core: CoreEtcd, data_plane: Programs) -> list[str | Path]:
    """The README's command, for the core's own address and its administrator's pair."""
    (line,) = re.findall(r"^etcdctl make-mirror .*$", README, re.MULTILINE)
    _, *arguments, destination = shlex.split(line)
    root = core.etcdctl().tls
    dest = [flag.replace("--", "--dest-", 1) for flag in root]
    assert destination.startswith("https://")
    return [
        data_plane["etcdctl"],
        f"--endpoints={core.url}",
        *root,
        *arguments,
        *dest,
        core.url,
    ]
