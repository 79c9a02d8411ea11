"""How changes of tasks, and of the parts of tasks, are turned back."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.assignees.errors import AssigneeMissing
from tasks_service.assignees.events import ASSIGNEE_UPDATED
from tasks_service.assignments import service as assignments
from tasks_service.checklists import service as checklists
from tasks_service.checklists.events import (
    CHECKLIST_ITEM_CREATED,
    CHECKLIST_ITEM_DELETED,
    CHECKLIST_ITEM_UPDATED,
)
from tasks_service.checklists.schemas import ChecklistItemPatch
from tasks_service.inverses.schemas import WHATEVER, Inverse, Step
from tasks_service.inverses.service import impossible, in_use, is_there, patch_of, the_task
from tasks_service.moving import service as moving
from tasks_service.moving.schemas import TaskMove
from tasks_service.positions import service as positions
from tasks_service.relations import service as relations
from tasks_service.relations.events import RELATION_CREATED, RELATION_DELETED
from tasks_service.relations.rules import seen_from
from tasks_service.relations.schemas import RelationCreate
from tasks_service.reverting.errors import RevertConflict
from tasks_service.reverting.rules import OWN, as_input
from tasks_service.reverting.service import patch_of as task_patch_of
from tasks_service.subtasks.repository import list_below
from tasks_service.task_inverses import repository
from tasks_service.tasks import service as tasks
from tasks_service.tasks.events import TASK_CREATED, TASK_DELETED, TASK_MOVED, TASK_RESTORED, TASK_UPDATED
from tasks_service.trash import service as trash


async def _trash_task(step: Step) -> None:
    """Move a task to the trash; one that went there with its parent just now is there.

    What has been put below it since, or said of a new one, does not go with it. Raises UndoConflict.
    """
    if await is_there(step, in_trash=True):
        return
    task = await the_task(step, "task.delete")
    below = await list_below(step.session, caller=step.actor, task_id=task["id"], limit=len(step.together) + 1)
    if not {row["id"] for row in below} <= step.together:
        raise in_use(step)
    if step.type == TASK_CREATED and await repository.has_comments(step.session, task["id"], but=step.together):
        raise in_use(step)
    await tasks.delete_task(step.session, task=task, expected=WHATEVER, actor=step.actor)


async def _restore_task(step: Step) -> None:
    """Take a task out of the trash; one that came out with its parent just now is out."""
    if await is_there(step):
        return
    task = await the_task(step, "task.restore", in_trash=True)
    restored = await trash.restore_task(step.session, task=task, actor=step.actor)
    step.warnings.extend(restored.warnings)


async def _change_task(step: Step, *, was_at: str | None = None) -> None:
    """Give a task what it had before, its place among it, which is `was_at` where that did not change."""
    task = await the_task(step, "task.edit")
    fields = as_input(step.old, (*OWN, "parent_id"))
    if fields:
        try:
            patch = task_patch_of(task, fields)
        except RevertConflict as error:
            raise impossible(step, error.details[0].message, error.details[0].field) from None
        task = await tasks.update_task(step.session, task=task, patch=patch, expected=WHATEVER, actor=step.actor)
    position = step.old.get("position", was_at)
    if position is not None:
        await positions.put_back(step.session, task=task, position=position, actor=step.actor)


async def _move_back(step: Step) -> None:
    """Move a task with all below it to where it was, with what else it was there; its key there is a new one.

    One that has moved back with its parent just now is there, and so is one in the trash, which stays as it is.
    """
    if await is_there(step, in_trash=True):
        return
    task = await the_task(step, "task.move")
    former = UUID(step.old["project_id"])
    if task["project_id"] != former:
        wanted = TaskMove(project_id=former, status_map=await _statuses_back(step, task, former))
        await moving.move_task(step.session, task=task, wanted=wanted, expected=WHATEVER, actor=step.actor)
    # Its place there may be called as the one here was.
    await _change_task(step, was_at=step.resource["position"])


async def _statuses_back(step: Step, task: RowMapping, project_id: UUID) -> dict[str, str]:
    """Return what becomes of statuses that the former project does not have; others are set for each task by itself.

    Raises ProjectNotFound, Forbidden, ProjectArchived.
    """
    here, there = dict(task["statuses"]), await tasks.target_project(step.session, project_id, step.actor)
    known = {key for key, _ in there["statuses"]}
    return {now: was for now, was in step.former_statuses.items() if now in here and now not in known and was in known}


async def _answer(step: Step) -> None:
    task = await the_task(step, "task.answer")
    user_id = UUID(step.resource["user_id"])
    if user_id != step.actor.user_id:
        task = await the_task(step, "task.edit")
    try:
        await assignments.answer(step.session, task=task, user_id=user_id, state=step.old["state"], actor=step.actor)
    except AssigneeMissing:
        raise impossible(step, "This is no assignee any more.") from None


async def _delete_item(step: Step) -> None:
    task = await the_task(step, "task.edit")
    item = await checklists.find_item(step.session, task_id=task["id"], item_id=step.entity_id)
    await checklists.delete_item(step.session, item=item, expected=WHATEVER, actor=step.actor)


async def _change_item(step: Step) -> None:
    task = await the_task(step, "task.edit")
    former = {name: value for name, value in step.old.items() if name in ChecklistItemPatch.model_fields}
    await checklists.put_item_back(
        step.session,
        task=task,
        item_id=step.entity_id,
        patch=patch_of(step, ChecklistItemPatch, former),
        position=step.old.get("position"),
        actor=step.actor,
    )


async def _restore_item(step: Step) -> None:
    task = await the_task(step, "task.edit")
    await checklists.restore_item(step.session, task=task, item=step.resource, actor=step.actor)


async def _delete_relation(step: Step) -> None:
    task = await the_task(step, "task.edit")
    await relations.remove_relation(step.session, task=task, relation_id=step.entity_id, actor=step.actor)


async def _relate(step: Step) -> None:
    task = await the_task(step, "task.edit")
    ends = [step.resource["from_task_id"], step.resource["to_task_id"]]
    is_from = ends[0] == str(task["id"])
    wanted = RelationCreate(type=seen_from(step.resource["type"], is_from=is_from), task_id=ends[1 if is_from else 0])
    await relations.add_relation(step.session, task=task, wanted=wanted, actor=step.actor, relation_id=step.entity_id)


INVERSES: Mapping[str, Inverse] = {
    TASK_CREATED: _trash_task,
    TASK_RESTORED: _trash_task,
    TASK_DELETED: _restore_task,
    TASK_UPDATED: _change_task,
    TASK_MOVED: _move_back,
    ASSIGNEE_UPDATED: _answer,
    CHECKLIST_ITEM_CREATED: _delete_item,
    CHECKLIST_ITEM_UPDATED: _change_item,
    CHECKLIST_ITEM_DELETED: _restore_item,
    RELATION_CREATED: _delete_relation,
    RELATION_DELETED: _relate,
}
