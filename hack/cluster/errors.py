"""The root of what a person can mend: printed as it is, without a traceback."""


class ClusterError(Exception):
    """Something about the local cluster failed; the message says what, and what to do."""
