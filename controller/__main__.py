"""`python -m controller` is the console script `etcdproxy-controller`."""

import sys

from controller.program import main

sys.exit(main())
