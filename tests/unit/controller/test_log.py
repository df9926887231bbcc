"""Logs: one line per fact, no secrets of a traceback's frames."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from controller.log import FORMATS, LEVELS, configure_logging
from controller.pki import Authority


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def key() -> str:
    """Return a real private key, made here."""
    authority = Authority.create("ca", validity=timedelta(days=1), now=datetime.now(UTC))
    return authority.pair.key_pem.decode()


def fail_with_a_key_at_hand(key: str) -> None:
    secrets = {"key.pem": key}
    if secrets["key.pem"]:
        raise ValueError("it broke")


def log_exception(log: Any, _error: Exception) -> None:
    log.exception("broke", name="a")  # noqa: LOG004 - called by a handler


def log_error(log: Any, error: Exception) -> None:
    log.error("broke", exc_info=error, name="a")


def log_current(log: Any, _error: Exception) -> None:
    log.warning("broke", exc_info=True, name="a")  # noqa: LOG014 - called by a handler


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("log_it", [log_exception, log_error, log_current])
def test_a_key_in_a_frame_never_gets_into_a_traceback(
    key: str,
    format_: str,
    log_it: Callable[[Any, Exception], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("debug", format_)
    log = structlog.get_logger("test")
    try:
        try:
            fail_with_a_key_at_hand(key)
        except ValueError as error:
            raise RuntimeError("around it") from error
    except RuntimeError as error:
        log_it(log, error)
    out, err = capsys.readouterr()
    assert out == ""
    # The traceback is there, both parts of it, with the frame that holds the key.
    assert "fail_with_a_key_at_hand" in err
    assert "it broke" in err
    assert "around it" in err
    leaked = [line for line in key.split() if line in err]
    assert leaked == []
    assert "secrets" not in err.replace('secrets["key.pem"]', "")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("form", ["PEM", "base64", "cut off"])
def test_a_key_that_an_exception_quotes_is_taken_out(
    key: str, format_: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    encoded = base64.b64encode(key.encode()).decode()
    quoted = {"PEM": key, "base64": encoded, "cut off": key[:100]}[form]
    configure_logging("debug", format_)
    log_error(structlog.get_logger("test"), ValueError(f'wrong: {quoted}" (so it is)'))
    err = capsys.readouterr().err
    assert "wrong: (a key)" in err
    assert [line for line in quoted.split() if len(line) > 20 and line in err] == []
    assert "(so it is)" in err
    if format_ == "json":
        assert json.loads(err)["event"] == "broke"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    log = structlog.get_logger("test")
    log.info("wrote", kind="Service", number=1)
    try:
        fail_with_a_key_at_hand("k")
    except ValueError:
        log.exception("broke")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    moment = datetime.fromisoformat(first.pop("timestamp"))
    assert first == {"event": "wrote", "kind": "Service", "number": 1, "level": "info"}
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert second["level"] == "error"
    assert second["exception"].startswith("Traceback")


def test_what_is_bound_to_a_reconcile_is_on_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with structlog.contextvars.bound_contextvars(key="a"):
        structlog.get_logger("test").info("inside")
    structlog.get_logger("test").info("outside")
    inside, outside = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert inside["key"] == "a"
    assert "key" not in outside


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_hides_those_below_it(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level, "json")
    log = structlog.get_logger("test")
    for name in LEVELS:
        getattr(log, name)(name)
    shown = [json.loads(line)["level"] for line in capsys.readouterr().err.splitlines()]
    assert shown == [*LEVELS][[*LEVELS].index(level) :]


def test_for_a_person_without_colours_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")
    structlog.get_logger("test").info("wrote", kind="Service")
    err = capsys.readouterr().err
    assert "wrote" in err
    assert "kind=Service" in err
    assert "\x1b" not in err
