"""Who may import whom, read from the source: imports inside functions count as well."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = frozenset({"controller", "informers", "workqueue", "hack", "tests"})

MAY_IMPORT = {
    "controller": {"controller", "informers", "workqueue"},
    "informers": {"informers"},
    "workqueue": {"workqueue"},
    "hack": {"hack", "controller", "informers", "workqueue"},
}
"""Which of our packages each package may know."""

KEPT_OUT = {"workqueue": {"kubernetes", "urllib3"}}
"""Other people's packages that a package of ours knows nothing of."""

CRYPTOGRAPHY_AT_HOME = Path("controller/pki")
"""The only place within the three packages that deals with keys."""

PACKAGES = ("controller", "informers", "workqueue")


def imported(source: str, package: str) -> Iterator[str]:
    """Name every module that `source`, a module of the dotted `package`, imports anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: package.count(".") + 2 - node.level]
            start = [*parents] if node.level else []
            yield ".".join([*start, *([node.module] if node.module else [])])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def violations(root: Path) -> list[str]:
    """Say what breaks the layers in the tree at `root`, a line each."""
    return [
        f"{path.relative_to(root)}: {what}"
        for package in MAY_IMPORT
        for path in sorted((root / package).rglob("*.py"))
        for what in _violations_of(path.relative_to(root), path.read_text())
    ]


def _violations_of(path: Path, source: str) -> Iterator[str]:
    package = path.parts[0]
    tops = {name.partition(".")[0] for name in imported(source, ".".join(path.parts[:-1]))}
    for other in sorted(tops & OURS - MAY_IMPORT[package]):
        yield f"{package} may not import {other}"
    for other in sorted(tops & KEPT_OUT.get(package, set())):
        yield f"{package} knows no {other}"
    if package == "informers" and "etcdstorage" in source.lower():
        yield "informers knows no EtcdStorage"
    at_home = path.is_relative_to(CRYPTOGRAPHY_AT_HOME) or package not in PACKAGES
    if "cryptography" in tops and not at_home:
        yield f"cryptography is for {CRYPTOGRAPHY_AT_HOME} only"


def test_the_layers_are_kept() -> None:
    assert violations(ROOT) == []


def test_there_is_something_to_check() -> None:
    for package in MAY_IMPORT:
        assert len([*(ROOT / package).rglob("*.py")]) > 5


@pytest.mark.parametrize(
    ("path", "source", "says"),
    [
        ("informers/a.py", "import controller.plan", "informers may not import controller"),
        ("informers/a.py", "from workqueue import Queue", "informers may not import workqueue"),
        ("informers/a.py", "KIND = 'EtcdStorage'", "informers knows no EtcdStorage"),
        ("informers/a.py", "# etcdstorages are not known here", "informers knows no EtcdStorage"),
        ("workqueue/a.py", "from informers.clock import Clock", "may not import informers"),
        ("workqueue/a.py", "import json, urllib3.util", "workqueue knows no urllib3"),
        ("workqueue/a.py", "def f():\n    from kubernetes import client", "knows no kubernetes"),
        ("controller/a.py", "from tests.support import clock", "controller may not import tests"),
        ("controller/a.py", "if False:\n    import hack.demo", "controller may not import hack"),
        ("controller/a.py", "from cryptography import x509", "is for controller/pki only"),
        ("controller/pkix.py", "import cryptography.x509", "is for controller/pki only"),
        ("controller/a.py", "importlib.import_module('hack.demo')", "may not import hack"),
        ("informers/sub/a.py", "from ...controller import plan", "may not import controller"),
        ("hack/a.py", "import tests.support.clock", "hack may not import tests"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, path: str, source: str, says: str) -> None:
    module = tmp_path / path
    module.parent.mkdir(parents=True)
    module.write_text(source)
    (only,) = violations(tmp_path)
    assert only.startswith(f"{path}: ")
    assert says in only


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("controller/a.py", "import informers, workqueue\nfrom controller.api import storage"),
        ("controller/a.py", "from . import plan\nfrom .api.storage import read_storage"),
        ("controller/pki/a.py", "from cryptography import x509\nfrom ..log import FORMATS"),
        ("informers/a.py", "import kubernetes, urllib3\nfrom .store import Store"),
        ("workqueue/a.py", "import informersx, controllers\nimport threading"),
        ("hack/a.py", "from controller.pki import Authority\nimport cryptography"),
    ],
)
def test_what_is_allowed_is_no_breach(tmp_path: Path, path: str, source: str) -> None:
    module = tmp_path / path
    module.parent.mkdir(parents=True)
    module.write_text(source)
    assert violations(tmp_path) == []
