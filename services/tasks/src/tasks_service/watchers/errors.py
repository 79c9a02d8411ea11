from chassis.errors import InvalidInput


class WatcherNoAccess(InvalidInput):
    code = "USER_NOT_FOUND"
    message = "This is nobody who can see the task."
