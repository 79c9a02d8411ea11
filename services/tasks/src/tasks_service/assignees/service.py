"""What follows for assignees from a change of their task: the one function that every way of assigning goes through."""

from collections.abc import Sequence
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import ErrorDetail
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository
from tasks_service.assignees.errors import AssigneeNoAccess
from tasks_service.assignees.events import assignee_updated
from tasks_service.assignees.rules import is_reopened
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.watchers.service import watch_by_rule

FIELD = "assignees.{}"


async def follow_task(
    session: AsyncSession, *, before: RowMapping | None, after: RowMapping, actor_id: UUID, field: str = FIELD
) -> list[ChangeDraft]:
    """Make the rows say what the changed task says, and return what else changed by that.

    Who is new has to see the task, and watches it unless a rule of theirs says otherwise. When the task was opened
    again by its status, who was done is asked once more. `hold_members` has been called for who is new, and the row of
    the task is locked, since it was changed. `field` names the input of an assignee by its index.
    Raises AssigneeNoAccess.
    """
    had: list[UUID] = [] if before is None else before["assignees"]
    new = [one for one in after["assignees"] if one not in had]
    gone = [one for one in had if one not in after["assignees"]]
    drafts: list[ChangeDraft] = []
    if gone:
        await repository.remove(session, task_id=after["id"], user_ids=gone)
    if before is not None and not new and is_reopened(before["status_category"], after["status_category"]):
        drafts += (await ask_again(session, [after])).get(after["id"], [])
    if new:
        await _refuse_who_sees_nothing(session, after, new, field)
        await repository.add(session, task=after, user_ids=new, assigned_by=actor_id, now=utcnow())
        drafts += await watch_by_rule(session, task=after, user_ids=new, rule="assigned")
    return drafts


async def ask_again(session: AsyncSession, tasks: Sequence[RowMapping]) -> dict[UUID, list[ChangeDraft]]:
    """Ask who was done with locked tasks once more, and return the changes by task."""
    by_id = {one["id"]: one for one in tasks}
    asked: dict[UUID, list[ChangeDraft]] = {}
    for row in await repository.take_back_done(session, by_id) if by_id else ():
        draft = assignee_updated(row, by_id[row["task_id"]], was="done")
        asked.setdefault(row["task_id"], []).append(draft)
    return asked


async def _refuse_who_sees_nothing(session: AsyncSession, task: RowMapping, new: list[UUID], field: str) -> None:
    readers = await repository.readers_among(session, task_id=task["id"], user_ids=new)
    blind = [index for index, one in enumerate(task["assignees"]) if one in new and one not in readers]
    if blind:
        code, message = AssigneeNoAccess.code, AssigneeNoAccess.message
        raise AssigneeNoAccess(details=[ErrorDetail(code, message, field.format(index)) for index in blind])
