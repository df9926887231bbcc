"""What the README says that can be read elsewhere in the tree: flags, metrics, versions, links."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller import options
from controller.certmetrics import CertificateMetrics
from controller.coremetrics import CoreCertificateMetrics
from controller.storagemetrics import StorageMetrics
from hack.cluster import components, versions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = (
    *("README.md", "hack/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("artifacts/*/README.md")),
)
LINES = 400
NEVER = datetime.max.replace(tzinfo=UTC)

_LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


def section(title: str) -> str:
    _, _, rest = README.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= LINES


def test_its_table_has_every_flag_and_no_other() -> None:
    parser = options._parser({}, Path("/nonexistent"))
    known = {flag for action in parser._actions for flag in action.option_strings}
    told = {
        flag
        for line in section("Flags").splitlines()
        if line.startswith("| `-")
        for flag in re.findall(r"`(--?[a-z][a-z-]*)`", line.split("|")[1])
    }
    assert told == known - {"-h", "--help"}


def test_its_table_has_every_metric_of_storages_and_of_the_core_and_no_other() -> None:
    collectors = (
        StorageMetrics(NoStorages(), lambda: NEVER),
        CertificateMetrics(lambda: NEVER),
        CoreCertificateMetrics({}, "any", lambda: NEVER),
    )
    known = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for collector in collectors
        for family in collector.describe()
    }
    columns = "".join(
        line.split("|")[1]
        for line in section("Metrics and alerts").splitlines()
        if line.startswith("| `")
    )
    # The first of a family in full, the others by their ends.
    told = {re.sub(r"^_", "etcdproxy_storage_", name) for name in re.findall(r"`(\w+)`", columns)}
    assert told == known


class NoStorages:
    """An empty cache."""

    def list(self) -> list[dict[str, Any]]:
        return []


def test_it_names_the_versions_that_are_tested() -> None:
    parts = (
        *(components.KUBERNETES, components.SAMPLE_APISERVER),
        *(components.ETCD, components.ETCD_36),
    )
    tested = {part.version.removeprefix("v") for part in parts} | {versions.ENVOY}
    column = "".join(
        line.split("|")[2] for line in section("Compatibility").splitlines() if "|" in line
    )
    assert set(re.findall(r"\d+\.\d+\.\d+", column)) == tested


def links(document: str) -> Iterator[tuple[Path, str]]:
    """Yield the file and the heading of every link that stays in this tree."""
    here = ROOT / document
    for path, heading in _LINK.findall(here.read_text()):
        if not path.startswith(("http:", "https:")):
            yield (here.parent / path if path else here), heading


def headings(path: Path) -> set[str]:
    """Return the anchors of a document, as they are made of its headings."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    for path, heading in links(document):
        assert path.exists(), path
        assert not heading or heading in headings(path), (path, heading)
