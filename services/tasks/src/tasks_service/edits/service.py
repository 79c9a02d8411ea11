"""Changing what many tasks say of themselves at once, as one by one, where none has to do with another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.rules import is_reopened
from tasks_service.assignees.service import ask_again
from tasks_service.blockers.repository import find_open
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.edits import repository
from tasks_service.filing.service import check_filing
from tasks_service.subtasks.errors import NotApart
from tasks_service.subtasks.repository import Pair, open_below
from tasks_service.subtasks.rules import parents_affected
from tasks_service.subtasks.service import record_all, recount_locked
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.tasks.schemas import TaskPatch
from tasks_service.tasks.service import KIND, Edit, completes, edit_of, following
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation

BEYOND = frozenset({"parent_id", "assignees", "assigned_to"})
"""What is not of a task alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A locked task as it is, its merge patch, and what is said of the state that it is for."""

    task: RowMapping
    patch: TaskPatch
    expected: Expectation
    merges: bool = False


def is_plain(patch: TaskPatch) -> bool:
    """Tell whether a patch is about the task alone."""
    return patch.model_fields_set.isdisjoint(BEYOND)


async def update_tasks(session: AsyncSession, *, wanted: Sequence[Wanted], actor: Principal) -> list[RowMapping]:
    """Apply plain merge patches to tasks that are locked, as tasks.service.update_task does.

    Return them in their order. What is equal already changes nothing. Raises NotApart where one has to do with another
    one, or can't be completed as it is, and what update_task raises. The number of statements depends on how many sets
    of fields there are, not on how many tasks.
    """
    if len({one.task["id"] for one in wanted}) < len(wanted):
        raise NotApart
    edits = [(one.task, edit_of(one.patch, one.expected, merges=one.merges)) for one in wanted]
    await _keep_filing(session, wanted, actor)
    values = {row["id"]: await _values(session, row, edit, actor) for row, edit in edits}
    completed = [row for row, _ in edits if completes(row, values[row["id"]])]
    if completed and any(_opens_again(row, values[row["id"]]) for row, _ in edits):
        # It may stand in the way of what is completed after it, and not of what is before it.
        raise NotApart
    await _refuse_completing(session, completed, actor)
    return await change_all(session, rows=[row for row, _ in edits], values=values, actor=actor)


async def change_all(
    session: AsyncSession, *, rows: Sequence[RowMapping], values: Mapping[UUID, Mapping[str, Any]], actor: Principal
) -> list[RowMapping]:
    """Give locked tasks values by column, those of which are any, with all that follows; return all, in their order.

    Raises NotApart where one counts another one.
    """
    changed = await repository.change_rows(session, {one: of_it for one, of_it in values.items() if of_it})
    pairs: list[Pair] = [
        (row, cast("RowMapping", {**row, **changed[row["id"]]})) for row in rows if row["id"] in changed
    ]
    parents = [
        one
        for before, after in pairs
        for one in parents_affected(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after))
    ]
    if not {*parents}.isdisjoint(row["id"] for row in rows):
        raise NotApart
    drafts = await _drafts_of(session, pairs)
    drafts += await recount_locked(session, parents)
    await record_all(session, drafts, rows, actor)
    after = {row["id"]: row for _, row in pairs}
    return [after.get(row["id"], row) for row in rows]


async def _drafts_of(session: AsyncSession, pairs: Sequence[Pair]) -> list[ChangeDraft]:
    reopened = [after for before, after in pairs if is_reopened(before["status_category"], after["status_category"])]
    asked = await ask_again(session, [row for row in reopened if row["assignees"]])
    drafts: list[ChangeDraft] = []
    for before, after in pairs:
        drafts += [task_changed(TASK_UPDATED, before, after), *asked.get(after["id"], ())]
    return drafts


async def _keep_filing(session: AsyncSession, wanted: Sequence[Wanted], actor: Principal) -> None:
    """Keep what tasks are to be filed under, once for all that are filed alike."""
    seen: set[object] = set()
    for one in wanted:
        given = one.patch.given()
        filed = (one.task["workspace_id"], given.get("category_id"), tuple(given.get("labels") or ()))
        if filed not in seen:
            await check_filing(session, workspace_id=one.task["workspace_id"], values=given, actor=actor)
        seen.add(filed)


async def _values(session: AsyncSession, row: RowMapping, edit: Edit, actor: Principal) -> dict[str, Any]:
    """Return what an edit changes of a locked task, with what follows from that, by column."""
    await versions.refuse_unexpected(session, KIND, row, expected=edit.expected, wanted=edit.values)
    changed = versions.unlike(row, edit.values, merged=edit.merged)
    return {**changed, **following(row, changed, edit, actor)} if changed else {}


def _opens_again(row: RowMapping, values: Mapping[str, Any]) -> bool:
    return "status" in values and is_reopened(row["status_category"], dict(row["statuses"])[values["status"]])


async def _refuse_completing(session: AsyncSession, rows: Sequence[RowMapping], actor: Principal) -> None:
    """Leave it to the use case of a single task to decide on what others stand in the way of. Raises NotApart."""
    ids = [row["id"] for row in rows]
    if ids and (
        await open_below(session, caller=actor, task_ids=ids) or await find_open(session, caller=actor, task_ids=ids)
    ):
        raise NotApart
