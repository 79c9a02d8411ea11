from types import MappingProxyType

from chassis.errors import Conflict, InvalidInput


class ParentNotFound(InvalidInput):
    code = "PARENT_NOT_FOUND"
    message = "There is no such task in this project that you can see."


class Cycle(InvalidInput):
    code = "CYCLE"
    message = "A task can't be below itself."


class TooDeep(InvalidInput):
    code = "TOO_DEEP"
    message = "Subtasks go five levels deep."


class OpenSubtasks(Conflict):
    """`data.count` is how many there are at all levels; `data.task_ids` are up to a hundred that the caller sees."""

    code = "OPEN_SUBTASKS"
    message = "There are open subtasks: complete them, or say with `children` what becomes of them."
    data_example = MappingProxyType({"count": 1, "task_ids": ["0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"]})


class NotApart(Exception):
    """Tasks can't be changed together, since one has to do with another one, or waits for it: they are in turn."""
