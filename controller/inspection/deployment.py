"""The controller's Deployment: whether it runs, as whom, and by which flags."""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.inspection.finding import Finding, Level
from controller.options import PROGRAM, Options, parse_options
from informers import Resource

Json = Mapping[str, Any]

CHECK: Final = "controller"
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)
SELECTOR: Final = f"app.kubernetes.io/name={PROGRAM}"
"""The label of artifacts/deployment."""

_VARIABLE: Final = re.compile(r"\$\((\w+)\)")
_ELSEWHERE: Final = Path("/nonexistent")
"""In place of the pod's service account: whose namespace that is, is known."""

_FIRST_PROCESS: Final = Path("/proc/1/cmdline")
"""Of a container: what its image or manifest starts."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a controller was set up; `options` is a text where its `flags` cannot be read.

    `deployment` and `account`, the latter as namespace:name, are None where it runs as no
    Deployment.
    """

    flags: tuple[str, ...]
    options: Options | str
    deployment: str | None = None
    account: str | None = None


def read_setup(deployment: Json) -> Setup:
    """Read what a Deployment starts."""
    metadata = deployment["metadata"]
    pod = deployment["spec"]["template"]["spec"]
    account = pod.get("serviceAccountName") or "default"
    container = _container(pod.get("containers") or ())
    flags = _arguments(container)
    return Setup(
        flags,
        read_flags(flags, metadata["namespace"]),
        deployment=metadata["name"],
        account=f"{metadata['namespace']}:{account}",
    )


def running_flags(command_line: Path = _FIRST_PROCESS) -> tuple[str, ...]:
    """Return the flags of the controller that this container was started for, () if of none."""
    try:
        words = command_line.read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return ()
    program = next((i for i, word in enumerate(words) if Path(word).name == PROGRAM), len(words))
    return tuple(words[program + 1 :])


def read_flags(arguments: Sequence[str], namespace: str) -> Options | str:
    """Read flags as the controller does that runs in `namespace`; a text says what is wrong."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return parse_options(
                arguments,
                environment={"POD_NAMESPACE": namespace, "HOME": ""},
                service_account=_ELSEWHERE,
            )
    except SystemExit:
        return " ".join(said.getvalue().split()).removeprefix(f"{PROGRAM}: ")


def findings(deployment: Json, setup: Setup) -> Iterator[Finding]:
    """Say whether its pods run, and whether its flags can be read."""
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    wanted = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    what = f"Deployment {name}: {ready} of {wanted} pods ready"
    if not ready:
        todo = f"kubectl describe deployment {name} -n {namespace}, and the logs of its pods"
        yield Finding(Level.FAIL, CHECK, what, todo)
    elif ready < wanted:
        todo = f"kubectl get pods -n {namespace} -l {SELECTOR}"
        yield Finding(Level.WARN, CHECK, what, todo)
    else:
        yield Finding(Level.OK, CHECK, what)
    yield flags_finding(setup.options)


def flags_finding(options: Options | str) -> Finding:
    """Say what the flags come to."""
    if isinstance(options, str):
        todo = "correct the args of its container"
        return Finding(Level.FAIL, "flags", f"the controller cannot start: {options}", todo)
    users = "a user for each storage" if options.user_secrets else "no users of storages"
    return Finding(Level.OK, "flags", f"core etcd {', '.join(options.core.urls)}, {users}")


def _container(containers: Sequence[Json]) -> Json:
    named = (c for c in containers if c.get("name") == PROGRAM)
    return next(named, containers[0] if containers else {})


def _arguments(container: Json) -> tuple[str, ...]:
    """Return its args as the kubelet fills in their variables, as far as their values are here.

    A `command` that has the flags itself names the program first.
    """
    values = {v["name"]: v["value"] for v in container.get("env") or () if "value" in v}
    command = list(container.get("command") or ())
    start = next((i for i, word in enumerate(command) if word.startswith("-")), len(command))
    if command[start : start + 2] == ["-m", "controller"]:
        start += 2
    words = [*command[start:], *(container.get("args") or ())]
    return tuple(_VARIABLE.sub(lambda m: values.get(m[1], m[0]), word) for word in words)
