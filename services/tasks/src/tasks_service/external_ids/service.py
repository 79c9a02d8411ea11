"""Tasks that another system keeps, too, and names by its own ids."""

from collections.abc import Mapping
from typing import Any, cast

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.service import follow_task
from tasks_service.changes import service as changes
from tasks_service.dues.rules import due_day
from tasks_service.external_ids import repository
from tasks_service.external_ids.repository import Elsewhere
from tasks_service.tasks.errors import DatesOutOfOrder, TaskNotFound
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.tasks.rules import are_in_order
from tasks_service.tasks.schemas import TaskUpsert
from tasks_service.tasks.service import drafts_of_new, prepare_task, task_columns


async def put_task(
    session: AsyncSession, *, elsewhere: Elsewhere, wanted: TaskUpsert, actor: Principal
) -> tuple[RowMapping, bool]:
    """Make the task that is called so elsewhere, or bring it to what is wanted; return it, and whether it is new.

    What is as wanted already changes nothing: no version, no event. Raises what
    prepare_task raises, AssigneeNoAccess, DatesOutOfOrder.
    """
    project, new = await prepare_task(session, wanted=wanted, actor=actor)
    values = {**new, "external_source": elsewhere.source, "external_id": elsewhere.id}
    done = await repository.upsert(session, values, given=task_columns(wanted.given()).keys())
    if done is None:
        row = await repository.find_visible(session, caller=actor, elsewhere=elsewhere, project_id=project["id"])
        if row is None:
            raise TaskNotFound
        return row, False
    before, after = done[0] and _keyed(done[0], project), _keyed(done[1], project)
    if not are_in_order(after["start_date"], due_day(cast("Mapping[str, Any]", after)), after["deadline"]):
        raise DatesOutOfOrder
    if before is None:
        drafts = await drafts_of_new(session, after, actor)
    else:
        drafts = [task_changed(TASK_UPDATED, before, after)]
        drafts += await follow_task(session, before=before, after=after, actor_id=actor.user_id)
    await changes.record(session, workspace_id=after["workspace_id"], actor=actor, drafts=drafts)
    return after, before is None


def _keyed(row: RowMapping, project: RowMapping) -> RowMapping:
    return cast("RowMapping", {**row, "key": f"{project['prefix']}-{row['number']}"})
