"""All SQL on who sees what now, for many at once."""

from collections.abc import Collection, Iterable
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BindParameter, FromClause, and_, any_, column, false, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live.repository import membership, place, project_member, task_share

Pair = tuple[UUID, UUID]
UUID_TYPE: Any = PG_UUID(as_uuid=True)


async def members(reader: AsyncConnection, workspaces: Iterable[UUID], users: Iterable[UUID]) -> set[Pair]:
    """Return which of the users are members of which of the workspaces: pairs of user and workspace."""
    query = select(membership.c.user_id, membership.c.workspace_id).where(
        membership.c.workspace_id == any_(_uuids(workspaces)),
        membership.c.user_id == any_(_uuids(users)),
        ~membership.c.removed,
    )
    return {(row.user_id, row.workspace_id) for row in await reader.execute(query)}


async def projects_seen(reader: AsyncConnection, asked: Collection[Pair], users: Collection[UUID]) -> set[Pair]:
    """Return which of the users see which projects now, by role, openly, or as members: pairs of user and project.

    The projects are asked for with the workspace that each is in, which is the first of the pair.
    """
    pairs = _pairs(asked)
    is_member = and_(
        membership.c.workspace_id == pairs.c.workspace_id,
        membership.c.user_id == any_(_uuids(users)),
        ~membership.c.removed,
    )
    is_in_project = and_(
        project_member.c.project_id == pairs.c.project_id,
        project_member.c.user_id == membership.c.user_id,
        ~project_member.c.removed,
    )
    is_open = and_(membership.c.role == "member", ~func.coalesce(place.c.is_private, false()))
    query = (
        select(membership.c.user_id, pairs.c.project_id)
        .select_from(
            pairs.join(membership, is_member)
            .outerjoin(place, place.c.project_id == pairs.c.project_id)
            .outerjoin(project_member, is_in_project)
        )
        .where(or_(membership.c.role.in_(("owner", "admin")), is_open, project_member.c.user_id.is_not(None)))
    )
    return {(row.user_id, row.project_id) for row in await reader.execute(query)}


async def tasks_shared(reader: AsyncConnection, tasks: Collection[UUID], users: Collection[UUID]) -> set[Pair]:
    """Return which of the tasks are shared with which of the users now: pairs of user and task."""
    query = select(task_share.c.user_id, task_share.c.task_id).where(
        task_share.c.task_id == any_(_uuids(tasks)), task_share.c.user_id == any_(_uuids(users)), ~task_share.c.removed
    )
    return {(row.user_id, row.task_id) for row in await reader.execute(query)}


def _pairs(asked: Collection[Pair]) -> FromClause:
    workspaces, projects = _uuids(one for one, _ in asked), _uuids(other for _, other in asked)
    columns = column("workspace_id", UUID_TYPE), column("project_id", UUID_TYPE)
    found = func.unnest(workspaces, projects).table_valued(*columns, name="asked").render_derived()
    return cast("FromClause", found)


def _uuids(ids: Iterable[UUID]) -> BindParameter[Any]:
    return literal(list(ids), ARRAY(UUID_TYPE))
