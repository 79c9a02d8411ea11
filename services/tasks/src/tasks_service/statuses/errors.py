from types import MappingProxyType

from chassis.errors import Conflict, InvalidInput, NotFound


class StatusNotFound(InvalidInput):
    code = "STATUS_NOT_FOUND"
    message = "The project has no such status."


class StatusMissing(NotFound):
    """The same answer whether the status never was or is another project's."""


class StatusExists(Conflict):
    code = "STATUS_EXISTS"
    message = "The project has a status with this key."


class StatusInUse(Conflict):
    """`data.tasks` is how many tasks have it, those in the trash, too."""

    code = "STATUS_IN_USE"
    message = "Tasks have this status: say with `move_to` which one they get."
    data_example = MappingProxyType({"tasks": 3})


class LastStatus(Conflict):
    code = "LAST_STATUS"
    message = "A project keeps a status for open tasks and one that completes them: add another one first."


class StatusLimitReached(Conflict):
    code = "STATUS_LIMIT_REACHED"
    message = "The project has as many statuses as it may have."


class TooManyTasks(Conflict):
    code = "TOO_MANY_TASKS"
    message = "More than 10,000 tasks have this status: move some of them first."
