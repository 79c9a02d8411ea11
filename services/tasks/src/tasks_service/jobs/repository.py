"""All SQL on jobs."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.telling import say_after_commit
from chassis.identity import Principal
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Interval,
    RowMapping,
    String,
    Text,
    any_,
    bindparam,
    case,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from tasks_service.jobs.models import Job, JobItem
from tasks_service.jobs.rules import CANCELLED, FAILED, OPEN, PENDING, QUEUED, RUNNING, SUCCEEDED
from tasks_service.jobs.schemas import ItemResult
from tasks_service.visibility.repository import IDS, member, person, seen, seen_by, sight_of

job = table_of(Job)
item = table_of(JobItem)

Reader = AsyncSession | AsyncConnection
Values = Mapping[str, Any]

CHANNEL = "tasks_jobs"
"""On which workers are told that there is a job."""
NOW = func.clock_timestamp()
"""The clock of leases: that of the database, since workers are on several machines."""
ADD_ITEMS = text(
    """
    INSERT INTO tasks.job_item (job_id, index, workspace_id, created_by, operation, outcome)
    SELECT :job_id, place - 1, :workspace_id, :created_by, operation, 'pending'
    FROM jsonb_array_elements(:operations) WITH ORDINALITY AS given (operation, place)
    """
).bindparams(bindparam("operations", type_=JSONB))
LOCK_MAKER = text("SELECT pg_advisory_xact_lock(hashtextextended('jobs of ' || :user_id, 0))")
FREE = job.c.finished_at.is_(None) & (job.c.lease_until <= NOW)


async def count_open(session: AsyncSession, user_id: UUID) -> int:
    """Return how many jobs of somebody are not done, while nobody else of theirs starts one."""
    await session.execute(LOCK_MAKER, {"user_id": str(user_id)})
    query = select(func.count()).where(job.c.created_by == user_id, job.c.finished_at.is_(None))
    return await session.scalar(query) or 0


async def add(session: AsyncSession, values: Values) -> RowMapping:
    """Insert a job, and wake the workers after the commit."""
    statement = insert(job).values(**values, status=QUEUED, lease_until=NOW).returning(*job.c)
    row = (await session.execute(statement)).mappings().one()
    say_after_commit(session, CHANNEL)
    return row


async def add_items(session: AsyncSession, row: RowMapping, operations: Sequence[Values]) -> None:
    """Insert the operations of a job, in their order."""
    of_job = {"job_id": row["id"], "workspace_id": row["workspace_id"], "created_by": row["created_by"]}
    await session.execute(ADD_ITEMS, {**of_job, "operations": list(operations)})


def _own(caller: Principal) -> list[ColumnElement[bool]]:
    """Return the conditions for rows of `job` joined to `member`: the caller's, within the reach of its credential."""
    conditions = [job.c.created_by == caller.user_id, *seen(sight_of(caller))]
    if caller.workspace_id is not None:
        conditions.append(job.c.is_confined)
    if caller.project_ids is not None:
        conditions.append(job.c.project_ids.contained_by(bindparam("only_projects", type_=IDS)))
    return conditions


SHOWN = job.join(member, member.c.workspace_id == job.c.workspace_id)


async def find(reader: Reader, caller: Principal, job_id: UUID) -> RowMapping | None:
    """Return a job of the caller."""
    query = select(*job.c).select_from(SHOWN).where(job.c.id == job_id, *_own(caller))
    return (await reader.execute(query, seen_by(caller))).mappings().one_or_none()


async def list_own(
    reader: Reader,
    caller: Principal,
    *,
    statuses: Collection[str],
    kinds: Collection[str],
    before: UUID | None,
    after: UUID | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return jobs of the caller, the newest first; see chassis.paging.Walk.

    A token that may not read at all is shown what it has started itself.
    """
    query = select(*job.c).select_from(SHOWN).where(*_own(caller)).limit(limit)
    if caller.scope_refusal("tasks:read", reads=True) is not None:
        query = query.where(job.c.principal["session_id"].astext == str(caller.session_id))
    if statuses:
        query = query.where(job.c.status.in_(statuses))
    if kinds:
        query = query.where(job.c.kind.in_(kinds))
    if before is not None:
        query = query.where(job.c.id < before)
    if after is not None:
        query = query.where(job.c.id > after)
    query = query.order_by(job.c.id.desc() if after is None else job.c.id)
    return (await reader.execute(query, seen_by(caller))).mappings().all()


async def list_items(
    reader: Reader,
    row: RowMapping,
    *,
    outcome: str | None,
    before: int | None,
    after: int | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return what became of the operations of a job, in their order; see chassis.paging.Walk."""
    query = select(*item.c).where(item.c.job_id == row["id"]).limit(limit)
    if outcome is not None:
        query = query.where(item.c.outcome == _kept_as(outcome, row["status"]))
    if before is not None:
        query = query.where(item.c.index < before)
    if after is not None:
        query = query.where(item.c.index > after)
    query = query.order_by(item.c.index if before is None else item.c.index.desc())
    return (await reader.execute(query)).mappings().all()


def _kept_as(outcome: str, status: str) -> str:
    """Return how operations of an outcome are kept: those that a job will not come to are still pending."""
    will_not = status in {CANCELLED, FAILED}
    swapped = {CANCELLED: PENDING, PENDING: CANCELLED} if will_not else {}
    return swapped.get(outcome, outcome)


async def ask_to_cancel(session: AsyncSession, job_id: UUID) -> RowMapping | None:
    """Cancel a job that nobody works on, and tell who works on it that it is cancelled; None if it is or has ended."""
    is_queued = job.c.status == QUEUED
    statement = (
        update(job)
        .where(job.c.id == job_id, job.c.status.in_(OPEN), job.c.cancel_requested_at.is_(None))
        .values(
            status=case((is_queued, CANCELLED), else_=job.c.status),
            finished_at=case((is_queued, NOW)),
            cancel_requested_at=NOW,
            version=job.c.version + 1,
        )
        .returning(*job.c)
    )
    return (await session.execute(statement)).mappings().one_or_none()


async def take(session: AsyncSession, kinds: Collection[str], lease: timedelta) -> RowMapping | None:
    """Take the job whose turn it is: of makers with the fewest jobs under way the one that has waited longest.

    Whoever had it before can commit nothing any more.
    """
    wanted = {"of_kinds": list(kinds), "lease": lease}
    found: RowMapping | None = (await session.execute(_taking(), wanted)).mappings().one_or_none()
    return found


@cache
def _taking() -> ReturningUpdate[Any]:
    others = job.alias("others")
    under_way = (
        select(func.count())
        .where(others.c.created_by == job.c.created_by, others.c.finished_at.is_(None), others.c.lease_until > NOW)
        .scalar_subquery()
    )
    next_one = (
        select(job.c.id)
        .where(FREE, job.c.kind == any_(bindparam("of_kinds", type_=ARRAY(Text))))
        .order_by(under_way, job.c.lease_until, job.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(job)
        .where(job.c.id == next_one)
        .values(
            status=RUNNING,
            started_at=func.coalesce(job.c.started_at, NOW),
            lease_until=NOW + bindparam("lease", type_=Interval()),
            fence=job.c.fence + 1,
            takings=job.c.takings + 1,
            version=job.c.version + case((job.c.status == QUEUED, 1), else_=0),
        )
        .returning(*job.c)
    )


async def is_awaited(reader: Reader, kinds: Collection[str]) -> bool:
    """Tell whether there is a job that nobody works on."""
    return bool(await reader.scalar(select(exists().where(FREE, job.c.kind.in_(kinds)))))


def _held(job_id: UUID, fence: int) -> tuple[ColumnElement[bool], ...]:
    return job.c.id == job_id, job.c.fence == fence, job.c.status == RUNNING


async def find_held(session: AsyncSession, job_id: UUID, fence: int) -> RowMapping | None:
    """Return a job that is still its taker's."""
    return (await session.execute(select(*job.c).where(*_held(job_id, fence)))).mappings().one_or_none()


async def advance(
    session: AsyncSession, job_id: UUID, fence: int, *, lease: timedelta, values: Values
) -> RowMapping | None:
    """Change a job that is still its taker's, and hold it longer; None if it is another's."""
    statement = (
        update(job)
        .where(*_held(job_id, fence))
        .values(**values, lease_until=NOW + lease, attempts=0, takings=0, version=job.c.version + 1)
        .returning(*job.c)
    )
    return (await session.execute(statement)).mappings().one_or_none()


async def end(session: AsyncSession, job_id: UUID, fence: int, *, values: Values) -> RowMapping | None:
    """End a job that is still its taker's; None if it is another's."""
    statement = (
        update(job)
        .where(*_held(job_id, fence))
        .values(**values, finished_at=NOW, version=job.c.version + 1)
        .returning(*job.c)
    )
    return (await session.execute(statement)).mappings().one_or_none()


ENDED = {"status": SUCCEEDED, "finished_at": NOW}
"""What a step sets that was the last one."""


async def prolong(session: AsyncSession, job_id: UUID, fence: int, lease: timedelta) -> bool:
    """Hold a job longer; tell whether it is still its taker's."""
    statement = update(job).where(*_held(job_id, fence)).values(lease_until=NOW + lease).returning(job.c.id)
    return (await session.execute(statement)).one_or_none() is not None


async def release(session: AsyncSession, job_id: UUID, fence: int, *, pause: timedelta, attempts: int) -> None:
    """Let others take a job after a pause."""
    statement = update(job).where(*_held(job_id, fence)).values(lease_until=NOW + pause, attempts=attempts)
    await session.execute(statement)
    say_after_commit(session, CHANNEL)


async def mark_told(session: AsyncSession, job_id: UUID, now: datetime) -> None:
    """Note that the maker has been told of a job."""
    await session.execute(update(job).where(job.c.id == job_id).values(told_at=now))


async def find_maker(session: AsyncSession, row: RowMapping) -> tuple[bool, str | None]:
    """Return whether the maker of a job is in its workspace, and what the directory says of the account."""
    is_member = exists().where(member.c.workspace_id == row["workspace_id"], member.c.user_id == row["created_by"])
    status = select(person.c.status).where(person.c.id == row["created_by"]).scalar_subquery()
    found = (await session.execute(select(is_member.label("is_member"), status.label("status")))).one()
    return bool(found.is_member), found.status


async def pending_items(session: AsyncSession, job_id: UUID, limit: int) -> Sequence[RowMapping]:
    """Return the first operations of a job that are still to be done."""
    query = select(item.c.index, item.c.operation).where(item.c.job_id == job_id, item.c.outcome == PENDING)
    return (await session.execute(query.order_by(item.c.index).limit(limit))).mappings().all()


async def write_results(session: AsyncSession, job_id: UUID, results: Sequence[ItemResult]) -> None:
    """Say what became of operations."""
    given = [
        {"index": one.index, "outcome": SUCCEEDED if one.succeeded else FAILED, "told": dict(one.told)}
        for one in results
    ]
    rows = func.jsonb_to_recordset(bindparam("results", given, type_=JSONB)).table_valued(
        Column("index", Integer), Column("outcome", String), Column("told", JSONB), name="given"
    )
    rows = rows.render_derived(with_types=True)
    statement = (
        update(item)
        .where(item.c.job_id == job_id, item.c.index == rows.c.index)
        .values(outcome=rows.c.outcome, result=rows.c.told)
    )
    await session.execute(statement)


async def add_results(session: AsyncSession, row_of: Values, results: Sequence[ItemResult]) -> None:
    """Tell of what was no operation of the request, such as a line of a file."""
    rows = [
        {
            **row_of,
            "index": one.index,
            "operation": {},
            "outcome": SUCCEEDED if one.succeeded else FAILED,
            "result": dict(one.told),
        }
        for one in results
    ]
    await session.execute(insert(item), rows)


async def results_at(session: AsyncSession, job_id: UUID, indexes: Collection[int]) -> dict[int, RowMapping]:
    """Return what became of some operations, by their places."""
    query = select(item.c.index, item.c.outcome, item.c.operation, item.c.result).where(
        item.c.job_id == job_id, item.c.index == any_(bindparam("at", list(indexes)))
    )
    return {row["index"]: row for row in (await session.execute(query)).mappings()}


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Forget a batch of what ended before then, operations before their jobs; tell whether there may be more."""
    ended = job.c.finished_at < before
    if await delete_batch(session, item, item.c.job_id.in_(select(job.c.id).where(ended))):
        return True
    return await delete_batch(session, job, ended, ~exists().where(item.c.job_id == job.c.id))
