"""Tasks that another system keeps, too, and names by its own ids."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.service import follow_task
from tasks_service.changes import service as changes
from tasks_service.dues.rules import due_day
from tasks_service.external_ids import repository
from tasks_service.external_ids.repository import Elsewhere
from tasks_service.references.service import References, told_at_once
from tasks_service.subtasks.repository import lock_tree
from tasks_service.subtasks.service import check_place, follow_tree
from tasks_service.tasks.errors import DatesOutOfOrder, TaskNotFound
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.tasks.rules import are_in_order
from tasks_service.tasks.schemas import TaskUpsert
from tasks_service.tasks.service import (
    KIND,
    Edit,
    check_completion,
    drafts_of_new,
    prepare_task,
    project_of,
    task_columns,
)
from tasks_service.versions import service as versions
from tasks_service.versions.errors import ResourceVersionConflict
from tasks_service.versions.schemas import ANYTHING, Expectation


async def put_task(
    session: AsyncSession, *, elsewhere: Elsewhere, wanted: TaskUpsert, actor: Principal, expected: Expectation
) -> tuple[RowMapping, bool]:
    """Make the task that is called so elsewhere, or bring it to what is wanted; return it, and whether it is new.

    What is as wanted already changes nothing: no version, no event. Raises what
    project_of, prepare_task and check_place raise, AssigneeNoAccess, DatesOutOfOrder, OpenSubtasks, Blocked,
    ResourceVersionConflict.
    """
    project = await project_of(session, wanted=wanted, actor=actor)
    above: list[UUID] = []
    # Who sees the task, should it be there, is not looked at before it is known.
    async with told_at_once(session, replace(References.of_new(wanted, project), assignees={}), actor):
        new = await prepare_task(session, wanted=wanted, project=project, actor=actor)
        if wanted.parent_id is not None:
            above = await _above(session, project, wanted.parent_id, elsewhere, actor)
    values = {**new, "external_source": elsewhere.source, "external_id": elsewhere.id}
    done = await repository.upsert(session, values, given=task_columns(wanted.given()).keys())
    if done is None:
        row = await repository.find_visible(session, caller=actor, elsewhere=elsewhere, project_id=project["id"])
        if row is None:
            raise TaskNotFound
        await versions.refuse_stale(session, KIND, row, wanted={}, expected=expected)
        return row, False
    before, after = done[0] and _keyed(done[0], project), _keyed(done[1], project)
    await _refuse_unexpected(session, before, expected)
    if not are_in_order(after["start_date"], due_day(cast("Mapping[str, Any]", after)), after["deadline"]):
        raise DatesOutOfOrder
    if before is None:
        drafts = await drafts_of_new(session, after, actor)
    else:
        if before["status_category"] != "done" and after["status_category"] == "done":
            edit = Edit(TASK_UPDATED, values, ANYTHING)
            passage = await check_completion(session, task=after, edit=edit, actor=actor)
            after = cast("RowMapping", {**after, "warnings": passage.warnings})
        drafts = [task_changed(TASK_UPDATED, before, after)]
        drafts += await follow_task(session, before=before, after=after, actor_id=actor.user_id)
        drafts += await follow_tree(session, before=before, after=after, above=above)
    await changes.record(session, workspace_id=after["workspace_id"], actor=actor, drafts=drafts)
    return after, before is None


async def _refuse_unexpected(session: AsyncSession, before: RowMapping | None, expected: Expectation) -> None:
    """Raise ResourceVersionConflict when what was there is not what the caller names."""
    if before is not None:
        await versions.refuse_stale(session, KIND, before, wanted={}, expected=expected)
    elif expected.is_given:
        raise ResourceVersionConflict


async def _above(
    session: AsyncSession, project: RowMapping, parent_id: UUID, elsewhere: Elsewhere, actor: Principal
) -> list[UUID]:
    """Lock the trees of the project, and return what is above the wanted place. Raises what check_place does."""
    await lock_tree(session, project["id"])
    there = await repository.find_visible(session, caller=actor, elsewhere=elsewhere, project_id=project["id"])
    task_id = None if there is None else there["id"]
    return await check_place(session, project_id=project["id"], parent_id=parent_id, task_id=task_id, actor=actor)


def _keyed(row: RowMapping, project: RowMapping) -> RowMapping:
    return cast("RowMapping", {**row, "key": f"{project['prefix']}-{row['number']}"})
