from chassis.errors import Conflict, ErrorKind, NotFound, ServiceUnavailable, VersionConflict


class ServiceAccountNotFound(NotFound):
    """The same answer whether there is no such account, or no such workspace, or the caller is no member of it."""


class ServiceAccountLimitReached(Conflict):
    code = "SERVICE_ACCOUNT_LIMIT_REACHED"
    message = "There are as many service accounts as a workspace may have: end one first."


class ServiceAccountVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the account as it is now."""


class TasksUnanswered(ServiceUnavailable):
    """The tasks service does not answer: 504, so that the gateway does not take it for a failure of this service."""

    kind = ErrorKind.GATEWAY_TIMEOUT
