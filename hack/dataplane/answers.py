"""Wait until a program of the data plane answers."""

import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from hack.cluster.process import Process, ProcessError

START_TIMEOUT = 120.0
"""Seconds. All of it is there within one on an idle machine; a busy one may need far more."""

_INTERVAL = 0.02


def get(url: str, *, timeout: float = 30.0, context: ssl.SSLContext | None = None) -> str:
    """Return the body of a 200; raises OSError or HTTPException, with the status of any other."""
    parts = urlsplit(url)
    connection = (
        HTTPSConnection(parts.netloc, timeout=timeout, context=context)
        if parts.scheme == "https"
        else HTTPConnection(parts.netloc, timeout=timeout)
    )
    with closing(connection):
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
    if answer.status != 200:
        raise HTTPException(f"{url}: {answer.status} {body}")
    return body


def await_answer(
    url: str,
    needed: Sequence[Process],
    *,
    timeout: float = START_TIMEOUT,
    context: ssl.SSLContext | None = None,
) -> None:
    """Wait until `url` answers with 200.

    Raises ProcessError if one of the programs that it takes has ended, or after `timeout`
    seconds, with the end of their logs.
    """
    deadline = time.monotonic() + timeout
    while True:
        for process in needed:
            process.check()
        try:
            get(url, context=context)
        except (OSError, HTTPException) as error:
            if time.monotonic() > deadline:
                logs = "".join(f"\nthe end of {p.log}:\n{p.tail()}" for p in needed)
                raise ProcessError(f"{url} after {timeout:.0f} s: {error}{logs}") from error
        else:
            return
        threading.Event().wait(_INTERVAL)
