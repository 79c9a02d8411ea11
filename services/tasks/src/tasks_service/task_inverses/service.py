"""How changes of tasks, and of the parts of tasks, are turned back."""

from collections.abc import Mapping, Sequence
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
from tasks_service.edits import service as edits
from tasks_service.inverses.schemas import WHATEVER, Inverse, InverseOfMany, Step
from tasks_service.inverses.service import allow, impossible, in_use, is_there, patch_of, the_task
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
from tasks_service.subtasks.errors import NotApart
from tasks_service.subtasks.repository import find_below
from tasks_service.task_inverses import repository
from tasks_service.task_inverses.rules import outermost
from tasks_service.tasks import repository as tasks_repository
from tasks_service.tasks import service as tasks
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.tasks.events import TASK_CREATED, TASK_DELETED, TASK_MOVED, TASK_RESTORED, TASK_UPDATED
from tasks_service.tasks.policies import held
from tasks_service.trash import service as trash


async def _trash_tasks(steps: Sequence[Step]) -> None:
    """Move tasks to the trash, those that are below others of these with them; what went there just now is there.

    What has been put below them since, or said of new ones, does not go with them. Raises UndoConflict.
    """
    here = {step.entity_id: step for step in steps if not await is_there(step, in_trash=True)}
    rows = {task_id: await the_task(step, "task.delete") for task_id, step in here.items()}
    if not rows:
        return
    first, roots = steps[0], outermost({task_id: row["parent_id"] for task_id, row in rows.items()})
    for row in await find_below(first.session, caller=first.actor, task_ids=roots):
        if row["id"] not in first.together:
            raise in_use(here[row["root_id"]])
    made = [task_id for task_id, step in here.items() if step.type == TASK_CREATED]
    said = await repository.have_comments(first.session, made, but=first.together) if made else set()
    if said:
        raise in_use(here[min(said)])
    wanted = [trash.Wanted(rows[task_id]) for task_id in roots]
    await trash.delete_tasks(first.session, wanted=wanted, actor=first.actor)


async def _restore_tasks(steps: Sequence[Step]) -> None:
    """Take tasks out of the trash, what others of these are below first; what came out just now is out."""
    here = {step.entity_id: step for step in steps if not await is_there(step)}
    found = {task_id: _trashed(step) for task_id, step in here.items()}
    waiting = {task_id: row for task_id, row in found.items() if row["deleted_with"] not in found}
    followed = [step for task_id, step in here.items() if task_id not in waiting]
    while waiting:
        now = [task_id for task_id, row in waiting.items() if row["parent_id"] not in waiting]
        for task_id in now:
            await the_task(here[task_id], "task.restore", in_trash=True)
        wanted = [trash.Wanted(waiting.pop(task_id)) for task_id in now]
        for restored in await trash.restore_tasks(steps[0].session, wanted=wanted, actor=steps[0].actor):
            steps[0].warnings.extend(restored.warnings)
    for step in await _left_in_trash(followed):
        await _restore_task(step)


def _trashed(step: Step) -> RowMapping:
    """Return a task that is in the trash, whatever the actor may do with it. Raises TaskNotFound."""
    row = step.known.get(step.entity_id)
    if row is None:
        raise TaskNotFound
    return row


async def _left_in_trash(steps: Sequence[Step]) -> list[Step]:
    """Return those that did not come out of the trash with what they had gone there with."""
    if not steps:
        return []
    session, actor, known = steps[0].session, steps[0].actor, steps[0].known
    ids = [step.entity_id for step in steps]
    known.update(await tasks_repository.find_all_writable(session, caller=actor, task_ids=ids))
    return [step for step in steps if not await is_there(step)]


async def _trash_task(step: Step) -> None:
    await _trash_tasks([step])


async def _restore_task(step: Step) -> None:
    """Take a task out of the trash; one that came out with its parent just now is out."""
    if await is_there(step):
        return
    task = await the_task(step, "task.restore", in_trash=True)
    restored = await trash.restore_task(step.session, task=task, actor=step.actor)
    step.warnings.extend(restored.warnings)


async def _change_tasks(steps: Sequence[Step]) -> None:
    """Give tasks what they had before, where that is of each of them alone. Raises NotApart."""
    if any("position" in step.old for step in steps):
        raise NotApart
    wanted = [_plain(step, await the_task(step, "task.edit")) for step in steps]
    await edits.update_tasks(steps[0].session, wanted=wanted, actor=steps[0].actor)


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


async def _move_all_back(steps: Sequence[Step]) -> None:
    """Move trees of one project to the one where they were, with what each task was there. Raises NotApart."""
    rows = await _rows_of(steps)
    here = [step for step in steps if rows[step.entity_id]["deleted_at"] is None]
    places = {(rows[step.entity_id]["project_id"], UUID(step.old["project_id"])) for step in here}
    if len(places) > 1 or len({step.entity_id for step in here}) < len(here):
        raise NotApart
    for _, former in places:
        await _move_trees_back(here, rows, former)
        now = await _rows_of(here)
        there = [now[step.entity_id] for step in here]
        there = await _as_they_were(here, there)
        where = {step.entity_id: str(step.old.get("position", step.resource["position"])) for step in here}
        await positions.put_all_back(here[0].session, places=where, rows=there, actor=here[0].actor)


async def _rows_of(steps: Sequence[Step]) -> dict[UUID, RowMapping]:
    """Return the tasks as they are. Raises TaskNotFound."""
    ids = [step.entity_id for step in steps]
    rows = await tasks_repository.find_all_writable(steps[0].session, caller=steps[0].actor, task_ids=ids)
    if len(rows) < len(set(ids)):
        raise TaskNotFound
    return rows


async def _move_trees_back(steps: Sequence[Step], rows: Mapping[UUID, RowMapping], former: UUID) -> None:
    for step in steps:
        allow(step, "task.move", held(step.actor, rows[step.entity_id]))
    roots = outermost({step.entity_id: rows[step.entity_id]["parent_id"] for step in steps})
    first = steps[0]
    await moving.move_tasks(
        first.session,
        tasks_there=[rows[one] for one in roots],
        wanted=TaskMove(project_id=former, status_map=await _statuses_back(first, rows[first.entity_id], former)),
        expected=[WHATEVER] * len(roots),
        actor=first.actor,
    )


async def _as_they_were(steps: Sequence[Step], rows: Sequence[RowMapping]) -> list[RowMapping]:
    """Give tasks that have moved back the fields that the move had changed. Raises NotApart."""
    wanted = [_plain(step, row) for step, row in zip(steps, rows, strict=True)]
    for step, row in zip(steps, rows, strict=True):
        allow(step, "task.edit", held(step.actor, row))
    return await edits.update_tasks(steps[0].session, wanted=wanted, actor=steps[0].actor)


def _plain(step: Step, task: RowMapping) -> edits.Wanted:
    """Return what gives a task what it had, where that is of it alone. Raises NotApart."""
    try:
        patch = task_patch_of(task, as_input(step.old, (*OWN, "parent_id")))
    except RevertConflict:
        # It is told of the one that it is about.
        raise NotApart from None
    if not edits.is_plain(patch):
        raise NotApart
    return edits.Wanted(task, patch, WHATEVER)


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
OF_MANY: Mapping[str, InverseOfMany] = {
    TASK_CREATED: _trash_tasks,
    TASK_RESTORED: _trash_tasks,
    TASK_DELETED: _restore_tasks,
    TASK_UPDATED: _change_tasks,
    TASK_MOVED: _move_all_back,
}
