"""All SQL on invitations."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import ColumnElement, RowMapping, ScalarSelect, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.invitations.models import Invitation
from tasks_service.invitations.rules import DAY, HOUR, PENDING
from tasks_service.permissions.rules import RULES
from tasks_service.projects.models import Project, ProjectMember
from tasks_service.visibility.repository import IS_ACTIVE, PROJECTS, member, person, seen_by, seen_projects, sight_of
from tasks_service.workspaces.models import Workspace

invitation = table_of(Invitation)
project = table_of(Project)
project_member = table_of(ProjectMember)
workspace = table_of(Workspace)

Values = Mapping[str, Any]

MAY_INVITE = tuple(sorted(RULES["workspace.manage_members"].roles))
"""Roles in the workspace; who has one of them manages all its projects, so that projects need no look of their own."""


def _inviter_may() -> ColumnElement[bool]:
    """Return the condition for rows of `invitation` whose inviter could send it now, as SQL."""
    inviter = member.outerjoin(person, person.c.id == member.c.user_id)
    query = select(literal(1)).select_from(inviter)
    query = query.where(member.c.workspace_id == invitation.c.workspace_id, member.c.user_id == invitation.c.invited_by)
    return query.where(member.c.role.in_(MAY_INVITE), IS_ACTIVE).correlate(invitation).exists()


async def list_of(
    reader: AsyncConnection, workspace_id: UUID, *, state: str, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return some of a workspace's invitations, the newest first, and how many there are."""
    wanted = (invitation.c.workspace_id == workspace_id, invitation.c.state == state)
    total = await reader.scalar(select(func.count()).select_from(invitation).where(*wanted))
    query = select(invitation).where(*wanted).order_by(invitation.c.id.desc()).limit(limit).offset(offset)
    return (await reader.execute(query)).mappings().all(), total or 0


async def find(reader: AsyncConnection, workspace_id: UUID, invitation_id: UUID) -> RowMapping | None:
    """Return an invitation of a workspace, whatever became of it."""
    query = select(invitation).where(invitation.c.workspace_id == workspace_id, invitation.c.id == invitation_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def lock_inviter(session: AsyncSession, user_id: UUID) -> None:
    """Let the mails that one person brings on be counted one after the other."""
    key = func.hashtextextended(f"invitations of {user_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def usage(session: AsyncSession, *, workspace_id: UUID, inviter_id: UUID, address: str) -> RowMapping:
    """Return what counts against another invitation, and the inviter's name.

    `open` are the workspace's, `by_inviter` the mails of the last hour, `to_address` those of the last day.
    """
    now = utcnow()
    is_open = (invitation.c.workspace_id == workspace_id, invitation.c.state == PENDING, invitation.c.expires_at > now)
    count = select(func.count()).select_from(invitation).where(*is_open).scalar_subquery()
    name = select(person.c.display_name).where(person.c.id == inviter_id).scalar_subquery()
    query = select(
        count.label("open"),
        _mails(invitation.c.invited_by == inviter_id, since=now - HOUR).label("by_inviter"),
        _mails(invitation.c.email_canonical == address, since=now - DAY).label("to_address"),
        name.label("inviter_name"),
    )
    return (await session.execute(query)).mappings().one()


def _mails(condition: Any, *, since: datetime) -> ScalarSelect[int]:
    counted = func.coalesce(func.sum(invitation.c.mails), 0)
    return select(counted).where(condition, invitation.c.mailed_at > since).scalar_subquery()


async def find_projects(
    session: AsyncSession, *, caller: Principal, workspace_id: UUID, project_ids: Iterable[UUID]
) -> dict[UUID, RowMapping]:
    """Return which of these are projects of the workspace that the caller sees."""
    query = (
        select(project.c.id, project.c.archived_at)
        .select_from(PROJECTS)
        .where(*seen_projects(sight_of(caller)), project.c.workspace_id == workspace_id)
        .where(project.c.id.in_(tuple(project_ids)))
    )
    return {row["id"]: row for row in (await session.execute(query, seen_by(caller))).mappings()}


async def lock_pending(
    session: AsyncSession, workspace_id: UUID, *, address: str | None = None, invitation_id: UUID | None = None
) -> RowMapping | None:
    """Return the invitation of an address, or by its id, that is pending in a workspace, locked."""
    query = select(invitation).where(invitation.c.workspace_id == workspace_id, invitation.c.state == PENDING)
    if address is not None:
        query = query.where(invitation.c.email_canonical == address)
    if invitation_id is not None:
        query = query.where(invitation.c.id == invitation_id)
    return (await session.execute(query.with_for_update())).mappings().one_or_none()


async def find_pending(session: AsyncSession, workspace_id: UUID, invitation_id: UUID) -> RowMapping | None:
    """Return a pending invitation of a workspace."""
    query = select(invitation).where(invitation.c.workspace_id == workspace_id, invitation.c.id == invitation_id)
    return (await session.execute(query.where(invitation.c.state == PENDING))).mappings().one_or_none()


async def add(session: AsyncSession, values: Values) -> RowMapping:
    """Insert an invitation."""
    return (await session.execute(insert(invitation).values(**values).returning(*invitation.c))).mappings().one()


async def renew(session: AsyncSession, invitation_id: UUID, values: Values) -> RowMapping:
    """Change a locked invitation, and count its version on."""
    statement = update(invitation).where(invitation.c.id == invitation_id)
    statement = statement.values(**values, version=invitation.c.version + 1).returning(*invitation.c)
    return (await session.execute(statement)).mappings().one()


async def find_by_token(reader: AsyncConnection | AsyncSession, token_hash: bytes) -> RowMapping | None:
    """Return the pending invitation of a token, with the name of its workspace, which is not deleted.

    None, too, when its inviter could not send it now.
    """
    query = (
        select(*invitation.c, workspace.c.name)
        .join(workspace, workspace.c.id == invitation.c.workspace_id)
        .where(invitation.c.token_hash == token_hash, invitation.c.state == PENDING, workspace.c.deleted_at.is_(None))
        .where(_inviter_may())
    )
    return (await reader.execute(query)).mappings().one_or_none()


async def hold_person(session: AsyncSession, user_id: UUID) -> RowMapping | None:
    """Return what is known of somebody, who stays as they are until the end."""
    query = select(person).where(person.c.id == user_id).with_for_update(read=True)
    return (await session.execute(query)).mappings().one_or_none()


async def settle(session: AsyncSession, *, token_hash: bytes, values: Values) -> RowMapping | None:
    """Use a token up: of several at once one does; None when it is used, void or expired, as `find_by_token` says."""
    now = utcnow()
    in_force = (
        invitation.c.token_hash == token_hash,
        invitation.c.state == PENDING,
        invitation.c.expires_at > now,
        _inviter_may(),
    )
    settled = {**values, "updated_at": now, "version": invitation.c.version + 1}
    statement = update(invitation).where(*in_force).values(settled).returning(*invitation.c)
    return (await session.execute(statement)).mappings().one_or_none()


async def hold_projects(session: AsyncSession, workspace_id: UUID, project_ids: Iterable[UUID]) -> set[UUID]:
    """Return which of these projects are still there; they stay until the end."""
    query = (
        select(project.c.id)
        .where(project.c.workspace_id == workspace_id, project.c.id.in_(tuple(project_ids)))
        .where(project.c.deleted_at.is_(None))
        .order_by(project.c.id)
        .with_for_update(read=True, key_share=True)
    )
    return set((await session.execute(query)).scalars())


async def role_in(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> str:
    """Return what a member is in a workspace."""
    query = select(member.c.role).where(member.c.workspace_id == workspace_id, member.c.user_id == user_id)
    return str((await session.execute(query)).scalar_one())


async def add_to_projects(
    session: AsyncSession, *, workspace_id: UUID, user_id: UUID, roles: Mapping[UUID, str]
) -> Sequence[RowMapping]:
    """Insert memberships of projects, and return those that are new."""
    if not roles:
        return []
    shared = {"workspace_id": workspace_id, "user_id": user_id, "version": 1, "created_at": utcnow()}
    rows = [{**shared, "id": uuid7(), "project_id": one, "role": role} for one, role in sorted(roles.items())]
    statement = insert_or_skip(project_member).values(rows)
    statement = statement.on_conflict_do_nothing(index_elements=["project_id", "user_id"])
    return (await session.execute(statement.returning(*project_member.c))).mappings().all()


async def forget(session: AsyncSession, *, user_id: UUID, address: str | None) -> Sequence[RowMapping]:
    """Delete the invitations that somebody accepted, and those of an address; return those that were pending."""
    theirs = [invitation.c.accepted_by == user_id]
    if address is not None:
        theirs.append(invitation.c.email_canonical == address)
    statement = delete(invitation).where(or_(*theirs)).returning(*invitation.c)
    return [row for row in (await session.execute(statement)).mappings() if row["state"] == PENDING]


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of invitations that expired before then; return whether there may be more."""
    return await delete_batch(session, invitation, invitation.c.expires_at < before)
