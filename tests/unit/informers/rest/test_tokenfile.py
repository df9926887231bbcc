"""A token in a file: how long it counts, and what does not replace it."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from informers.errors import ConfigError
from informers.rest.tokenfile import REREAD_AFTER, TokenFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(" first\n")
    return path


def test_the_token_is_trimmed(path: Path) -> None:
    assert TokenFile(path).token(0.0) == "first"


def test_it_is_read_again_after_fifty_seconds_and_not_before(path: Path) -> None:
    token = TokenFile(path)
    assert token.token(1000.0) == "first"
    path.write_text("second\n")
    assert token.token(1049.9) == "first"
    assert token.token(1050.0) == "second"
    path.write_text("third\n")
    assert token.token(1099.9) == "second"
    assert token.token(1100.0) == "third"
    assert REREAD_AFTER == 50


def test_the_first_use_reads_it_however_long_after_the_start(path: Path) -> None:
    token = TokenFile(path)
    path.write_text("second\n")
    assert token.token(0.0) == "second"


def test_it_can_be_read_again_at_once(path: Path) -> None:
    token = TokenFile(path)
    token.token(0.0)
    path.write_text("second\n")
    token.reread(10.0)
    assert token.token(10.0) == "second"
    path.write_text("third\n")
    assert token.token(59.9) == "second"
    assert token.token(60.0) == "third"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two words", b"two\nlines", b"\xff\xfe"])
def test_what_is_no_token_leaves_the_old_one(path: Path, content: bytes | None) -> None:
    token = TokenFile(path)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert token.token(0.0) == "first"
    path.write_text("second")
    assert token.token(60.0) == "second"


def test_the_file_counts_before_the_inline_token_while_it_can_be_read(path: Path) -> None:
    token = TokenFile(path, "inline")
    assert token.token(0.0) == "first"
    assert TokenFile(path.parent / "none", "inline").token(0.0) == "inline"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        (b"", "empty"),
        (b"two words", "more than one word"),
        (b"\xff", "not text"),
    ],
)
def test_without_any_token_there_is_no_start(path: Path, content: bytes | None, says: str) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        TokenFile(path)
    assert str(caught.value) == f"token file {path}: {says}"


def test_a_new_token_is_told_and_a_file_without_one_once(path: Path) -> None:
    token = TokenFile(path)
    with capture_logs() as logs:
        token.token(0.0)
        path.write_text("second")
        token.reread(1.0)
        for content in (None, None, ""):
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(content)
            token.reread(2.0)
        path.write_text("second")
        token.reread(3.0)
        path.unlink()
        token.reread(4.0)
    gone = ("token_file_unusable", "No such file or directory")
    assert [(log["event"], log.get("problem")) for log in logs] == [
        ("token_file_renewed", None),
        gone,
        ("token_file_unusable", "empty"),
        gone,
    ]
    assert {log["path"] for log in logs} == {str(path)}
    assert "second" not in str(logs)


def test_an_inline_token_does_not_hide_that_the_file_is_missing(path: Path) -> None:
    with capture_logs() as logs:
        TokenFile(path.parent / "none", "inline")
    assert [log["event"] for log in logs] == ["token_file_unusable"]


def test_the_token_is_never_shown(path: Path) -> None:
    assert "first" not in repr(TokenFile(path))
