"""Finding what a change was about, for who may turn it back: as the endpoints of the same actions do."""

from collections.abc import Mapping
from typing import Any, TypeVar

from chassis.errors import ErrorDetail, Forbidden
from pydantic import BaseModel, ValidationError
from sqlalchemy import RowMapping

from tasks_service.inverses.errors import UndoConflict, UndoNotPossible
from tasks_service.inverses.schemas import Step
from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.tasks.policies import held

Patch = TypeVar("Patch", bound=BaseModel)


async def the_task(step: Step, action: Action, *, in_trash: bool = False, in_archive: bool = False) -> RowMapping:
    """Return the task that a change is about. Raises TaskNotFound, Forbidden, ProjectArchived."""
    row = await _task(step, in_trash=in_trash)
    if row is None:
        raise TaskNotFound
    allow(step, action, held(step.actor, row))
    if row["is_archived"] and not in_archive:
        raise ProjectArchived
    return row


async def is_there(step: Step, *, in_trash: bool = False) -> bool:
    """Tell whether the actor sees the task, in the trash or out of it."""
    return await _task(step, in_trash=in_trash) is not None


async def _task(step: Step, *, in_trash: bool) -> RowMapping | None:
    if step.task_id is None:
        return None
    if step.task_id in step.known:
        row = step.known[step.task_id]
        return None if row is None or (row["deleted_at"] is not None) != in_trash else row
    return await tasks.find_writable(step.session, caller=step.actor, task_id=step.task_id, in_trash=in_trash)


def allow(step: Step, action: Action, mine: Held) -> None:
    """Raise Forbidden unless the actor may do this."""
    if not can(step.actor, action, mine).allowed:
        raise Forbidden


def impossible(step: Step, message: str = UndoNotPossible.message, field: str | None = None) -> UndoNotPossible:
    """Return the refusal of a change that has no way back."""
    return UndoNotPossible(
        details=[ErrorDetail(UndoNotPossible.code, message, field)], data={"types": [step.type.removesuffix(".v1")]}
    )


def in_use(step: Step) -> UndoConflict:
    """Return the refusal of taking away what others have begun to use."""
    conflict = {"entity_type": step.entity_type, "entity_id": str(step.entity_id), "field": None, "seq": None}
    message = "This is in use by now."
    return UndoConflict(details=[ErrorDetail(UndoConflict.code, message)], data={"conflicts": [conflict]})


def patch_of(step: Step, model: type[Patch], fields: Mapping[str, Any]) -> Patch:
    """Return a patch of these fields. Raises UndoNotPossible for what can't be said any more."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise impossible(step, field=str(next(iter(error.errors()))["loc"][0])) from None
