"""What the core etcd itself says: asked from where the doctor runs, judged by pure functions.

Most cores are reached from within the cluster only. That nobody answers is then no fault: the
doctor says how to ask from there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from controller.core.client import CoreClient
from controller.core.connection import Connection
from controller.core.errors import CoreError, DeniedError
from controller.core.looks import Access
from controller.core.members import MemberStatus, member_status, member_urls
from controller.inspection.coreservice import CHECK, COMPACTION
from controller.inspection.finding import Finding, Level

_FIRST: Final = 1
"""The revision that every core begins with, and that a compaction takes away."""

_MANY: Final = 10_000
"""Revisions that no core keeps all of where somebody compacts: see controller.core.compaction."""

_FULL: Final = 0.8
"""The share of the quota from which on somebody has to act."""

_MI: Final = 1 << 20
_Answer = TypeVar("_Answer")
_UNTRUSTED: Final = ("certificate", "verification")
"""In what gRPC says of a server that was reached, and whose certificate was not taken."""


@dataclass(frozen=True, slots=True)
class Member:
    """What came of asking one URL: a status, or why there is none."""

    url: str
    status: MemberStatus | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class CoreState:
    """`auth` None: whoever asks may not know, which only a core with users says.

    `urls` are those of each member by its name, as the members tell; `keeps_all` is whether
    nothing was ever compacted, None if that could not be read.
    """

    members: tuple[Member, ...]
    auth: bool | None = None
    urls: Mapping[str, tuple[str, ...]] | None = None
    keeps_all: bool | None = None
    refused: str = ""
    """Why nobody says whether users are checked."""

    @property
    def reached(self) -> bool:
        return any(member.status for member in self.members)


def ask(access: Access) -> CoreState:
    """Ask every member for its status, and one that answers for the rest."""
    members = tuple(_ask_one(replace(access, urls=(url,))) for url in access.urls)
    there = tuple(member.url for member in members if member.status)
    if not there:
        return CoreState(members)
    return _ask_rest(replace(access, urls=there), CoreState(members))


def _ask_one(access: Access) -> Member:
    (url,) = access.urls
    connection = Connection(access)
    try:
        return Member(url, member_status(connection))
    except CoreError as error:
        return Member(url, error=" ".join(str(error).split()).removeprefix(f"{url}: "))
    finally:
        connection.close()


def _ask_rest(access: Access, state: CoreState) -> CoreState:
    client, connection = CoreClient(access), Connection(access)
    try:
        auth, refused = _asked(lambda: client.auth_status().enabled)
        urls, _ = _asked(lambda: member_urls(connection))
        keeps_all, _ = _asked(lambda: client.is_kept(_FIRST))
    finally:
        client.close()
        connection.close()
    return replace(state, auth=auth, refused=refused, urls=urls, keeps_all=keeps_all)


def _asked(question: Callable[[], _Answer]) -> tuple[_Answer | None, str]:
    """Return the answer; None if there is none, and why if it was refused."""
    try:
        return question(), ""
    except DeniedError as error:
        return None, str(error)
    except CoreError:
        return None, ""


def findings(state: CoreState, *, users: bool, inside: bool, hint: str) -> Iterator[Finding]:
    """Judge what the core said.

    `users`: the controller has root's pair. `inside`: the core has to answer from here, as it
    has to the controller. `hint` says how to ask from there.
    """
    yield from (_member(member, inside=inside, hint=hint) for member in state.members)
    if not state.reached:
        return
    yield from _membership(state)
    yield _auth(state, users=users)


def _member(member: Member, *, inside: bool, hint: str) -> Finding:
    status = member.status
    if status is None:
        untrusted = any(word in member.error.lower() for word in _UNTRUSTED)
        if untrusted:
            todo = "is this the core, its CA in the ConfigMap, and the host in its certificate?"
            return Finding(Level.FAIL, CHECK, f"{member.url}: {member.error}", todo)
        level = Level.FAIL if inside else Level.UNKNOWN
        todo = "is the core etcd up, and --etcd-core-url its URL?" if inside else hint
        return Finding(level, CHECK, f"{member.url} does not answer here: {member.error}", todo)
    size = f"{status.size // _MI} MiB"
    if status.quota:
        size += f" of {status.quota // _MI}"
    what = f"{member.url}: etcd {status.version}, {size}"
    if status.errors or not status.leader:
        told = ", ".join(status.errors) or "no leader"
        todo = "etcdctl endpoint status, alarm list; after NOSPACE: defrag, alarm disarm"
        return Finding(Level.FAIL, CHECK, f"{what}: {told}", todo)
    if status.quota and status.size > _FULL * status.quota:
        return Finding(Level.WARN, CHECK, f"{what}: nearly full", "etcdctl defrag, or more quota")
    return Finding(Level.OK, CHECK, what)


def _membership(state: CoreState) -> Iterator[Finding]:
    versions = sorted({m.status.version for m in state.members if m.status})
    if len(versions) > 1:
        what = f"members of different versions: {', '.join(versions)}"
        yield Finding(Level.WARN, CHECK, what, "finish the upgrade")
    if state.urls is not None:
        names = ", ".join(sorted(state.urls))
        count, known = len(state.urls), len(state.members)
        what = f"{count} members ({names}), {known} URLs known here"
        if count > known > 1:
            todo = "name each member in --etcd-core-url, or none but a Service of all"
            yield Finding(Level.WARN, CHECK, what, todo)
        else:
            yield Finding(Level.OK, CHECK, what)


def _auth(state: CoreState, *, users: bool) -> Finding:
    check = "core users"
    if state.auth is None:
        if not state.refused:
            todo = "ask again"
            return Finding(Level.UNKNOWN, check, "the core answers no more", todo)
        what = f"the core checks users, and refuses our pair: {state.refused}"
        if users:
            todo = "put a pair of the core's user root into the Secret of --etcd-core-root-secret"
            return Finding(Level.FAIL, check, what, todo)
        todo = "give the controller --etcd-core-root-secret and --etcd-core-client-ca-secret"
        return Finding(Level.WARN, check, what, todo)
    if state.auth:
        return Finding(Level.OK, check, "the core checks users")
    if users:
        todo = "once all storages have rolled: etcdctl auth enable"
        return Finding(Level.WARN, check, "the core does not check users", todo)
    what = "the core does not check users: the gates alone keep storages apart"
    return Finding(Level.OK, check, what)


def compaction_finding(state: CoreState) -> Finding:
    """Judge by its revisions whether anybody compacts a core that was reached."""
    revision = max(m.status.revision for m in state.members if m.status)
    look = "was every member started with --auto-compaction-retention?"
    if state.keeps_all is None:
        return Finding(Level.UNKNOWN, COMPACTION, "may not be read with our pair", look)
    if not state.keeps_all:
        return Finding(Level.OK, COMPACTION, "somebody compacts the core: its beginning is gone")
    if revision > _MANY:
        what = f"the core keeps all {revision} changes since its beginning"
        return Finding(Level.WARN, COMPACTION, what, look)
    what = f"the core is too young to tell, with {revision} changes"
    return Finding(Level.UNKNOWN, COMPACTION, what, look)
