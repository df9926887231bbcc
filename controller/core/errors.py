"""What can go wrong with a call to the core etcd. The messages say what to do."""


class CoreError(Exception):
    """The core answered with an error that is none of those below."""


class UnreachableError(CoreError):
    """No member of the core answered, or none in time; whether it acted is not known."""


class DeniedError(CoreError):
    """The core does not take us for root."""


class NotFoundError(CoreError):
    """There is no such user, role, permission or grant."""


class AlreadyExistsError(CoreError):
    """There is a user or role of this name already."""


class CompactedError(CoreError):
    """What was at this revision is compacted away."""


class ClosedError(CoreError):
    """The client was closed, before the call or while it waited."""
