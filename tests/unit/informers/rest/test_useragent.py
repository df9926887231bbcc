"""The name in the audit log."""

import platform
import re

import pytest

from informers.rest.useragent import user_agent


def test_it_names_program_version_system_and_library() -> None:
    form = r"prog/1\.2 \(linux/[a-z0-9_]+\) kubernetes/[0-9]+\.[0-9]+\.[0-9]+"
    assert re.fullmatch(form, user_agent("prog", "1.2"))


@pytest.mark.parametrize(
    ("machine", "named"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("s390x", "s390x")]
)
def test_architectures_are_called_as_go_calls_them(
    monkeypatch: pytest.MonkeyPatch, machine: str, named: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert f"/{named})" in user_agent("prog", "1.2")
