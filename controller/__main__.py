"""`python -m controller` is the console script `etcdproxy-controller`."""

import sys

from controller.cli import main

sys.exit(main())
