"""The rules of the house, read from the tree itself."""

import ast
import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("controller", "informers", "workqueue", "hack")

WITHOUT_A_TEST_OF_ITS_OWN = {
    "__init__": "re-exports, and no code",
    "__main__": "two lines that call the module next to it",
    "informers/clock.py": "a Protocol, and no code",
    "hack/cluster/supervisor.py": "runs as root in namespaces only: tests/e2e/test_node.py",
    "hack/cluster/sandbox.py": "the same",
}
"""Modules, by name or path, that no test module is named after, and why."""

PROMISED = (
    *("setup.cfg", "pyproject.toml", "ruff.toml", "Makefile", "README.md", "LICENSE"),
    *("CHANGELOG.md", ".ci/run", "Dockerfile", ".dockerignore"),
    # What the first controller's users type.
    *("artifacts/etcdstorage/crd.yaml", "artifacts/etcdstorage/example-etcdstorage.yaml"),
    *("artifacts/deployment/00-etcdproxy-controller.yaml", "artifacts/etcd/etcd.yaml"),
    *("artifacts/etcd/etcd-client-certs.yaml",),
    *(f"{package}/py.typed" for package in PACKAGES if package != "hack"),
)

MODULE_LINES = 400
FUNCTION_LINES = 60

_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}")
_ENCODED = re.compile(r"LS0tLS1CRUdJT[A-Za-z0-9+/=]{32,}")
_HOME = re.compile(r"(?<![\w.}])/(home/[a-z][-a-z0-9_]*/|Users/\w+/|ro{2}t/)")


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tracked() -> Iterator[tuple[str, str]]:
    """Yield path and text of every file that is or will be in the repository."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            yield name, (ROOT / name).read_bytes().decode(errors="replace")


def untested(sources: list[str], tests: set[str]) -> list[str]:
    """Return the sources, as paths from the root, that no test module is named after."""
    return [
        source
        for source in sources
        if source not in WITHOUT_A_TEST_OF_ITS_OWN
        and Path(source).stem not in WITHOUT_A_TEST_OF_ITS_OWN
        and f"test_{Path(source).stem}.py" not in tests
    ]


def too_long(source: str, *, module: int = MODULE_LINES) -> list[str]:
    """Return what of a module is too long, itself or a function by name."""
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [function.name for function in functions if _lines(function) > FUNCTION_LINES]
    return (["the module"] if source.count("\n") > module else []) + long


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def forbidden_calls(source: str) -> list[str]:
    """Return where a test sleeps, or may pass without having looked."""
    attributes = {
        *("time.sleep", "pytest.skip", "pytest.xfail", "pytest.importorskip"),
        *("pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"),
    }
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in attributes:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += sorted(names & attributes)
    return found


def secrets(text: str) -> list[str]:
    """Return what looks like a private key, in PEM or as a Secret's data carries it."""
    found = [match.group() for match in _KEY.finditer(text)]
    for match in _ENCODED.finditer(text):
        blob = match.group()
        decoded = base64.b64decode(blob[: len(blob) // 4 * 4])
        if b"PRIVATE KEY" in decoded[:64]:
            found.append(blob[:16])
    return found


def homes(text: str) -> list[str]:
    """Return the home folders that a text tells of."""
    return [match.group() for match in _HOME.finditer(text)]


def test_every_module_has_a_test_of_its_name() -> None:
    tests = {path.name for path in modules("tests")}
    sources = [str(path.relative_to(ROOT)) for path in modules(*PACKAGES)]
    assert untested(sources, tests) == []


def test_no_exemption_is_left_over() -> None:
    paths = {str(path.relative_to(ROOT)) for path in modules(*PACKAGES)}
    stems = {path.stem for path in modules(*PACKAGES)}
    assert set(WITHOUT_A_TEST_OF_ITS_OWN) <= paths | stems


@pytest.mark.parametrize("path", modules(*PACKAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    assert too_long(path.read_text()) == []


def test_no_function_of_a_test_is_too_long() -> None:
    found = {path.name: too_long(path.read_text(), module=1000) for path in modules("tests")}
    assert {name: what for name, what in found.items() if what} == {}


def test_nothing_sleeps_and_no_test_may_be_skipped() -> None:
    found = {
        str(path.relative_to(ROOT)): forbidden_calls(path.read_text())
        for path in modules("tests", *PACKAGES)
    }
    assert {name: what for name, what in found.items() if what} == {}


def test_no_private_key_and_no_home_is_in_the_tree() -> None:
    found = {name: [*secrets(text), *homes(text)] for name, text in tracked()}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("path", PROMISED)
def test_what_is_promised_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


def test_what_ci_runs_can_be_run() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


# The checks themselves, on made-up text: each of them can fail.


def test_a_module_without_a_test_is_found() -> None:
    sources = ["controller/new.py", "controller/plan.py", "hack/__init__.py", "informers/clock.py"]
    assert untested(sources, {"test_plan.py"}) == ["controller/new.py"]


def test_what_is_too_long_is_found() -> None:
    body = "    pass\n" * 60
    assert too_long(f"class C:\n  def long(self):\n{body}") == ["long"]
    assert too_long(f"def right():\n{body[9:]}") == []
    assert too_long("x = 1\n" * 401) == ["the module"]
    assert too_long("x = 1\n" * 400) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\ndef f():\n    time.sleep(1)",
        "from time import sleep",
        "@pytest.mark.skipif(True)\ndef test(): ...",
        "@pytest.mark.skip\ndef test(): ...",
        "pytestmark = pytest.mark.xfail",
        "def test():\n    pytest.skip('later')",
        "from pytest import importorskip",
    ],
)
def test_a_way_around_is_found(source: str) -> None:
    assert len(forbidden_calls(source)) == 1


def test_what_is_no_way_around_is_let_through() -> None:
    assert forbidden_calls("event.wait(1)\n'time.sleep'\nself.skip = 1  # pytest.skip") == []


def test_a_private_key_is_found_in_both_forms() -> None:
    begin = "-----BEGIN EC " + "PRIVATE KEY-----"
    pem = f"{begin}\n{'MHcCAQEE' * 8}\n"
    assert len(secrets(pem)) == 1
    assert len(secrets(f"key: |\n    {begin}\n    {'MHcCAQEE' * 8}")) == 1
    assert len(secrets(base64.b64encode(pem.encode()).decode())) == 1
    certificate = f"-----BEGIN CERTIFICATE-----\n{'MHcCAQEE' * 8}\n"
    for harmless in (begin, certificate, base64.b64encode(certificate.encode()).decode()):
        assert secrets(harmless) == []


def test_a_home_is_found() -> None:
    for text in ("cd /ho" + "me/ann/project", "'/ro" + "ot/.kube'", "/Us" + "ers/ann/x"):
        assert homes(text)
    for text in ("~/.kube/config", "$HOME/x", "rootfs/", "{folder}/root/x", "the /rootless way"):
        assert not homes(text)
