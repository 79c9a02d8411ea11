"""All SQL on notifications.

Who may see one is asked with each statement, of what is known now: memberships, roles in projects, shares, and what an
API token is restricted to. What is not seen is neither shown, nor counted, nor changed.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from chassis.db.arrays import rows_of, uuids
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    FromClause,
    RowMapping,
    Select,
    and_,
    any_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.cards.repository import comment_card, place_card, task_card
from notifications_service.inbox.filters import InboxFilter
from notifications_service.inbox.models import Notification
from notifications_service.live.models import Membership, ProjectMember, ProjectPlace, TaskShare
from notifications_service.people.models import Person
from notifications_service.people.rules import DELETED, DELETED_NAME

notification = table_of(Notification)
membership = table_of(Membership)
project_member = table_of(ProjectMember)
project_place = table_of(ProjectPlace)
task_share = table_of(TaskShare)
person = table_of(Person)
its_project = place_card.alias("its_project")
its_workspace = place_card.alias("its_workspace")

Reader = AsyncConnection | AsyncSession
Key = tuple[UUID, UUID | None, UUID | None, UUID | None]
"""A user, and what is in a workspace, in a project, and of a task."""
LATEST = 5
IS_UNREAD = notification.c.read_at.is_(None)


def _project_of(told: FromClause) -> ColumnElement[UUID]:
    """Return where something is that is told of: a task moves, and with it who sees what is told of it."""
    return func.coalesce(task_card.c.project_id, told.c.project_id)


def _places_of(told: FromClause) -> FromClause:
    """Return where rows with a user, a workspace, a project and a task are looked for, by the condition `_is_seen`."""
    project = _project_of(told)
    is_member = and_(
        membership.c.workspace_id == told.c.workspace_id, membership.c.user_id == told.c.user_id, ~membership.c.removed
    )
    return (
        told.outerjoin(task_card, task_card.c.task_id == told.c.task_id)
        .outerjoin(membership, is_member)
        .outerjoin(project_place, project_place.c.project_id == project)
        .outerjoin(its_project, its_project.c.place_id == project)
        .outerjoin(its_workspace, its_workspace.c.place_id == told.c.workspace_id)
    )


def _is_seen(told: FromClause) -> ColumnElement[bool]:
    """Return whether the user of a row may see now what it tells of."""
    project = _project_of(told)
    in_project = exists().where(
        project_member.c.project_id == project,
        project_member.c.user_id == told.c.user_id,
        ~project_member.c.removed,
    )
    by_share = exists().where(
        task_share.c.task_id == told.c.task_id, task_share.c.user_id == told.c.user_id, ~task_share.c.removed
    )
    is_open = and_(membership.c.role == "member", ~func.coalesce(project_place.c.is_private, false()))
    sees = or_(project.is_(None), membership.c.role.in_(("owner", "admin")), is_open, in_project, by_share)
    gone = or_(func.coalesce(its_project.c.is_deleted, false()), func.coalesce(its_workspace.c.is_deleted, false()))
    return or_(told.c.workspace_id.is_(None), and_(membership.c.user_id.is_not(None), sees, ~gone))


PROJECT, PLACES, IS_SEEN = _project_of(notification), _places_of(notification), _is_seen(notification)

ACTOR_ID = sql_cast(notification.c.actor["id"].astext, PG_UUID(as_uuid=True))
ACTOR_NAME = case((person.c.status == DELETED, DELETED_NAME), else_=person.c.display_name)
SHOWN = (
    *notification.c,
    task_card.c.data["key"].astext.label("task_key"),
    task_card.c.data["title"].astext.label("task_title"),
    comment_card.c.excerpt,
    ACTOR_NAME.label("actor_name"),
    its_project.c.name.label("project_name"),
    its_workspace.c.name.label("workspace_name"),
)
SHOWN_FROM = PLACES.outerjoin(comment_card, comment_card.c.comment_id == notification.c.comment_id).outerjoin(
    person, person.c.user_id == ACTOR_ID
)


def mine(caller: Principal) -> list[ColumnElement[bool]]:
    """Return the conditions for what a caller has in the inbox and may see, on rows of PLACES."""
    conditions = [notification.c.user_id == caller.user_id, IS_SEEN]
    if caller.workspace_id is not None:
        conditions.append(notification.c.workspace_id == caller.workspace_id)
    if caller.project_ids is not None:
        conditions.append(any_(uuids(caller.project_ids)) == PROJECT)
    return conditions


def asked(wanted: InboxFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter."""
    archived = notification.c.archived_at
    conditions: list[ColumnElement[bool]] = [archived.is_not(None) if wanted.archived else archived.is_(None)]
    if wanted.state != "all":
        conditions.append(IS_UNREAD if wanted.state == "unread" else ~IS_UNREAD)
    if wanted.kinds:
        conditions.append(notification.c.kind.in_(sorted(wanted.kinds)))
    if wanted.workspace_id is not None:
        conditions.append(notification.c.workspace_id == wanted.workspace_id)
    if wanted.task_id is not None:
        conditions.append(notification.c.task_id == wanted.task_id)
    return conditions


async def list_seen(
    reader: Reader,
    *,
    caller: Principal,
    wanted: InboxFilter,
    limit: int,
    before: int | None = None,
    after: int | None = None,
) -> Sequence[RowMapping]:
    """Return notifications, the latest first; with `after` those that came next after it, the first of them first."""
    query = select(*SHOWN).select_from(SHOWN_FROM).where(*mine(caller), *asked(wanted))
    query = _part(query, notification.c.seq, before, after).limit(limit)
    return (await reader.execute(query)).mappings().all()


def _part(query: Select[Any], place: ColumnElement[int], before: int | None, after: int | None) -> Select[Any]:
    if after is not None:
        return query.where(place > after).order_by(place.asc())
    return (query if before is None else query.where(place < before)).order_by(place.desc())


async def list_groups(
    reader: Reader,
    *,
    caller: Principal,
    wanted: InboxFilter,
    limit: int,
    before: int | None = None,
    after: int | None = None,
) -> Sequence[RowMapping]:
    """Return the latest notifications of each task, with `last`, `count` and `unread_count` of the task.

    Groups come as `list_seen` has notifications, by the latest of each. What is about no task is a group of its own.
    """
    key = func.coalesce(notification.c.task_id, notification.c.id)
    seen = (
        select(
            notification.c.id,
            key.label("key"),
            func.count().over(partition_by=key).label("count"),
            func.count().filter(IS_UNREAD).over(partition_by=key).label("unread_count"),
            func.max(notification.c.seq).over(partition_by=key).label("last"),
            func.row_number().over(partition_by=key, order_by=notification.c.seq.desc()).label("rank"),
        )
        .select_from(PLACES)
        .where(*mine(caller), *asked(wanted))
        .cte("seen")
    )
    heads = _part(select(seen.c.key).where(seen.c.rank == 1), seen.c.last, before, after).limit(limit).cte("heads")
    order = (seen.c.last.desc() if after is None else seen.c.last.asc(), notification.c.seq.desc())
    query = (
        select(*SHOWN, seen.c.count, seen.c.unread_count, seen.c.last)
        .select_from(SHOWN_FROM.join(seen, seen.c.id == notification.c.id).join(heads, heads.c.key == seen.c.key))
        .where(seen.c.rank <= LATEST)
        .order_by(*order)
    )
    return (await reader.execute(query)).mappings().all()


async def count_unread(reader: Reader, *, caller: Principal, workspace_id: UUID | None = None) -> int:
    """Return how many notifications are neither read nor archived."""
    wanted = InboxFilter(state="unread", workspace_id=workspace_id)
    query = select(func.count()).select_from(PLACES).where(*mine(caller), *asked(wanted))
    return (await reader.execute(query)).scalar_one()


async def find_seen(reader: Reader, *, caller: Principal, notification_id: UUID) -> RowMapping | None:
    """Return one notification, if the caller may see it."""
    query = select(*SHOWN).select_from(SHOWN_FROM).where(*mine(caller), notification.c.id == notification_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def find_to_send(reader: Reader, ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return those of some notifications, whose ever they are, that their users may see now."""
    query = select(*SHOWN).select_from(SHOWN_FROM).where(notification.c.id == any_(uuids(ids)), IS_SEEN)
    return (await reader.execute(query)).mappings().all()


async def find_for_digest(
    reader: Reader, *, user_id: UUID, since: datetime, until: datetime, limit: int
) -> Sequence[RowMapping]:
    """Return what waits for somebody's digest, came in that time, is not read, and may be seen; the latest first."""
    made = and_(notification.c.created_at >= since, notification.c.created_at < until)
    waits = and_(notification.c.in_digest, IS_UNREAD, notification.c.archived_at.is_(None))
    query = (
        select(*SHOWN)
        .select_from(SHOWN_FROM)
        .where(notification.c.user_id == user_id, made, waits, IS_SEEN)
        .order_by(notification.c.created_at.desc(), notification.c.id.desc())
        .limit(limit)
    )
    return (await reader.execute(query)).mappings().all()


async def mark(session: AsyncSession, notification_id: UUID, values: Mapping[Any, datetime | None]) -> bool:
    """Note that one is read or archived, or is not; False where all of that is so already."""
    differs = [
        notification.c[name].is_not(None) if value is None else notification.c[name].is_(None)
        for name, value in values.items()
    ]
    changed = {
        name: None if value is None else func.coalesce(notification.c[name], value) for name, value in values.items()
    }
    statement = update(notification).where(notification.c.id == notification_id, or_(false(), *differs))
    return cast("CursorResult[Any]", await session.execute(statement.values(changed))).rowcount == 1


async def mark_all(
    session: AsyncSession, *, caller: Principal, wanted: InboxFilter, up_to: int, values: Mapping[str, datetime]
) -> int:
    """Mark all that are in a filter up to a number in the user's stream; return how many these were."""
    chosen = (
        select(notification.c.id)
        .select_from(PLACES)
        .where(*mine(caller), *asked(wanted), notification.c.seq <= up_to)
        .scalar_subquery()
    )
    statement = update(notification).where(notification.c.id.in_(chosen)).values(**values)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount


async def seen_among(session: AsyncSession, keys: Collection[Key]) -> set[Key]:
    """Return which of these users may see now what is in a workspace, a project, and of a task."""
    names = ("user_id", "workspace_id", "project_id", "task_id")
    told = rows_of("told", **{name: uuids(ids) for name, ids in zip(names, zip(*keys, strict=True), strict=True)})
    query = select(*told.c).select_from(_places_of(told)).where(_is_seen(told))
    return {(row[0], row[1], row[2], row[3]) for row in (await session.execute(query)).all()}


async def known_among(session: AsyncSession, keys: Collection[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Return which of these pairs of user and event there are notifications of."""
    users, events = (uuids(set(ids)) for ids in zip(*keys, strict=True))
    query = select(notification.c.user_id, notification.c.event_id).where(
        notification.c.user_id == any_(users), notification.c.event_id == any_(events)
    )
    return {(row.user_id, row.event_id) for row in (await session.execute(query)).all()}


async def names_among(session: AsyncSession, keys: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], str]:
    """Return what users are called in workspaces that they are, or were, in; others have no name there."""
    workspaces, users = (uuids(set(ids)) for ids in zip(*keys, strict=True))
    query = (
        select(membership.c.workspace_id, membership.c.user_id, ACTOR_NAME)
        .join(person, person.c.user_id == membership.c.user_id)
        .where(membership.c.workspace_id == any_(workspaces), membership.c.user_id == any_(users))
    )
    return {(row[0], row[1]): row[2] for row in (await session.execute(query)).all() if row[2]}


async def add(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add notifications that are new."""
    await session.execute(insert(notification), [dict(row) for row in rows])


async def remove_of_tasks(session: AsyncSession, task_ids: Collection[UUID]) -> None:
    """Delete what is told of tasks."""
    await session.execute(delete(notification).where(notification.c.task_id == any_(uuids(task_ids))))


async def remove_of_user(session: AsyncSession, user_id: UUID) -> None:
    """Delete all that somebody was told."""
    await session.execute(delete(notification).where(notification.c.user_id == user_id))


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of old notifications; return whether there may be more."""
    return await delete_batch(session, notification, notification.c.created_at < before)
