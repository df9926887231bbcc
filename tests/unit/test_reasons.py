"""Reasons are part of the interface: the README lists those of the code, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

NO_REASONS = {
    "Deployed": "a condition",
    "Ready": "a condition",
    "Progressing": "a condition",
    "Degraded": "a condition",
    "CertificatesReady": "a condition",
    "LeaderElection": "the reason of events about the Lease",
}
"""Names of constants that are spelt like their value, as reasons are, and are none."""

_CAMEL = re.compile(r"([A-Z]+(?![a-z])|[A-Z][a-z]+)")


def spelt(reason: str) -> str:
    """Return how the constant of a reason is called: CORE_CA_MISSING for CoreCAMissing."""
    return "_".join(part.upper() for part in _CAMEL.findall(reason))


def reasons(source: str) -> Iterator[str]:
    """Yield the reasons of conditions and events that a module defines."""
    for node in ast.parse(source).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str() as value)):
                if len(_CAMEL.findall(value)) > 1 and spelt(value) == name:
                    yield value


def in_code() -> set[str]:
    found = {
        reason
        for path in (ROOT / "controller").rglob("*.py")
        for reason in reasons(path.read_text())
    }
    return found - NO_REASONS.keys()


def listed(text: str) -> set[str]:
    """Return the reasons in the table of conditions, by its third column, and the events."""
    section = text[text.index("### Status") : text.index("### Deletion")]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("|")]
    events = section[section.index("Events are in") :]
    columns = " ".join(row[3] for row in rows if len(row) > 3)
    return set(re.findall(r"`([A-Z]\w+)`", columns + events)) - NO_REASONS.keys() - {"Core"}


def test_every_reason_of_the_code_is_in_the_readme() -> None:
    assert in_code() - listed(README) == set()


def test_the_readme_has_no_reason_that_nobody_gives() -> None:
    told = {
        node.value
        for path in (ROOT / "controller").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert listed(README) - told == set()


def test_reasons_are_found() -> None:
    source = (
        'CORE_CA_MISSING: Final = "CoreCAMissing"\nREADY: Final = "Ready"\n_X: Final = "AbC"\n'
    )
    assert set(reasons(source)) == {"CoreCAMissing"}
    assert spelt("TLSRequired") == "TLS_REQUIRED"
    assert len(in_code()) > 40
