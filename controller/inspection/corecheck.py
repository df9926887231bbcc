"""Looking at the core etcd: its credentials, what the cluster has of it, and what it says."""

import shlex
from collections.abc import Iterator
from typing import Final

from controller.api.conditions import Problem
from controller.coreusers import core_access
from controller.inspection import coreservice, corestate, credentials
from controller.inspection.cluster import Cluster, Json, Unread
from controller.inspection.coreservice import CHECK, ServiceAddress
from controller.inspection.corestate import CoreState
from controller.inspection.finding import Finding, Level
from controller.inspection.patient import Patient
from controller.options import PROGRAM, Options
from controller.resources import CONFIG_MAPS, PODS, SECRETS, SERVICES

_COMPACTION_UNKNOWN: Final = Finding(
    Level.UNKNOWN,
    coreservice.COMPACTION,
    "cannot be told from here",
    "was every member started with --auto-compaction-retention?",
)


def check_credentials(patient: Patient) -> Iterator[Finding]:
    options = patient.options
    if options is None:
        todo = f"{PROGRAM} doctor -- --etcd-core-url=... and its other flags"
        what = "not known, nor is the core: the controller's flags are not"
        yield Finding(Level.UNKNOWN, credentials.CHECK, what, todo)
        return
    yield from credentials.findings(options, _read(patient, options), patient.now)


def _read(patient: Patient, options: Options) -> dict[str, credentials.Read]:
    """Return what holds the core's credentials, by kind and name."""
    bundle = options.core.ca_config_map
    cluster, namespace = patient.cluster, patient.namespace
    secrets = {pair.name for pair in credentials.pairs(options)}
    return {
        f"ConfigMap {bundle}": cluster.one(CONFIG_MAPS, bundle, namespace),
        **{f"Secret {name}": cluster.one(SECRETS, name, namespace) for name in secrets},
    }


def check_core(patient: Patient) -> Iterator[Finding]:
    options = patient.options
    if options is None:
        return
    compaction: list[Finding] = []
    for url in options.core.urls:
        at = coreservice.service_of(url)
        if at is not None:
            yield from _service(patient.cluster, url, at)
            compaction += _compaction_of_pods(patient.cluster, at)
    state = _ask(patient, options)
    if isinstance(state, Finding):
        yield state
    else:
        users = options.user_secrets is not None
        inside = patient.inside or bool(patient.core_urls)
        hint = _hint(patient, options)
        yield from corestate.findings(state, users=users, inside=inside, hint=hint)
        if state.reached and not compaction:
            compaction = [corestate.compaction_finding(state)]
    yield from compaction or [_COMPACTION_UNKNOWN]


def _service(cluster: Cluster, url: str, at: ServiceAddress) -> Iterator[Finding]:
    service = cluster.one(SERVICES, at.name, at.namespace)
    finding = coreservice.service_finding(url, at, service, _slices(cluster, at))
    if finding:
        yield finding


def _slices(cluster: Cluster, at: ServiceAddress) -> list[Json] | Unread:
    selector = f"{coreservice.SERVICE_NAME_LABEL}={at.name}"
    return cluster.items(coreservice.ENDPOINT_SLICES, at.namespace, labelSelector=selector)


def _compaction_of_pods(cluster: Cluster, at: ServiceAddress) -> Iterator[Finding]:
    slices = _slices(cluster, at)
    if isinstance(slices, Unread):
        return
    names = coreservice.pods_behind(slices)
    found = {name: cluster.one(PODS, name, at.namespace) for name in names}
    told = {
        name: coreservice.retention(pod)
        for name, pod in found.items()
        if pod is not None and not isinstance(pod, Unread)
    }
    yield from coreservice.compaction_findings(told)


def _ask(patient: Patient, options: Options) -> CoreState | Finding:
    """Ask the core; a finding says why it cannot be."""
    read = _read(patient, options)
    secret = options.user_secrets.root if options.user_secrets else options.core.certs_secret
    found = (read[f"ConfigMap {options.core.ca_config_map}"], read.get(f"Secret {secret}"))
    config_map, pair = (None if isinstance(one, Unread) else one for one in found)
    urls = patient.core_urls or options.core_controller_urls
    access = core_access(options.core, urls, options.user_secrets, config_map, pair)
    if any(isinstance(one, Unread) for one in found) or isinstance(access, Problem):
        what = "cannot be asked without its credentials"
        return Finding(Level.UNKNOWN, CHECK, what, "see the credentials above")
    return corestate.ask(access)


def _hint(patient: Patient, options: Options) -> str:
    """Say how to ask from where the core answers."""
    setup = patient.setup
    if setup and setup.deployment:
        there = f"kubectl exec -n {patient.namespace} deploy/{setup.deployment} --"
        given = f" -- {shlex.join(patient.flags)}" if patient.flags else ""
        return f"{there} {PROGRAM} doctor{given}"
    at = coreservice.service_of(options.core.urls[0])
    if at is None:
        return "run doctor where the controller runs"
    scheme = options.core.urls[0].partition(":")[0]
    return (
        f"kubectl port-forward -n {at.namespace} service/{at.name} {at.port}, and doctor"
        f" --etcd-core-url={scheme}://127.0.0.1:{at.port}"
    )
