"""Ask a server for a path until it answers with 200.

A program of its own, so that it can run where the server is: in a network namespace that
its starter is not in. It needs the standard library only and is started without `site`,
which takes 20 ms.
"""

import argparse
import http.client
import ssl
import threading

INTERVAL = 0.05
"""Seconds between two questions."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="probe")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.ca)
    context.load_cert_chain(options.cert, options.key)
    connection = http.client.HTTPSConnection(
        options.host, options.port, context=context, timeout=5
    )
    never = threading.Event()
    while (answer := ask(connection, options.path)) != "200":
        print(answer, flush=True)
        never.wait(INTERVAL)
    print(answer)


def ask(connection: http.client.HTTPConnection, path: str) -> str:
    """Return the status code, or why there is none."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return str(error)
    return str(answer.status)


if __name__ == "__main__":
    main()
