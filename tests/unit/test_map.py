"""The docstring of a package is the map of its modules: it names each of them, and no other."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAPPED = (
    "controller",
    *(
        f"controller/{room}"
        for room in (
            "api",
            "consumers",
            "core",
            "dataplane",
            "dataplane/gate",
            "inspection",
            "leaderelection",
            "pki",
        )
    ),
)

_NAMED = re.compile(r"`([a-z]+)`")


def rooms(package: Path) -> set[str]:
    """Return what can be imported from a package: modules, and packages within."""
    found = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    return found | {path.parent.name for path in package.glob("*/__init__.py")}


def named(package: Path) -> set[str]:
    """Return the words of the package's docstring that may be names of modules."""
    tree = ast.parse((package / "__init__.py").read_text())
    return set(_NAMED.findall(ast.get_docstring(tree) or ""))


@pytest.mark.parametrize("package", MAPPED)
def test_every_module_is_on_the_map(package: str) -> None:
    assert rooms(ROOT / package) == named(ROOT / package)


def test_what_is_left_out_and_what_is_left_over_is_found(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text('"""`one` begins, `gone` and `inner` go on."""\n')
    for name in ("one", "another", "__main__"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").touch()
    assert rooms(tmp_path) ^ named(tmp_path) == {"another", "gone"}
