from chassis.errors import InvalidInput, NotFound


class TaskNotFound(NotFound):
    """The same answer whether the task never was, is in the trash or belongs to others."""


class ProjectNotFound(InvalidInput):
    code = "PROJECT_NOT_FOUND"
    message = "There is no such project that you can see."


class DatesOutOfOrder(InvalidInput):
    code = "DATES_OUT_OF_ORDER"
    message = "A task starts before it is due, and is due before its deadline."
