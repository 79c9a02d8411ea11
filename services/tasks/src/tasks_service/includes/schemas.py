"""Tasks of which a part is shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel

from tasks_service.tasks.schemas import NOTHING_MORE, TaskOut, TaskView

MAX_FIELDS = 60


def _in_parts(schema: dict[str, Any]) -> None:
    """Say of a schema what is always there, and what only where nobody has chosen fields."""
    schema["x-required-without-fields"] = schema["required"]
    schema["required"] = ["id"]


class TaskShown(TaskView):
    """A task as it is read. With `fields`, what is not named there is absent."""

    model_config = ConfigDict(json_schema_extra=_in_parts)


class SparseTask(RootModel[dict[str, Any]]):
    """Some of the fields of a task."""


def only(tasks: Sequence[TaskOut], fields: Sequence[str], always: Sequence[str]) -> Sequence[BaseModel]:
    """Return tasks with these fields alone, and what is included; all of them when none are named."""
    if not fields:
        return tasks
    return [SparseTask.model_construct(part_of(vars(one), fields, always)) for one in tasks]


def part_of(values: Mapping[str, Any], fields: Sequence[str], always: Sequence[str]) -> dict[str, Any]:
    """Return these fields of a task, all when none are named; what can be included, only where it was."""
    absent = NOTHING_MORE.keys() - always
    names = ("id", *fields, *always) if fields else tuple(values)
    return {name: values[name] for name in dict.fromkeys(names) if name in values and name not in absent}
