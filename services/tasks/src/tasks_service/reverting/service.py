"""Making a task what it was: a change like any other, whose values come from the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from chassis.errors import ErrorDetail
from chassis.identity import Principal
from pydantic import ValidationError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.categories.schemas import CATEGORY
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import is_same
from tasks_service.labels.schemas import LABEL
from tasks_service.names import repository as names
from tasks_service.reverting import repository
from tasks_service.reverting.errors import RevertConflict, VersionNotFound
from tasks_service.reverting.rules import Fields, as_input, before_all
from tasks_service.reverting.schemas import assignee_dropped, category_dropped, label_dropped
from tasks_service.subtasks.rules import Children
from tasks_service.tasks.schemas import TaskOut, TaskPatch
from tasks_service.tasks.service import KIND, lock_task, update_task
from tasks_service.versions import service as versions
from tasks_service.versions.errors import ResourceVersionConflict
from tasks_service.versions.schemas import Expectation
from tasks_service.visibility.repository import hold_members

Warnings = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Revert:
    """What is asked for: the version, the state that it is meant for, and how to pass what may be in the way."""

    to_version: int
    expected: Expectation
    children: Children = "fail"
    force: bool = False


async def revert_task(session: AsyncSession, *, task: RowMapping, wanted: Revert, actor: Principal) -> RowMapping:
    """Make a task what it was at a version, as a new version, and return it with warnings of what did not come back.

    Raises VersionNotFound, RevertConflict, and what tasks.service.update_task raises.
    """
    if not 1 <= wanted.to_version <= task["version"]:
        raise VersionNotFound(field="to_version")
    await versions.refuse_unexpected(session, KIND, task, expected=wanted.expected)
    async with changes.gathered(session, actor=actor, reason=f"revert to version {wanted.to_version}"):
        try:
            # What has been done before somebody is seen to be faster, such as completing what is below, is not told.
            async with session.begin_nested():
                return await _revert(session, task, wanted, actor)
        except ResourceVersionConflict:
            if wanted.expected.version is not None:
                raise
        # Somebody was faster; nobody is again.
        locked = await lock_task(session, task=task, actor=actor)
        return await _revert(session, locked, wanted, actor)


async def _revert(session: AsyncSession, task: RowMapping, wanted: Revert, actor: Principal) -> RowMapping:
    told = await repository.changes_after(session, entity_id=task["id"], version=wanted.to_version)
    former = _unlike(task, before_all(told))
    warnings = await drop_what_is_gone(session, task=task, former=former, actor=actor)
    row = await update_task(
        session,
        task=task,
        patch=patch_of(task, former),
        expected=Expectation(task["version"], is_given=True),
        actor=actor,
        children=wanted.children,
        force=wanted.force,
    )
    return cast("RowMapping", {**row, "warnings": [*warnings, *(row.get("warnings") or ())]})


def _unlike(task: RowMapping, former: Mapping[str, Any]) -> Fields:
    """Return the fields that are not as they were, as a patch has them."""
    now = TaskOut.of(task).model_dump(mode="json")
    return as_input({name: value for name, value in former.items() if name in now and not is_same(now[name], value)})


def patch_of(task: RowMapping, former: Mapping[str, Any]) -> TaskPatch:
    """Return the patch that gives a task these fields. Raises RevertConflict for what can't be said any more."""
    # Else the status would follow the assignees.
    fields = {"status": task["status"], **former} if "assignees" in former else former
    if fields.get("status") not in {None, *dict(task["statuses"])}:
        raise RevertConflict(details=[_conflict("status")])
    try:
        return TaskPatch.model_validate(fields)
    except ValidationError as error:
        names = sorted({str(one["loc"][0]) for one in error.errors() if one["loc"]})
        raise RevertConflict(details=[_conflict(name) for name in names]) from None


def _conflict(field: str) -> ErrorDetail:
    return ErrorDetail(RevertConflict.code, "What this was is there no more.", field)


async def drop_what_is_gone(session: AsyncSession, *, task: RowMapping, former: Fields, actor: Principal) -> Warnings:
    """Take out of the fields who sees the task no more, and labels and a category that are gone; tell of each."""
    dropped = await _drop_people(session, task, former)
    return [*dropped, *await _drop_names(session, task, former, actor)]


async def _drop_people(session: AsyncSession, task: RowMapping, former: Fields) -> Warnings:
    people = [UUID(one) for one in former.get("assignees", ())]
    if not people:
        return []
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=people)
    readers = await assignees.readers_among(session, task_id=task["id"], user_ids=people)
    former["assignees"] = [str(one) for one in people if one in readers]
    return [assignee_dropped(one) for one in people if one not in readers]


async def _drop_names(session: AsyncSession, task: RowMapping, former: Fields, actor: Principal) -> Warnings:
    place = {"caller": actor, "workspace_id": task["workspace_id"]}
    warnings: Warnings = []
    if former.get("category_id"):
        category_id = UUID(former["category_id"])
        if not await names.keep_usable(session, CATEGORY.table, row_ids=[category_id], **place):
            former["category_id"] = None
            warnings.append(category_dropped(category_id))
    if former.get("labels"):
        labels = [UUID(one) for one in former["labels"]]
        kept = await names.keep_usable(session, LABEL.table, row_ids=labels, shared_only=True, **place)
        former["labels"] = [str(one) for one in labels if one in kept]
        warnings += [label_dropped(one) for one in labels if one not in kept]
    return warnings
