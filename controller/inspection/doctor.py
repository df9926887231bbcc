"""`doctor`: every check in turn, from what the others need to what they lead to."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TextIO

from controller.inspection import (
    apiservices,
    clocks,
    crd,
    deployment,
    grants,
    pullfailures,
    troubles,
)
from controller.inspection.cluster import Cluster, Unread
from controller.inspection.corecheck import check_core, check_credentials
from controller.inspection.deployment import Setup
from controller.inspection.finding import Finding, Level, failed
from controller.inspection.patient import Patient
from controller.inspection.terminal import Progress, painted
from controller.options import PROGRAM
from controller.resources import ETCD_STORAGES, PODS
from informers import ApiError, Client, ConnectionFailed

SERVER: Final = "API server"

_ADVICE: Final = {
    401: "the kubeconfig's credentials are wrong, or have ended: use others",
    403: "use other credentials",
}
"""By the code of an answer."""

_ODD: Final = "is the server of the kubeconfig's context an API server?"

_AT_ONCE: Final = 8
"""Reviews of rights: there are forty, and a server may be far away."""


def examine(patient: Patient, progress: Progress) -> Iterator[Finding]:
    """Yield what each check finds as soon as it has; a server that is away ends it."""
    with progress.of(f"asking {patient.client.server}"):
        first = _server(patient.client)
    yield first
    if first.level is Level.FAIL:
        return
    with progress.of("reading the controller's Deployment"):
        patient, found = _with_setup(patient)
    yield from found
    for what, check in _CHECKS.items():
        with progress.of(what):
            found = list(check(patient))
        yield from found


def print_text(findings: Iterator[Finding], out: TextIO, *, colour: bool) -> int:
    """Print each as it comes; return how many failed."""
    count = 0
    for finding in findings:
        level = painted(finding.level, f"{finding.level.value:<7}", colour=colour)
        todo = f"\n        -> {finding.todo}" if finding.todo else ""
        out.write(f"{level} {finding.check}: {finding.what}{todo}\n")
        out.flush()
        count += failed([finding])
    return count


def print_json(findings: Iterator[Finding], out: TextIO) -> int:
    """Print all as one object; return how many failed."""
    found = list(findings)
    json.dump({"findings": [one.as_json() for one in found]}, out, indent=2)
    out.write("\n")
    return failed(found)


def _server(client: Client) -> Finding:
    try:
        version = json.loads(client.raw_get("/version")).get("gitVersion", "unknown")
    except ConnectionFailed as error:
        todo = "is it up, and are server and CA of the kubeconfig's context the right ones?"
        return Finding(Level.FAIL, SERVER, str(error), todo)
    except ApiError as error:
        level = Level.UNKNOWN if error.code == 403 else Level.FAIL
        return Finding(level, SERVER, f"{client.server}: {error}", _ADVICE.get(error.code, _ODD))
    return Finding(Level.OK, SERVER, f"Kubernetes {version} at {client.server}")


def _with_setup(patient: Patient) -> tuple[Patient, list[Finding]]:
    """Return the patient with the controller's setup, and what there is to say of that."""
    selector = deployment.SELECTOR
    found = patient.cluster.items(
        deployment.DEPLOYMENTS, patient.namespace, labelSelector=selector
    )
    setup: Setup | None = None
    if patient.flags:
        options = deployment.read_flags(patient.flags, patient.namespace)
        setup = Setup(patient.flags, options)
    if isinstance(found, Unread) or not found:
        findings = [_no_deployment(patient, found if isinstance(found, Unread) else None)]
        findings += [deployment.flags_finding(setup.options)] if setup else []
        return replace(patient, setup=setup), findings
    read = deployment.read_setup(found[0])
    if setup:
        read = replace(read, flags=setup.flags, options=setup.options)
    return replace(patient, setup=read), [*deployment.findings(found[0], read)]


def _no_deployment(patient: Patient, found: Unread | None) -> Finding:
    check = deployment.CHECK
    todo = f"give the controller's flags: {PROGRAM} doctor -- --etcd-core-url=..."
    if isinstance(found, Unread):
        return Finding(Level.UNKNOWN, check, found.why, "" if patient.flags else todo)
    what = f"no Deployment with {deployment.SELECTOR} in namespace {patient.namespace}"
    if patient.flags:
        return Finding(Level.UNKNOWN, check, what, "does it run where its flags are from?")
    todo = f"kubectl apply -f artifacts/deployment/00-etcdproxy-controller.yaml; elsewhere: {todo}"
    return Finding(Level.WARN, check, what, todo)


def _crd(patient: Patient) -> Iterator[Finding]:
    yield from crd.findings(patient.cluster.one(crd.CRDS, crd.NAME))


def _rights(patient: Patient) -> Iterator[Finding]:
    options, setup = patient.options, patient.setup
    if options is None or setup is None:
        what = "not known which are needed: the controller's flags are not"
        yield Finding(Level.UNKNOWN, grants.CHECK, what, "see the controller above")
        return
    account = setup.account
    needed = grants.needed(
        patient.namespace,
        options.core.ca_config_map,
        election=options.leader_election is not None,
        finalizers=options.user_secrets is not None or _reclaims(patient.cluster),
    )

    def granted(right: grants.Right) -> bool:
        resource, body = grants.review(right, account)
        return grants.allowed(patient.client.create(resource, body))

    who = f"system:serviceaccount:{account}" if account else "who asks"
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(granted, needed))
    except (ApiError, ConnectionFailed) as error:
        todo = f"kubectl auth can-i --list -n {patient.namespace} --as={who}"
        yield Finding(Level.UNKNOWN, grants.CHECK, str(error), todo)
        return
    lacking = [right for right, has in zip(needed, answers, strict=True) if not has]
    yield from grants.findings(who, lacking, len(needed))


def _reclaims(cluster: Cluster) -> bool:
    """Whether keys of some storage are to go with it."""
    storages = cluster.items(ETCD_STORAGES)
    return not isinstance(storages, Unread) and any(
        (storage.get("spec") or {}).get("reclaimPolicy") == "Delete" for storage in storages
    )


def _images(patient: Patient) -> Iterator[Finding]:
    pods = patient.cluster.items(PODS, patient.namespace)
    if isinstance(pods, Unread):
        yield Finding(Level.UNKNOWN, pullfailures.CHECK, pods.why, "ask as who may list pods")
    else:
        yield from pullfailures.findings(pods)


def _clock(patient: Patient) -> Iterator[Finding]:
    try:
        yield clocks.finding(patient.client.server_time(), patient.now)
    except (ApiError, ConnectionFailed) as error:
        yield Finding(Level.UNKNOWN, clocks.CHECK, str(error))


def _api_services(patient: Patient) -> Iterator[Finding]:
    found = patient.cluster.items(apiservices.API_SERVICES)
    if isinstance(found, Unread):
        todo = "ask as who may list APIServices"
        yield Finding(Level.UNKNOWN, apiservices.CHECK, found.why, todo)
    else:
        yield from apiservices.findings(found, patient.now)


def _storages(patient: Patient) -> Iterator[Finding]:
    found = patient.cluster.items(ETCD_STORAGES)
    if not isinstance(found, Unread):
        yield from troubles.findings(found, patient.now)
    elif not found.unserved:
        yield Finding(Level.UNKNOWN, troubles.CHECK, found.why, "ask as who may list them")


_CHECKS: Final[Mapping[str, Callable[[Patient], Iterator[Finding]]]] = {
    "looking at the CRD": _crd,
    "asking for the controller's rights": _rights,
    "reading the core's credentials": check_credentials,
    "asking the core etcd": check_core,
    "looking at pods": _images,
    "comparing clocks": _clock,
    "looking at APIServices": _api_services,
    "looking at storages": _storages,
}
