"""What `doctor` asks a real core, as root and as others."""

from dataclasses import replace

from controller.inspection.corestate import ask, compaction_finding, findings
from controller.inspection.finding import Level
from controller.pki import Leaf
from hack.cluster import pki
from hack.dataplane.core import CoreEtcd
from tests.integration.core.conftest import EVERY_CORE, access_of


@EVERY_CORE
def test_root_is_told_of_everything(core: CoreEtcd) -> None:
    state = ask(access_of(core, core.certificates.root))
    (member,) = state.members
    assert member.status
    version = member.status.version
    assert version.split(".")[0] == "3"
    assert (member.status.leader, member.status.errors) == (True, ())
    assert member.status.size > 0
    assert (state.auth, state.refused) == (True, "")
    assert state.urls
    assert [*state.urls.values()] == [core.urls]
    assert state.keeps_all is True
    found = list(findings(state, users=True, inside=True, hint=""))
    assert {finding.level for finding in found} == {Level.OK}
    assert f"{core.url}: etcd {version}, 0 MiB of 2048" in found[0].what
    assert compaction_finding(state).level is Level.UNKNOWN


@EVERY_CORE
def test_who_is_no_user_is_refused_and_told_so(core: CoreEtcd) -> None:
    state = ask(access_of(core, core.certificates.shared))
    assert state.reached
    assert (state.auth, bool(state.refused)) == (None, True)
    found = list(findings(state, users=True, inside=False, hint=""))
    assert [one.level for one in found if one.check == "core users"] == [Level.FAIL]


def test_a_core_of_another_authority_is_wrong_from_wherever_one_asks(core: CoreEtcd) -> None:
    access = access_of(core, core.certificates.root)
    stranger = replace(access, ca_pem=pki.create("somebody else").cert_pem)
    (finding,) = findings(ask(stranger), users=True, inside=False, hint="")
    assert finding.level is Level.FAIL
    assert core.url in finding.what


def test_a_pair_that_the_core_does_not_trust_reaches_nothing(core: CoreEtcd) -> None:
    pair = pki.issue(pki.create("somebody else"), Leaf("root"))
    state = ask(access_of(core, pair))
    assert not state.reached


def test_a_compacted_core_is_seen(core: CoreEtcd) -> None:
    etcdctl = core.etcdctl()
    for value in range(3):
        etcdctl.run("put", "key", str(value))
    state = ask(access_of(core, core.certificates.root))
    (member,) = state.members
    assert member.status
    etcdctl.run("compact", str(member.status.revision))
    after = ask(access_of(core, core.certificates.root))
    assert after.keeps_all is False
    assert compaction_finding(after).level is Level.OK
