from chassis.errors import InvalidInput, NotFound


class WatcherMissing(NotFound):
    """The same answer as for a task that is not there."""


class WatcherNoAccess(InvalidInput):
    code = "USER_NOT_FOUND"
    message = "This is nobody who can see the task."
