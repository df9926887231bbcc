"""The core of artifacts/etcd, handled as the READMEs say: a real etcd with its flags and files."""

import base64
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.pki.coreetcd import BUNDLE_CONFIG_MAP, SERVING_SECRET, make_server
from controller.resources import CONFIG_MAPS, SECRETS
from hack.cluster import ports
from hack.cluster.command import CommandError, run
from hack.cluster.process import Process
from hack.dataplane import answers, programs
from tests.support.memoryserver import MemoryServer

ROOT = Path(__file__).parents[3]
README = (ROOT / "artifacts/etcd/README.md").read_text()


def pod() -> Any:
    (found,) = (
        obj
        for obj in yaml.safe_load_all((ROOT / "artifacts/etcd/etcd.yaml").read_text())
        if obj["kind"] == "Pod"
    )
    return found


def mount(folder: Path) -> dict[str, Path]:
    """Write what the Job makes as the pod mounts it; return where each mounted path is."""
    server = MemoryServer()
    make_server(server.client, "etcd", "etcd-svc-1", datetime.now(UTC))
    data = server.get(SECRETS, SERVING_SECRET, "etcd")["data"]
    content = {
        "ca": server.get(CONFIG_MAPS, BUNDLE_CONFIG_MAP, "etcd")["data"],
        "server": {name: base64.b64decode(value).decode() for name, value in data.items()},
        "data": {},
    }
    (container,) = pod()["spec"]["containers"]
    places = {volume["mountPath"]: folder / volume["name"] for volume in container["volumeMounts"]}
    for place in places.values():
        place.mkdir()
        for name, text in content[place.name].items():
            (place / name).write_text(text)
    return places


@dataclass(frozen=True, slots=True)
class Member:
    """The pod's process, and how a command in it looks from here."""

    etcdctl: Path
    moved: Mapping[str, str]

    def here(self, word: str) -> str:
        for there, here in self.moved.items():
            word = re.sub(rf"{re.escape(there)}(?![0-9])", here, word)
        return word

    def run(self, command: str) -> str:
        """Run a README's command for the pod; raises CommandError with etcd's message."""
        words = shlex.split(command)
        at = words.index("/usr/local/bin/etcdctl")
        assert words[:at] == ["kubectl", "exec", "-n", "etcd", "core-etcd", "--"]
        return run([self.etcdctl, *map(self.here, words[at + 1 :])]).decode()


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    client, peer, metrics = ports.free(3)
    moved = {
        **{there: str(here) for there, here in mount(tmp_path).items()},
        ":2379": f":{client}",
        ":2380": f":{peer}",
        ":2381": f":{metrics}",
        # Not to the machine's other networks.
        "//0.0.0.0": "//127.0.0.1",
    }
    found = programs.ensure()
    running = Member(found["etcdctl"], moved)
    (container,) = pod()["spec"]["containers"]
    flags = [running.here(flag) for flag in container["command"][1:]]
    process = Process("core", [found["etcd"], *flags], tmp_path)
    try:
        process.start()
        answers.await_answer(f"http://127.0.0.1:{metrics}/readyz", [process])
        yield running
    finally:
        process.stop(0)


def commands() -> list[str]:
    """The README's commands with etcdctl, one after the other."""
    (start,) = re.findall(r'^etcdctl="(.*)"$', README, re.MULTILINE)
    lines = re.findall(r"^\$etcdctl.*", README, re.MULTILINE)
    return [line.replace("$etcdctl", start) for line in lines]


def removals() -> list[str]:
    """The command that removes a storage's keys, where it stands."""
    return re.findall(r"^kubectl exec -n etcd core-etcd -- .*", README, re.MULTILINE)


def test_the_commands_of_the_readmes_work_before_users_are_on_and_after(member: Member) -> None:
    (remove,) = removals()
    member.run(remove)
    for command in commands():
        member.run(command)
    etcdctl = commands()[0].partition(" user ")[0]
    assert "AuthRevision" in member.run(f"{etcdctl} auth status")
    member.run(f"{etcdctl} put /etcd-name/key value")
    assert member.run(remove).split() == ["1"]


def test_the_core_s_own_pair_is_of_no_user(member: Member) -> None:
    """Or etcd's gateway for JSON would take whoever asks there without a name for that user."""
    for command in commands():
        member.run(command)
    etcdctl = commands()[0].partition(" user ")[0]
    own = etcdctl.replace("root", "server")
    with pytest.raises(CommandError, match="permission denied"):
        member.run(f"{own} get /etcd-name/key")
