"""The subcommands of `python -m hack.cluster` that concern a node."""

import argparse
import os
import sys
import time
from typing import Any, NoReturn

from hack.cluster import binaries, images, needs
from hack.cluster.node import Node, NodeError

_LOG_LINES = "100"


def add(commands: Any) -> None:
    """Add them to what `ArgumentParser.add_subparsers` returned."""
    _add(commands, "up", _up, "bring up a node with everything on it (root)")
    _add(commands, "down", _down, "end the node and remove all it left (root)")
    _add(commands, "status", _status, "tell how the node stands (root)")
    _add(commands, "images", _images, "build the container images, print their paths")
    _add(commands, "load", _load, "give the node the controller's image, built anew (root)")

    kubectl = _add(commands, "kubectl", _kubectl, "run kubectl on the node's cluster (root)")
    # Every option is kubectl's.
    kubectl.prefix_chars = ""
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)

    execute = _add(commands, "exec", _exec, "run a command in a pod (root)")
    execute.add_argument("pod", metavar="NAMESPACE/POD")
    execute.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND")

    logs = _add(commands, "logs", _logs, "show the end of a program's log, or which there are")
    logs.add_argument("component", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true", help="and what comes, until Ctrl-C")


def _add(commands: Any, name: str, run: Any, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what)
    parser.set_defaults(run=run)
    return parser


def _up(_: argparse.Namespace) -> int:
    node, began = Node(), time.monotonic()
    node.up(_say)
    _say(_greeting(node, time.monotonic() - began))
    return 0


def _down(_: argparse.Namespace) -> int:
    Node().down()
    _say("the node is down, and nothing is left of it")
    return 0


def _status(_: argparse.Namespace) -> int:
    """Exit code 0 if pods can run, 1 otherwise."""
    needs.check_root()
    node = Node()
    if not node.running:
        _say("the node is not up; start it: sudo python -m hack.cluster up")
        return 1
    _say(f"the node is up; kubeconfig: {node.kubeconfig}, logs: {node.folder}/*.log")
    answer = node.kubectl("get", "nodes,pods", "--all-namespaces", "--output=wide")
    _say((answer.stdout + answer.stderr).rstrip())
    return int(answer.returncode != 0)


def _images(_: argparse.Namespace) -> int:
    for archive in images.build(binaries.ensure("etcd", "etcdctl", "envoy"), _say):
        _say(str(archive))
    return 0


def _load(_: argparse.Namespace) -> int:
    needs.check_root()
    Node().load(images.build_controller(_say))
    _say(f"loaded {images.CONTROLLER}; pods that are deleted come back with it")
    return 0


def _kubectl(options: argparse.Namespace) -> NoReturn:
    _become_kubectl(*options.arguments)


def _exec(options: argparse.Namespace) -> NoReturn:
    namespace, _, pod = options.pod.rpartition("/")
    terminal = ("--stdin", "--tty") if sys.stdin.isatty() else ("--stdin",)
    command = options.arguments[options.arguments[:1] == ["--"] :]
    _become_kubectl(
        "exec", f"--namespace={namespace or 'default'}", *terminal, pod, "--", *command
    )


def _logs(options: argparse.Namespace) -> int:
    folder = Node().folder
    logs = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if options.component in logs:
        follow = ["--follow"] if options.follow else []
        _become(["tail", f"--lines={_LOG_LINES}", *follow, str(logs[options.component])])
    if options.component:
        raise NodeError(f"no log of {options.component}; there are: {', '.join(logs) or 'none'}")
    _say("\n".join(logs) or f"there are no logs in {folder}")
    return 0


def _become_kubectl(*arguments: str) -> NoReturn:
    needs.check_root()
    node = Node()
    _become(node.entering(node.kubectl_command(*arguments)))


def _become(argv: list[str]) -> NoReturn:
    """Let another program have our terminal and signals, and give our exit code."""
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is what is meant


def _greeting(node: Node, seconds: float) -> str:
    program = f"{os.path.relpath(sys.executable)} -m hack.cluster"
    return f"""
The node is up after {seconds:.1f} s. Nothing outside it reaches its network, so go through:

  {program} kubectl get pods --all-namespaces
  {program} exec NAMESPACE/POD -- COMMAND
  {program} logs kubelet
  {program} down

Its kubeconfig: {node.kubeconfig}"""


def _say(text: str) -> None:
    print(text, flush=True)
