"""The same change of all tasks that a filter finds, when there are as many as expected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.filtering.binding import bind
from chassis.filtering.documents import parse_filter
from chassis.filtering.printing import as_json
from chassis.filtering.tree import Node
from chassis.filtering.values import Context
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.bulk import service as bulk
from tasks_service.bulk.repository import find_workspace
from tasks_service.bulk.service import Terms
from tasks_service.bulk_by_filter import repository
from tasks_service.bulk_by_filter.errors import CountMismatch
from tasks_service.bulk_by_filter.rules import reaches_archived
from tasks_service.bulk_by_filter.schemas import BulkByFilter, PatchOfMany
from tasks_service.bulk_operations.schemas import MAX_OPERATIONS, BulkUpdate
from tasks_service.bulk_steps.schemas import Outcome
from tasks_service.fields.rules import FIELDS
from tasks_service.jobs.service import start_job
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.timezones.service import zone_of
from tasks_service.versions.errors import ResourceBusy

WHERE = ""
"""Where the fields of the patch are in the body."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a filter means for who asks; `told` is what its answers say of it."""

    caller: Principal
    node: Node
    zone: ZoneInfo
    told: dict[str, Any]


async def resolve(session: AsyncSession, *, given: object, asked_for: ZoneInfo | None, caller: Principal) -> Query:
    """Return what a filter means now. Raises InvalidFilter, FilterTooComplex, InvalidInput."""
    written = parse_filter(given)
    zone = await zone_of(session, caller=caller, asked_for=asked_for)
    node = bind(written, FIELDS, Context(caller.user_id, zone, utcnow()))
    return Query(caller, node, zone, {"resolved_filter": as_json(node), "timezone": zone.key})


async def find_expected(session: AsyncSession, *, query: Query, expected_count: int) -> list[UUID]:
    """Return what a filter finds. Raises CountMismatch for another number than expected."""
    found, count = await repository.find(
        session,
        caller=query.caller,
        node=query.node,
        zone=query.zone,
        archived=reaches_archived(query.node),
        limit=MAX_OPERATIONS,
    )
    if count != expected_count:
        raise CountMismatch(data={"count": count})
    return found


def operations_on(task_ids: Sequence[UUID], patch: PatchOfMany) -> list[BulkUpdate]:
    """Return the operations that change these tasks."""
    return [BulkUpdate(op="update", id=str(one), patch=patch) for one in task_ids]


async def change_found(
    session: AsyncSession, *, query: Query, task_ids: Sequence[UUID], wanted: BulkByFilter, terms: Terms
) -> list[Outcome]:
    """Change what the filter has found, if it still finds it when it is locked; return what became of each.

    Raises ResourceBusy, since it is to be counted again then, and in atomic mode the first refusal.
    """

    async def find_again() -> None:
        if set(task_ids) != set(await find_expected(session, query=query, expected_count=wanted.expected_count)):
            raise ResourceBusy(retry_after=1)

    return await bulk.change_tasks(
        session,
        operations=operations_on(task_ids, wanted.patch),
        terms=terms,
        actor=query.caller,
        when_locked=find_again,
    )


async def start_changing(
    session: AsyncSession,
    *,
    query: Query,
    task_ids: Sequence[UUID],
    patch: Mapping[str, Any],
    terms: Terms,
    max_atomic: int,
) -> RowMapping:
    """Leave the change of what the filter has found to a job, and return that; `patch` is it as it came.

    Raises TooManyOperations, TooManyJobs, TaskNotFound for what is not there any more.
    """
    bulk.refuse_too_many(len(task_ids), terms=terms, limit=max_atomic, field="expected_count")
    workspace_id = await find_workspace(session, query.caller, task_ids=task_ids, project_ids=[])
    if workspace_id is None:
        raise TaskNotFound
    return await start_job(
        session,
        kind="bulk_by_filter",
        workspace_id=workspace_id,
        # What is the same for all is kept once.
        parameters={**terms.as_parameters(), "operation": {"op": "update", "patch": patch}},
        operations=[{"op": "update", "id": str(one)} for one in task_ids],
        actor=query.caller,
        has_results=True,
    )
