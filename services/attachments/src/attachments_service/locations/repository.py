"""All SQL on the projection of tasks and memberships."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.projections import put_all_unless_newer, put_unless_newer
from chassis.db.purging import delete_batch
from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    FromClause,
    RowMapping,
    and_,
    any_,
    case,
    delete,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from attachments_service.locations.models import (
    EndedWorkspace,
    Membership,
    ProjectMember,
    ProjectPlace,
    TaskLocation,
    TaskShare,
)

location = table_of(TaskLocation)
membership = table_of(Membership)
place = table_of(ProjectPlace)
project_member = table_of(ProjectMember)
task_share = table_of(TaskShare)
ended = table_of(EndedWorkspace)

STANDING = (
    case((place.c.project_id.is_not(None), membership.c.role)).label("workspace_role"),
    place.c.is_private,
    place.c.member_role,
    project_member.c.role.label("project_role"),
    task_share.c.role.label("share_role"),
)
"""The fields of a Standing; without a role in the workspace there is none."""


async def put_locations(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Take in where tasks live, of each unless a later state is known."""
    await put_all_unless_newer(session, location, rows, keys=["task_id"])


async def put_membership(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in a membership unless a later state is known."""
    await put_unless_newer(session, membership, values, keys=["workspace_id", "user_id"])


async def put_project(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in where a project is and who sees it unless a later state is known."""
    await put_unless_newer(session, place, values, keys=["project_id"])


async def put_project_member(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in a role in a project unless a later state is known."""
    await put_unless_newer(session, project_member, values, keys=["project_id", "user_id"])


async def put_share(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in whom a task is shared with unless a later state is known."""
    await put_unless_newer(session, task_share, values, keys=["task_id", "user_id"])


async def put_end(session: AsyncSession, *, workspace_id: UUID, ended_at: datetime) -> None:
    """Take in that a workspace was deleted."""
    values = {"workspace_id": workspace_id, "ended_at": ended_at}
    await session.execute(insert(ended).values(**values).on_conflict_do_nothing())


async def ended_before(session: AsyncSession, moment: datetime) -> UUID | None:
    """Return a workspace that was deleted before a moment and whose rows are still here; None when there is none."""
    query = select(ended.c.workspace_id).where(ended.c.ended_at < moment).order_by(ended.c.ended_at).limit(1)
    return (await session.execute(query)).scalar_one_or_none()


async def forget(session: AsyncSession, workspace_id: UUID) -> bool:
    """Forget at most 1,000 rows of a deleted workspace; tell whether there may be more."""
    tasks = select(location.c.task_id).where(location.c.workspace_id == workspace_id)
    projects = select(place.c.project_id).where(place.c.workspace_id == workspace_id)
    conditions = (
        (task_share, task_share.c.task_id.in_(tasks)),
        (project_member, project_member.c.project_id.in_(projects)),
        *((table, table.c.workspace_id == workspace_id) for table in (location, place, membership)),
    )
    for table, condition in conditions:
        if await delete_batch(session, table, condition):
            return True
    await session.execute(delete(ended).where(ended.c.workspace_id == workspace_id))
    return False


async def find(reader: AsyncConnection, *, task_id: UUID, caller: Principal) -> RowMapping | None:
    """Return a task's `workspace_id`, whether it is `deleted`, and the caller's standing, within a token's restriction.

    None when the task is not known. Without a membership, or where its project is not known, `workspace_role` is null.
    """
    query = (
        select(location.c.workspace_id, location.c.deleted, place.c.is_archived, *STANDING)
        .select_from(_standings(location.outerjoin(membership, _is_member(caller.user_id))))
        .where(location.c.task_id == task_id, *_within_reach(caller))
    )
    return (await reader.execute(query)).mappings().one_or_none()


async def standings(session: AsyncSession, task_id: UUID) -> Sequence[RowMapping]:
    """Return the members of a task's workspace with their standing in it, in the order of their ids."""
    members = location.join(membership, _is_member(membership.c.user_id))
    query = (
        select(membership.c.user_id, *STANDING)
        .select_from(_standings(members))
        .where(location.c.task_id == task_id)
        .order_by(membership.c.user_id)
    )
    return (await session.execute(query)).mappings().all()


def _is_member(user_id: UUID | ColumnElement[UUID]) -> ColumnElement[bool]:
    of_workspace = membership.c.workspace_id == location.c.workspace_id
    return and_(of_workspace, membership.c.user_id == user_id, ~membership.c.removed)


def _standings(members: FromClause) -> FromClause:
    """Join what a project and a share give to a task's row with a membership.

    What was given to a former member ended with the membership, without an event of its own.
    """
    in_place = and_(place.c.project_id == location.c.project_id, ~place.c.deleted)
    in_project = and_(
        project_member.c.project_id == location.c.project_id,
        project_member.c.user_id == membership.c.user_id,
        project_member.c.changed_seq >= membership.c.joined_seq,
        ~project_member.c.removed,
    )
    by_share = and_(
        task_share.c.task_id == location.c.task_id,
        task_share.c.user_id == membership.c.user_id,
        task_share.c.changed_seq >= membership.c.joined_seq,
        ~task_share.c.removed,
    )
    return members.outerjoin(place, in_place).outerjoin(project_member, in_project).outerjoin(task_share, by_share)


def _within_reach(caller: Principal) -> list[ColumnElement[bool]]:
    """Return the conditions that an API token's restriction adds; a project that is not known is not within it."""
    conditions: list[ColumnElement[bool]] = []
    if caller.workspace_id is not None:
        conditions.append(location.c.workspace_id == caller.workspace_id)
    if caller.project_ids is not None:
        projects = literal(sorted(caller.project_ids), ARRAY(PG_UUID(as_uuid=True)))
        conditions.append(location.c.project_id == any_(projects))
    return conditions
