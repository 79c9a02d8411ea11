"""All SQL on who sees what now, for many at once."""

from collections.abc import Collection, Iterable
from uuid import UUID

from chassis.db.arrays import rows_of, uuids
from sqlalchemy import and_, any_, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live.repository import membership, place, project_member, task_share

Pair = tuple[UUID, UUID]


async def memberships(
    reader: AsyncConnection, workspaces: Iterable[UUID], users: Iterable[UUID]
) -> tuple[frozenset[Pair], frozenset[Pair]]:
    """Return who of the users is, and who was, a member of which of the workspaces: pairs of user and workspace."""
    query = select(membership.c.user_id, membership.c.workspace_id, membership.c.removed).where(
        membership.c.workspace_id == any_(uuids(workspaces)), membership.c.user_id == any_(uuids(users))
    )
    rows = (await reader.execute(query)).all()
    pairs = [
        frozenset((row.user_id, row.workspace_id) for row in rows if row.removed is over) for over in (False, True)
    ]
    return pairs[0], pairs[1]


async def projects_seen(
    reader: AsyncConnection, asked: Collection[Pair], users: Collection[UUID]
) -> dict[Pair, tuple[bool, int]]:
    """Return whether users see projects now, by role, openly, or as members, by user and project.

    Beside it is the number of the last change of that which is known. The projects are asked for with the workspace
    that each is in, which is the first of the pair. Whoever never was in that is not among the users.
    """
    workspaces, projects = (uuids(pair[at] for pair in asked) for at in (0, 1))
    pairs = rows_of("asked", workspace_id=workspaces, project_id=projects)
    was_member = and_(membership.c.workspace_id == pairs.c.workspace_id, membership.c.user_id == any_(uuids(users)))
    in_project = and_(
        project_member.c.project_id == pairs.c.project_id, project_member.c.user_id == membership.c.user_id
    )
    is_in_project = func.coalesce(~project_member.c.removed, false())
    is_open = and_(membership.c.role == "member", ~func.coalesce(place.c.is_private, false()))
    is_seen = and_(~membership.c.removed, or_(membership.c.role.in_(("owner", "admin")), is_open, is_in_project))
    changed = func.greatest(membership.c.changed_seq, place.c.changed_seq, project_member.c.changed_seq)
    query = select(
        membership.c.user_id, pairs.c.project_id, is_seen.label("is_seen"), changed.label("changed")
    ).select_from(
        pairs.join(membership, was_member)
        .outerjoin(place, place.c.project_id == pairs.c.project_id)
        .outerjoin(project_member, in_project)
    )
    return {(row.user_id, row.project_id): (row.is_seen, row.changed) for row in await reader.execute(query)}


async def tasks_shared(
    reader: AsyncConnection, tasks: Collection[UUID], users: Collection[UUID]
) -> dict[Pair, tuple[bool, int]]:
    """Return whether tasks are shared with users now, by user and task, beside the number of the last change of it."""
    query = select(task_share.c.user_id, task_share.c.task_id, task_share.c.removed, task_share.c.changed_seq).where(
        task_share.c.task_id == any_(uuids(tasks)), task_share.c.user_id == any_(uuids(users))
    )
    return {(row.user_id, row.task_id): (not row.removed, row.changed_seq) for row in await reader.execute(query)}
