"""All SQL on the change log."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, cast
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.direct_writing import MADE_ONCE
from chassis.identity import Principal
from chassis.outbox.publishing import wake_relay
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    and_,
    any_,
    bindparam,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes.models import Change, ChangeCounter
from tasks_service.changes.schemas import ChangeDraft, Circles
from tasks_service.shares.models import TaskShare
from tasks_service.visibility.repository import PROJECTS, Sight, project, project_rank, seen, seen_by, sight_of
from tasks_service.workspaces.models import Member

change = table_of(Change)
counter = table_of(ChangeCounter)
member = table_of(Member)
share = table_of(TaskShare)

TAKE_NUMBERS = (
    update(counter)
    .where(counter.c.workspace_id == bindparam("of_workspace"))
    .values(last_seq=counter.c.last_seq + bindparam("count"))
    .returning(counter.c.last_seq)
)
MEMBERS = select(member.c.user_id, member.c.role).where(member.c.workspace_id == bindparam("of_workspace"))
READERS = (
    select(project.c.id, func.array_agg(member.c.user_id))
    .select_from(PROJECTS)
    .where(
        project.c.id == any_(bindparam("of_projects", type_=ARRAY(PG_UUID(as_uuid=True)))),
        project_rank(member.c.user_id) > 0,
    )
    .group_by(project.c.id)
)
SHARED_WITH = (
    select(share.c.task_id, func.array_agg(share.c.user_id))
    .where(share.c.task_id == any_(bindparam("of_tasks", type_=ARRAY(PG_UUID(as_uuid=True)))))
    .group_by(share.c.task_id)
)
ENTRY = (
    "workspace_id",
    "seq",
    "event_id",
    "type",
    "occurred_at",
    "actor",
    "reason",
    "quiet",
    "entity_type",
    "entity_id",
    "project_id",
    "task_id",
    "related_task_id",
    "version",
    "changes",
    "resource",
    "audience",
    "lost_by",
    "request_id",
    "traceparent",
)
"""What is said of an entry of the log as it is written; the rest is the relay's."""
APPEND = (
    insert(change)
    .values({name: bindparam(f"new_{name}", type_=change.c[name].type) for name in ENTRY})
    .execution_options(**MADE_ONCE)
)
EITHER = union_all(READERS, SHARED_WITH).execution_options(**MADE_ONCE)
HEADS_AFTER = "taskloom_heads_after"
"""Where a session has the heads that its last change of the log left, and whose they are."""


async def open_log(session: AsyncSession, workspace_id: UUID) -> None:
    """Begin the log of a new workspace."""
    await session.execute(insert(counter).values(workspace_id=workspace_id, last_seq=0))


async def take_numbers(session: AsyncSession, *, workspace_id: UUID, count: int) -> int:
    """Reserve `count` sequence numbers and return the last of them; the counter stays locked until the end.

    The relay is told, after the commit, that there is something to send.
    """
    session.info.pop(HEADS_AFTER, None)
    wake_relay(session, change)
    result = await session.execute(TAKE_NUMBERS, {"of_workspace": workspace_id, "count": count})
    return cast("int", result.scalar_one())


async def lock_next_number(session: AsyncSession, workspace_id: UUID) -> int | None:
    """Return the sequence number that the next change will have; until the end nobody else gets one.

    None for a workspace that has no log.
    """
    query = select(counter.c.last_seq).where(counter.c.workspace_id == workspace_id).with_for_update()
    last: int | None = await session.scalar(query)
    return None if last is None else last + 1


async def members_of(session: AsyncSession, workspace_id: UUID) -> Sequence[tuple[UUID, str]]:
    """Return the members of the workspace now, with their roles, in the order of their ids."""
    rows = await session.execute(MEMBERS, {"of_workspace": workspace_id})
    return sorted((row.user_id, row.role) for row in rows)


async def readers_of_projects(session: AsyncSession, project_ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Return who sees each of the projects now."""
    rows = await session.execute(READERS, {"of_projects": sorted(project_ids)})
    return {row[0]: row[1] for row in rows}


async def take_numbers_for_readers(
    session: AsyncSession, *, count: int, workspace_id: UUID, circles: Circles, caller: Principal | None
) -> tuple[int, dict[UUID, list[UUID]]]:
    """Do what take_numbers does, and return also who sees each of the projects, and whom each task is shared with.

    The statement's snapshot is older than its lock on the counter. It has what the counter's last holder committed, and
    all who were before, if the counter stands there as it was locked; otherwise who sees what is asked once more.
    The heads of a caller are kept for `heads_after`. Not within a savepoint: what is rolled back to it takes its
    numbers along.
    """
    session.info.pop(HEADS_AFTER, None)
    wake_relay(session, change)
    keeper = None if session.in_nested_transaction() else caller
    statement = _numbers_and_readers(None if keeper is None else sight_of(keeper))
    of_caller = {} if keeper is None else seen_by(keeper)
    wanted = {"of_projects": sorted(circles.projects), "of_tasks": sorted(circles.tasks)}
    result = await session.execute(
        statement, {**wanted, **of_caller, "of_workspace": workspace_id, "count": count, "of_log": workspace_id}
    )
    rows = result.mappings().all()
    found = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    [taken], before = [row["seq"] for row in found[TAKEN]], {row["seq"] for row in found[BEFORE]}
    if before != {taken - count}:
        return taken, {row[0]: row[1] for row in (await session.execute(EITHER, wanted)).all()}
    if keeper is not None:
        heads = {row["id"]: row["seq"] for row in found[HEAD]}
        session.info[HEADS_AFTER] = keeper, {one: taken if one == workspace_id else heads[one] for one in heads}
    return taken, {row["id"]: row["readers"] for row in found[READER]}


TAKEN, BEFORE, READER, HEAD = KINDS = "taken", "before", "reader", "head"
"""What the rows of _numbers_and_readers tell."""


@cache
def _numbers_and_readers(sight: Sight | None) -> CompoundSelect[Any]:
    none = as_type(null(), PG_UUID(as_uuid=True)), as_type(null(), ARRAY(PG_UUID(as_uuid=True)))
    taken = TAKE_NUMBERS.cte("taken")
    before = select(*none, counter.c.last_seq, _told(BEFORE)).where(counter.c.workspace_id == bindparam("of_log"))
    no_seq = as_type(null(), BigInteger)
    readers = [one.add_columns(no_seq, _told(READER)) for one in (READERS, SHARED_WITH)]
    shown = select(none[0].label("id"), none[1].label("readers"), taken.c.last_seq.label("seq"), _told(TAKEN))
    if sight is None:
        return union_all(shown, before, *readers).execution_options(**MADE_ONCE)
    heads = _heads(sight).with_only_columns(counter.c.workspace_id, none[1], counter.c.last_seq, _told(HEAD))
    return union_all(shown, before, *readers, heads).execution_options(**MADE_ONCE)


def _told(kind: str) -> ColumnElement[str]:
    return literal_column(f"'{kind}'", String()).label("kind")


async def readers_by_share(session: AsyncSession, task_ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
    """Return whom each of the tasks is shared with now."""
    rows = await session.execute(SHARED_WITH, {"of_tasks": sorted(task_ids)})
    return {row[0]: row[1] for row in rows}


async def is_recorded(session: AsyncSession, *, draft: ChangeDraft, event_id: UUID) -> bool:
    """Tell whether the log has an event, or this or a later version of the resource that it is about."""
    is_known = and_(change.c.entity_id == draft.entity_id, change.c.version >= draft.version)
    found = await session.scalar(select(change.c.seq).where(or_(change.c.event_id == event_id, is_known)).limit(1))
    return found is not None


async def append(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write entries of the log."""
    await session.execute(APPEND, [{f"new_{name}": row[name] for name in ENTRY} for row in rows])


@cache
def _heads(sight: Sight) -> Select[Any]:
    return (
        select(counter.c.workspace_id, counter.c.last_seq)
        .join(member, member.c.workspace_id == counter.c.workspace_id)
        .where(*seen(sight))
        .execution_options(**MADE_ONCE)
    )


@cache
def state_of_log(sight: Sight) -> Select[Any]:
    """Return the statement for what tells, in 16 bytes, where the logs stand of all that a caller sees.

    All that decides about what a caller sees is written with an entry of one of these, in one commit: as long as they
    stand there, it is as it was. Null for who sees no workspace.
    """
    head = _heads(sight).subquery("head")
    each = func.concat(head.c.workspace_id, literal_column("'-'"), head.c.last_seq)
    all_of_them = func.string_agg(each, aggregate_order_by(literal_column("','"), head.c.workspace_id))
    digest = func.encode(func.sha256(func.convert_to(all_of_them, literal_column("'UTF8'"))), literal_column("'hex'"))
    return select(as_type(func.left(digest, literal_column("32")), PG_UUID(as_uuid=True)))


async def heads_for(reader: AsyncSession | AsyncConnection, caller: Principal) -> dict[UUID, int]:
    """Return the last sequence number of each workspace that the caller may see."""
    rows = (await reader.execute(_heads(sight_of(caller)), seen_by(caller))).mappings().all()
    return {row["workspace_id"]: row["last_seq"] for row in rows}


async def heads_after(session: AsyncSession, caller: Principal) -> dict[UUID, int]:
    """Return what heads_for does after a change: as it was read with the change, when that was the caller's."""
    kept: tuple[Principal, dict[UUID, int]] | None = session.info.get(HEADS_AFTER)
    return kept[1] if kept is not None and kept[0] == caller else await heads_for(session, caller)
