"""Giving tasks to people, and what they say of them. Each is part of one transaction that its caller commits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.errors import AssigneeMissing, AssigneeNoAccess
from tasks_service.assignees.events import assignee_updated
from tasks_service.assignees.rules import State, status_after_answer, with_more, without
from tasks_service.changes import service as changes
from tasks_service.tasks import service as tasks
from tasks_service.tasks.events import TASK_UPDATED
from tasks_service.tasks.service import Edit
from tasks_service.versions.schemas import Expectation

BY_ITSELF = Expectation(is_given=True)
"""What follows from an answer is for whatever state the task is in."""


async def assign_all(
    session: AsyncSession, *, task: RowMapping, user_ids: Sequence[UUID], expected: Expectation, actor: Principal
) -> RowMapping:
    """Make these users the assignees of a task, the first one being the primary one; return the task.

    Raises what tasks.service.apply_edit raises.
    """
    locked = await tasks.lock_for_assignment(session, task=task, new=user_ids, actor=actor)
    return await _become(session, locked, user_ids, Edit(TASK_UPDATED, {}, expected, "user_ids.{}"), actor)


async def assign_more(
    session: AsyncSession,
    *,
    task: RowMapping,
    user_ids: Sequence[UUID],
    expected: Expectation,
    actor: Principal,
    field: str = "user_ids.{}",
) -> tuple[RowMapping, bool]:
    """Add assignees to a task; return the task, and whether there are more. Raises likewise, TooManyAssignees.

    `field` names the input of an assignee by its index.
    """
    locked = await tasks.lock_for_assignment(session, task=task, new=user_ids, actor=actor)
    wanted = with_more(locked["assignees"], user_ids)
    try:
        row = await _become(session, locked, wanted, Edit(TASK_UPDATED, {}, expected, "{}"), actor)
    except AssigneeNoAccess as refusal:
        # They were told by their place among all.
        refusal.details = tuple(
            replace(one, field=field.format(user_ids.index(wanted[int(one.field or 0)]))) for one in refusal.details
        )
        raise
    return row, wanted != locked["assignees"]


async def unassign(
    session: AsyncSession, *, task: RowMapping, user_ids: Collection[UUID], expected: Expectation, actor: Principal
) -> RowMapping:
    """Take assignees off a task, if they are some; return the task. Raises what tasks.service.apply_edit raises."""
    locked = await tasks.lock_task(session, task=task, actor=actor)
    wanted = without(locked["assignees"], user_ids)
    return await _become(session, locked, wanted, Edit(TASK_UPDATED, {}, expected), actor)


async def _become(
    session: AsyncSession, task: RowMapping, wanted: Sequence[UUID], edit: Edit, actor: Principal
) -> RowMapping:
    values = await tasks.assignment(session, task, wanted)
    named = Edit(edit.event_type, values, edit.expected, edit.assignee_field)
    return await tasks.apply_edit(session, task=task, edit=named, actor=actor)


async def answer(
    session: AsyncSession, *, task: RowMapping, user_id: UUID, state: State, actor: Principal
) -> RowMapping:
    """Note what an assignee says of a task, which completes it when its policy is satisfied; return the task.

    Those who answer at once wait for each other, so that one of them completes it. Raises AssigneeMissing, and what a
    change of the status raises.
    """
    locked = await tasks.lock_task(session, task=task, actor=actor)
    before = {row["user_id"]: row for row in await assignees.list_of(session, [task["id"]])}
    if user_id not in before:
        raise AssigneeMissing
    row = before[user_id]
    if row["state"] == state:
        return locked
    await assignees.answer(session, task_id=task["id"], user_id=user_id, state=state)
    states = {**{one: found["state"] for one, found in before.items()}, user_id: state}
    draft = assignee_updated(cast("RowMapping", {**row, "state": state}), locked, was=row["state"])
    status = status_after_answer(cast("Mapping[str, Any]", locked), list(states.values()))
    if status is None:
        await changes.record(session, workspace_id=locked["workspace_id"], actor=actor, drafts=[draft])
        return locked
    edit = Edit(TASK_UPDATED, {"status": status}, BY_ITSELF, also=[draft])
    return await tasks.apply_edit(session, task=locked, edit=edit, actor=actor)
