"""Runs after the other suites, on what they left: `make conformance`."""

from tests.support import conformance


def test_every_test_of_the_table_has_run_and_passed() -> None:
    reports = [conformance.REPORTS / f"{suite}.xml" for suite in conformance.SUITES]
    missing = [report.name for report in reports if not report.is_file()]
    assert not missing, f"no report of {missing}: run make unit integration first"
    modules = [m for folder in conformance.CODE for m in (conformance.ROOT / folder).rglob("*.py")]
    outdated = conformance.outdated(reports, modules)
    assert not outdated, f"code has changed since {outdated}: run make unit integration again"
    named = {
        node for line in conformance.read(conformance.DOCUMENT.read_text()) for node in line.tests
    }
    assert named
    assert sorted(named - conformance.passed(reports)) == []
