"""The values of flags: each function reads one, and says in a line what is wrong with it."""

import argparse
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from controller.api.durations import parse_duration
from controller.api.names import is_dns_label, is_dns_subdomain

_HOST_PORT: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9][-_.a-zA-Z0-9]*)(:[0-9]+)?")
_IMAGE: Final = re.compile(
    r"([a-zA-Z0-9][-a-zA-Z0-9.]*(:[0-9]+)?/)?"  # registry
    r"[a-z0-9][-a-z0-9._/]*(:\w[-\w.]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_BIND_ADDRESS: Final = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[a-zA-Z0-9][-.a-zA-Z0-9]*))?:(?P<port>[0-9]{1,5})"
)
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_MOST_REQUESTS: Final = 1_000_000
"""A second, or at once: above that a limit is none."""

_LAST_PORT: Final = 65535

_SHORTEST_RESYNC: Final = 1.0
"""Seconds. Below that a resync would be most of what the controller does."""

_LONGEST_PERIOD: Final = 86400.0
"""Seconds. A lease that is longer would never be waited for."""


def urls(text: str) -> list[str]:
    """Read URLs of etcd's members, comma separated; what follows host and port is refused."""
    return [_url(part.strip()) for part in text.split(",")]


def _url(text: str) -> str:
    problem = f"{text!r} is no URL of an etcd such as https://etcd.example.org:2379"
    try:
        parts = urlsplit(text)
        # urlsplit drops line breaks: what it found need not be all that was given.
        whole = text.isprintable()
        usable = whole and parts.scheme in {"http", "https"} and _host_only(parts)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{problem} ({error})") from error
    if not usable:
        raise argparse.ArgumentTypeError(problem)
    return f"{parts.scheme}://{parts.netloc}"


def _host_only(parts: SplitResult) -> bool:
    """Whether there is a host, perhaps a port and no more; a bad port raises ValueError."""
    extras = parts.query or parts.fragment or parts.path not in {"", "/"}
    return bool(_HOST_PORT.fullmatch(parts.netloc)) and parts.port != 0 and not extras


def object_name(text: str) -> str:
    if not is_dns_subdomain(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of an object")
    return text


def namespace(text: str) -> str:
    if not is_dns_label(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a namespace")
    return text


def image(text: str) -> str:
    if not _IMAGE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no reference of an image")
    return text


def names(text: str) -> frozenset[str]:
    """Read names of storages, comma separated."""
    found = frozenset(part.strip() for part in text.split(",") if part.strip())
    for name in found:
        if not is_dns_label(name):
            raise argparse.ArgumentTypeError(f"{name!r} is no name that a storage can have")
    return found


def workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 64")
    return int(text)


def rollouts(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of storages")
    return int(text)


def qps(text: str) -> float:
    if not _NUMBER.fullmatch(text) or float(text) > _MOST_REQUESTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of requests a second")
    return float(text)


def burst(text: str) -> int:
    if not _NUMBER.fullmatch(text) or "." in text or int(text) > _MOST_REQUESTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of requests")
    return int(text)


def resync(text: str) -> float:
    """Read a duration as seconds; 0 is never."""
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if 0 < seconds < _SHORTEST_RESYNC:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: give 0 or at least 1s")
    return seconds


def period(text: str) -> float:
    """Read a duration above 0 as seconds."""
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not 0 < seconds <= _LONGEST_PERIOD:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most 24h")
    return seconds


def boolean(text: str) -> bool:
    """Read true or false, in any of the ways that Go's flags take."""
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def bind_address(text: str) -> tuple[str, int] | None:
    """Read where to listen, as host, '' for every address, and port; 0 is nowhere."""
    if text == "0":
        return None
    found = _BIND_ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= _LAST_PORT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address to listen on such as :8080 or 127.0.0.1:8080; 0 is none"
        )
    return found["v6"] or found["host"] or "", int(found["port"])
