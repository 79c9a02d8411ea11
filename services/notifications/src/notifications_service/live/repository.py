"""All SQL on the replay store and on memberships."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.arrays import given_numbers, given_uuids, numbers, rows_of, uuids
from chassis.db.base import table_of
from chassis.db.projections import put_unless_newer
from chassis.db.purging import delete_batch
from chassis.db.telling import say_after_commit
from sqlalchemy import (
    RowMapping,
    Select,
    Text,
    Update,
    any_,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from notifications_service.live.models import (
    Membership,
    ProjectMember,
    ProjectPlace,
    StreamEvent,
    StreamHead,
    TaskShare,
)

event = table_of(StreamEvent)
head = table_of(StreamHead)
membership = table_of(Membership)
place = table_of(ProjectPlace)
project_member = table_of(ProjectMember)
task_share = table_of(TaskShare)

CHANNEL = "notifications_stream"
"""Where it is said, after the commit, that a stream can be read further: `<stream> <head>`."""
LOOKED_AT_ONCE = 1000
# Written out, as in their index: a plan for any parameters could not use that.
IS_COMMENT_DELETED = event.c.type == literal_column("'comment.deleted.v1'")
IS_PURGED = event.c.type.in_([literal_column("'task.purged.v1'"), literal_column("'project.purged.v1'")])
SUBJECT = literal_column("frame ->> 'subject'", Text)

OF_STREAMS = given_uuids("of_streams")
LOCK = (
    select(head.c.workspace_id, head.c.contiguous_seq)
    .where(head.c.workspace_id == any_(OF_STREAMS))
    .order_by(head.c.workspace_id)
    .with_for_update()
)


def _lock_if_known() -> Select[Any]:
    """Return the same for streams of which all are known; where one is not, nothing is locked."""
    known = head.alias("known")
    count = select(func.count()).where(known.c.workspace_id == any_(OF_STREAMS)).scalar_subquery()
    return LOCK.where(count == func.cardinality(OF_STREAMS))


def _move_heads() -> Update:
    moved = rows_of("moved", stream_id=OF_STREAMS, seq=given_numbers("to_seqs"))
    return update(head).where(head.c.workspace_id == moved.c.stream_id).values(contiguous_seq=moved.c.seq)


def _ends_of_runs_of_all() -> Select[Any]:
    asked = rows_of("asked", id=OF_STREAMS, seq=given_numbers("after_seqs"))
    following = (
        select(event.c.seq)
        .where(event.c.workspace_id == asked.c.id, event.c.seq > asked.c.seq)
        .order_by(event.c.seq)
        .limit(LOOKED_AT_ONCE)
        .lateral("following")
    )
    place = func.row_number().over(partition_by=asked.c.id, order_by=following.c.seq)
    numbered = (
        select(asked.c.id, asked.c.seq.label("before"), following.c.seq, place.label("place"))
        .select_from(asked.join(following, true()))
        .subquery("numbered")
    )
    # As long as there is no gap, the number of an event is its place after where we were.
    in_run = numbered.c.seq == numbered.c.before + numbered.c.place
    return select(numbered.c.id, func.max(numbered.c.seq).label("last")).where(in_run).group_by(numbered.c.id)


def _advance_heads() -> ReturningUpdate[Any]:
    run = _ends_of_runs_of_all().subquery("run")
    statement = update(head).where(head.c.workspace_id == run.c.id).values(contiguous_seq=run.c.last)
    return statement.returning(head.c.workspace_id, head.c.contiguous_seq)


# Made once: making them anew takes longer than what they do.
LOCK_IF_KNOWN = _lock_if_known()
MOVE_HEADS = _move_heads()
ADVANCE_HEADS = _advance_heads()


async def add_missing(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep events; a second one for the same place is the same one."""
    await session.execute(insert(event).on_conflict_do_nothing(), [dict(row) for row in rows])


async def add_events(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add events that are new."""
    await session.execute(insert(event), [dict(row) for row in rows])


async def lock_heads(session: AsyncSession, streams: Collection[UUID]) -> dict[UUID, int]:
    """Return how far each stream can be read; until the commit nobody else moves that.

    What later statements read of their events includes everything that earlier holders committed. They are locked in
    one order, so that two who want some of the same wait for each other and not in a ring.
    """
    asked = sorted(set(streams))
    if not asked:
        return {}
    found = await _locked(session, LOCK_IF_KNOWN, asked)
    if not found:
        # Nothing is held while a new one is made, since who makes the same one may want what we would hold.
        new = insert(head).values([{"workspace_id": one, "contiguous_seq": 0} for one in asked])
        await session.execute(new.on_conflict_do_nothing())
        found = await _locked(session, LOCK, asked)
    return found


async def _locked(session: AsyncSession, statement: Select[Any], streams: Sequence[UUID]) -> dict[UUID, int]:
    found = await session.execute(statement, {"of_streams": streams})
    return {row.workspace_id: row.contiguous_seq for row in found}


async def advance_heads(session: AsyncSession, before: Mapping[UUID, int]) -> dict[UUID, int]:
    """Move heads over everything that follows them without a gap, and return where they are. Needs their locks.

    That is said after the commit. It is one statement, unless very much follows in one of the streams.
    """
    after, asked = dict(before), dict(before)
    while asked:
        found = await _advanced(session, asked)
        after |= found
        # What was not looked at to its end has a gap there, or nothing after it.
        asked = {stream: seq for stream, seq in found.items() if seq - asked[stream] == LOOKED_AT_ONCE}
    return after


async def _advanced(session: AsyncSession, before: Mapping[UUID, int]) -> dict[UUID, int]:
    wanted = {"of_streams": list(before), "after_seqs": list(before.values())}
    after = {row[0]: row[1] for row in await session.execute(ADVANCE_HEADS, wanted)}
    _say(session, after)
    return after


async def move_heads(session: AsyncSession, after: Mapping[UUID, int]) -> None:
    """Let streams be read up to numbers, which is said after the commit. Needs their locks."""
    await session.execute(MOVE_HEADS, {"of_streams": list(after), "to_seqs": list(after.values())})
    _say(session, after)


def _say(session: AsyncSession, heads_now: Mapping[UUID, int]) -> None:
    for stream, seq in heads_now.items():
        say_after_commit(session, CHANNEL, f"{stream} {seq}")


async def put_membership(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in a membership unless a later state of it is known."""
    await put_unless_newer(session, membership, values, keys=["workspace_id", "user_id"])


async def put_place(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in where a project is and who sees it unless a later state of it is known."""
    await put_unless_newer(session, place, values, keys=["project_id"])


async def put_project_member(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in a role in a project unless a later state of it is known."""
    await put_unless_newer(session, project_member, values, keys=["project_id", "user_id"])


async def put_share(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in whom a task is shared with unless a later state of it is known."""
    await put_unless_newer(session, task_share, values, keys=["task_id", "user_id"])


async def memberships(reader: AsyncConnection, users: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return the workspaces that these users may see."""
    query = select(membership).where(membership.c.user_id == any_(uuids(users)), ~membership.c.removed)
    return (await reader.execute(query)).mappings().all()


async def ended_memberships(
    reader: AsyncConnection, positions: Mapping[UUID, int], *, user_id: UUID
) -> dict[UUID, int]:
    """Return by workspace with which change a user's membership ended, where that comes after a position."""
    query = select(membership.c.workspace_id, membership.c.changed_seq).where(
        membership.c.workspace_id == any_(uuids(positions)), membership.c.user_id == user_id, membership.c.removed
    )
    found = {row.workspace_id: row.changed_seq for row in (await reader.execute(query)).all()}
    return {workspace: seq for workspace, seq in found.items() if seq > positions[workspace]}


async def places(reader: AsyncConnection, projects: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the workspaces of these projects, as far as they are known; for none, nothing is asked."""
    if not projects:
        return {}
    query = select(place.c.project_id, place.c.workspace_id).where(place.c.project_id == any_(uuids(projects)))
    return {row.project_id: row.workspace_id for row in (await reader.execute(query)).all()}


async def heads(reader: AsyncConnection, workspaces: Iterable[UUID]) -> dict[UUID, int]:
    """Return how far each workspace can be read."""
    query = select(head.c.workspace_id, head.c.contiguous_seq).where(head.c.workspace_id == any_(uuids(workspaces)))
    return {row.workspace_id: row.contiguous_seq for row in (await reader.execute(query)).all()}


async def events_between(
    reader: AsyncConnection, workspace_id: UUID, *, after: int, until: int, limit: int
) -> Sequence[RowMapping]:
    """Return events in order, those after `after` and up to `until`."""
    query = (
        select(event)
        .where(event.c.workspace_id == workspace_id, event.c.seq > after, event.c.seq <= until)
        .order_by(event.c.seq)
        .limit(limit)
    )
    return (await reader.execute(query)).mappings().all()


async def are_forgotten(reader: AsyncConnection, positions: Mapping[UUID, int]) -> bool:
    """Tell whether of any stream what comes next after a position, and can be read, is not kept any more."""
    after = rows_of("asked", id=uuids(positions), seq=numbers(positions.values()))
    is_kept = exists().where(event.c.workspace_id == after.c.id, event.c.seq == after.c.seq + 1)
    query = select(
        exists()
        .select_from(after.join(head, head.c.workspace_id == after.c.id))
        .where(head.c.contiguous_seq > after.c.seq, ~is_kept)
    )
    return bool((await reader.execute(query)).scalar_one())


async def comments_deleted(
    reader: AsyncConnection, comments: Collection[str], *, workspace_id: UUID, after: int
) -> set[str]:
    """Return those of the comments that have been deleted after a change of their workspace."""
    query = (
        select(SUBJECT)
        .where(
            event.c.workspace_id == workspace_id,
            event.c.seq > after,
            IS_COMMENT_DELETED,
            any_(literal(list(comments), ARRAY(Text))) == SUBJECT,
        )
        .select_from(event)
    )
    return set((await reader.execute(query)).scalars())


async def purged_among(reader: AsyncConnection, ids: Collection[UUID], *, workspace_id: UUID) -> set[UUID]:
    """Return those of some tasks and projects that were deleted for good, as far as a workspace's stream tells.

    Whether it can be read so far does not matter, nor in which order things came.
    """
    is_asked = any_(literal([str(one) for one in ids], ARRAY(Text))) == SUBJECT
    query = select(SUBJECT).select_from(event).where(event.c.workspace_id == workspace_id, IS_PURGED, is_asked)
    return {UUID(one) for one in (await reader.execute(query)).scalars()}


async def remove_stream(session: AsyncSession, stream_id: UUID) -> None:
    """Forget the events of a stream; those that come go on counting."""
    await session.execute(delete(event).where(event.c.workspace_id == stream_id))


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Forget a batch of events that are too old to be resumed from, but none that readers have still to see.

    Return whether there may be more.
    """
    readable = exists().where(head.c.workspace_id == event.c.workspace_id, head.c.contiguous_seq >= event.c.seq)
    # What hides others, as a deletion for good does, goes after them.
    order = (event.c.occurred_at, event.c.seq)
    return await delete_batch(session, event, event.c.occurred_at < before, readable, order=order)
