from chassis.errors import InvalidInput, NotFound, ServiceUnavailable, VersionConflict


class TaskNotFound(NotFound):
    """The same answer whether the task never was, is in the trash or belongs to others."""


class ProjectNotFound(InvalidInput):
    code = "PROJECT_NOT_FOUND"
    message = "There is no such project that you can see."


class TaskVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the task as it is now."""


class TaskBusy(ServiceUnavailable):
    code = "TASK_BUSY"
    message = "This task is being changed by many at once: try again."
