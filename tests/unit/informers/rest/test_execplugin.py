"""What is said of an exec plugin that gives no credentials, at the start and later."""

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from informers import ConfigError, load_config
from tests.support.kubeconfig import V1, answer, exec_plugin, kubeconfig

User = dict[str, Any]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def missing(folder: Path, user: User) -> str:
    user["exec"]["command"] = "no-such-plugin"
    return "it cannot be run (No such file or directory); install it, or mend users[].user.exec."


def missing_with_a_hint(folder: Path, user: User) -> str:
    user["exec"].update(command="no-such-plugin", installHint="Install it by:\n  make plugin")
    return "it cannot be run (No such file or directory); Install it by: make plugin"


def not_executable(folder: Path, user: User) -> str:
    (folder / "plugin").chmod(0o600)
    return "it cannot be run (Permission denied); "


def failing(folder: Path, user: User) -> str:
    (folder / "plugin").write_text("#!/bin/sh\necho 'log in' >&2\necho first >&2\nexit 3\n")
    return "it ended with exit code 3 (log in first); run it by itself until it works"


def silent(folder: Path, user: User) -> str:
    (folder / "plugin").write_text("#!/bin/sh\nexit 4\n")
    return "it ended with exit code 4; run it by itself until it works"


def killed(folder: Path, user: User) -> str:
    (folder / "plugin").write_text("#!/bin/sh\nkill -9 $$\n")
    return "it ended with exit code -9; "


def broken(folder: Path, user: User) -> str:
    (folder / "answer").write_text("very-secret")
    return "it gave no ExecCredential that can be used (exec: failed to decode process output: "


def another_version(folder: Path, user: User) -> str:
    answer(folder, {"token": "very-secret"}, f"{V1}beta1")
    return f"(exec: plugin api version {V1}beta1 does not match {V1}); see whether users[].user."


def nothing(folder: Path, user: User) -> str:
    answer(folder, {})
    return "(exec: missing token or clientCertificateData field in plugin output); see whether"


WAYS = [missing, missing_with_a_hint, not_executable, failing, silent, killed, broken]
WAYS += [another_version, nothing]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_one_line_that_says_what_to_do(
    way: Callable[[Path, User], str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = exec_plugin(tmp_path, {"token": "t"})
    user["exec"]["args"] = ["--client-secret=very-secret"]
    said = way(tmp_path, user)
    path = kubeconfig(tmp_path, user)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    told = str(raised.value)
    assert said in told
    assert told.startswith(f"kubeconfig {path}: the exec plugin ")
    assert user["exec"]["command"] in told
    assert "very-secret" not in told
    assert "\n" not in told
    assert capfd.readouterr().err == ""
    assert caplog.messages == []


def test_in_a_terminal_it_speaks_for_itself_and_its_exit_code_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    user = exec_plugin(tmp_path, {"token": "t"})
    failing(tmp_path, user)
    monkeypatch.setattr(sys, "stdout", Terminal())
    with (tmp_path / "stdin").open("w+") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(ConfigError, match=r"it ended with exit code 3; run it by itself"):
            load_config(kubeconfig(tmp_path, user))
    assert capfd.readouterr().err == "log in\nfirst\n"


def test_one_that_fails_later_is_told_in_our_own_log_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    past = "2020-01-02T03:04:05Z"
    user = exec_plugin(tmp_path, {"token": "old", "expirationTimestamp": past})
    config = load_config(kubeconfig(tmp_path, user))
    failing(tmp_path, user)
    assert config.identity(0, 5).authorization == "Bearer old"
    told = capfd.readouterr()
    assert told.err == ""
    assert told.out.count("credentials_unusable") == 1
    assert "exit code 3" in told.out
    assert caplog.messages == []


def test_what_others_log_meanwhile_is_left_to_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError):
        load_config(kubeconfig(tmp_path, exec_plugin(tmp_path, None)))
    logging.error("of somebody else")  # noqa: LOG015 - as the package does
    assert caplog.messages == ["of somebody else"]
    assert logging.getLogger().filters == []
