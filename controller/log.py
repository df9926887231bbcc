"""Logs: one line per fact, as JSON or for a person, on standard error."""

import logging
import re
import sys
from typing import Any, Final

import structlog

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS: Final = ("json", "console")


_KEY: Final = re.compile(
    # Its newlines may be escaped by now.
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\+n)*(?:-----END [A-Z ]*KEY-----)?"
    # The first of these words in base64, as Secrets have it.
    r"|LS0tLS1CRUdJTi[A-Za-z0-9+/=]+"
)
"""A private key in PEM, cut off or whole; in base64 a certificate too, which looks the same."""


def configure_logging(level: str, format_: str) -> None:
    """Set up structlog for the program; `level` and `format_` are of `LEVELS` and `FORMATS`.

    Tracebacks are plain text without local variables: those of this program hold keys. What an
    exception says may quote what it was about, so keys are taken out of the lines as well.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(format_),
            _without_keys,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _rendering(format_: str) -> list[Any]:
    if format_ == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _without_keys(_logger: Any, _method: str, line: Any) -> str:
    """Come after the rendering, which makes `line` a text."""
    return _KEY.sub("(a key)", line)
