"""What the body of a task names and is not there is told all at once (R28), whatever is looked at first."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from chassis.errors import ErrorDetail, InvalidInput
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.errors import AssigneeNoAccess
from tasks_service.assignees.service import FIELD
from tasks_service.categories.errors import CategoryNotFound
from tasks_service.labels.errors import LabelNotFound
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks.errors import ParentNotFound
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.schemas import TaskUpsert


@dataclass(frozen=True, slots=True)
class References:
    """What a body names anew, and for what: `task_id` is None for a new task of the project.

    `assignee_field` names the input of an assignee by its index.
    """

    project_id: UUID
    statuses: Sequence[tuple[str, str]]
    status: str | None
    parent_id: UUID | None
    assignees: Mapping[int, UUID]
    assignee_field: str = FIELD
    task_id: UUID | None = None

    @classmethod
    def of_new(cls, wanted: TaskUpsert, project: RowMapping) -> Self:
        """Return what a new task of the project names."""
        people = dict(enumerate(wanted.assignees))
        return cls(project["id"], project["statuses"], wanted.status, wanted.parent_id, people)

    @classmethod
    def of_change(cls, given: Mapping[str, Any], task: RowMapping) -> Self:
        """Return what fields of a task would name that it does not."""
        parent_id, primary = given.get("parent_id"), given.get("assigned_to")
        named = given.get("assignees", [primary] if primary else [])
        return cls(
            task["project_id"],
            task["statuses"],
            given.get("status"),
            None if parent_id == task["parent_id"] else parent_id,
            {index: one for index, one in enumerate(named) if one not in task["assignees"]},
            FIELD if "assignees" in given else "assigned_to",
            task["id"],
        )


@asynccontextmanager
async def told_at_once(session: AsyncSession, named: References, actor: Principal) -> AsyncIterator[None]:
    """Let the refusal of one reference tell of those that were not looked at yet, each with one statement at most.

    Categories and labels are looked at first, and assignees last; the parent of a new task comes after its status.
    """
    try:
        yield
    except (CategoryNotFound, LabelNotFound, StatusNotFound, ParentNotFound) as refusal:
        found = list(refusal.details)
        by_status, by_parent = isinstance(refusal, StatusNotFound), isinstance(refusal, ParentNotFound)
        if not by_status and named.status and named.status not in dict(named.statuses):
            found.append(_detail(StatusNotFound, "status"))
        if not by_parent and not (by_status and named.task_id):
            found += await _missing_parent(session, named, actor)
        found += await _blind_assignees(session, named)
        refusal.details = tuple(found)
        raise


async def _missing_parent(session: AsyncSession, named: References, actor: Principal) -> list[ErrorDetail]:
    if named.parent_id is None:
        return []
    parent = await tasks.find_visible(session, caller=actor, task_id=named.parent_id)
    is_there = parent is not None and parent["project_id"] == named.project_id
    return [] if is_there else [_detail(ParentNotFound, "parent_id")]


async def _blind_assignees(session: AsyncSession, named: References) -> list[ErrorDetail]:
    wanted = named.assignees
    if not wanted:
        return []
    if named.task_id is None:
        readers = await assignees.members_seeing(session, project_id=named.project_id, user_ids=wanted.values())
    else:
        readers = await assignees.readers_among(session, task_id=named.task_id, user_ids=wanted.values())
    blind = [index for index, one in wanted.items() if one not in readers]
    return [_detail(AssigneeNoAccess, named.assignee_field.format(index)) for index in blind]


def _detail(error: type[InvalidInput], field: str) -> ErrorDetail:
    return ErrorDetail(error.code, error.message, field)
