"""Entry of `python -m hack.cluster`; an old Python must be able to read this and `preflight`."""

import sys

from hack.cluster import preflight
from hack.cluster.errors import ClusterError


def main() -> int:
    try:
        preflight.require(preflight.python(sys.version_info[:3]))
        # Only now: an older Python stumbles over the syntax of the rest.
        from hack.cluster import cli  # noqa: PLC0415 see the line above

        return cli.main(sys.argv[1:])
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
