from types import MappingProxyType

from chassis.errors import Conflict, InvalidInput, NotFound


class TaskNotFound(NotFound):
    """The same answer whether the task never was, is in the trash or belongs to others."""


class ProjectNotFound(InvalidInput):
    code = "PROJECT_NOT_FOUND"
    message = "There is no such project that you can see."


class DatesOutOfOrder(InvalidInput):
    code = "DATES_OUT_OF_ORDER"
    message = "A task starts before it is due, and is due before its deadline."


class CustomTooLong(InvalidInput):
    """What a patch is small enough for may not be together with what is there."""

    code = "TOO_LONG"
    message = "This has at most 8 KiB as JSON."


class AmbiguousKey(InvalidInput):
    """A key is one task's in its workspace; `data.task_ids` are those of all workspaces of the caller."""

    code = "AMBIGUOUS_KEY"
    message = "Tasks of several workspaces have this key: name one with `workspace_id`."
    data_example = MappingProxyType(
        {"task_ids": ["0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11", "0199d3b2-7a54-7f0e-8f3a-1d1f6c0f5a13"]}
    )


class ExternalIdTaken(Conflict):
    code = "EXTERNAL_ID_TAKEN"
    message = "Another task of this project comes from there: change that, or use PUT /tasks/by-external."
