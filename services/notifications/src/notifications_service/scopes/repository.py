"""All SQL on workspaces and projects as what something is set up for: who sees them, who manages them, which ended."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.db.arrays import uuids
from sqlalchemy import ColumnElement, and_, any_, exists, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.live.repository import membership, place, project_member

Reader = AsyncConnection | AsyncSession
Key = tuple[str, UUID]

MANAGERS = ("owner", "admin")
PROJECT_MANAGER = "manager"
RUNS_WORKSPACE = membership.c.role.in_(MANAGERS)


@dataclass(frozen=True, slots=True)
class Scope:
    """A workspace or project that a user sees."""

    id: UUID
    workspace_id: UUID
    manages: bool

    @property
    def type(self) -> str:
        """Which of both it is."""
        return "workspace" if self.id == self.workspace_id else "project"


async def find(reader: Reader, scope_ids: Collection[UUID], *, user_id: UUID) -> dict[Key, Scope]:
    """Return those of some workspaces and projects that a user sees now, by type and id."""
    asked = uuids(scope_ids)
    mine = and_(membership.c.user_id == user_id, ~membership.c.removed)
    workspaces = select(
        membership.c.workspace_id.label("id"), membership.c.workspace_id, RUNS_WORKSPACE.label("manages")
    )
    is_in_project = and_(
        project_member.c.project_id == place.c.project_id,
        project_member.c.user_id == user_id,
        ~project_member.c.removed,
    )
    is_open = and_(membership.c.role == "member", ~place.c.is_private)
    manages = or_(RUNS_WORKSPACE, func.coalesce(project_member.c.role == PROJECT_MANAGER, False))
    projects = (
        select(place.c.project_id.label("id"), place.c.workspace_id, manages.label("manages"))
        .join(membership, membership.c.workspace_id == place.c.workspace_id)
        .outerjoin(project_member, is_in_project)
        .where(mine, place.c.project_id == any_(asked))
        .where(or_(RUNS_WORKSPACE, is_open, project_member.c.user_id.is_not(None)))
    )
    seen = union_all(workspaces.where(mine, membership.c.workspace_id == any_(asked)), projects)
    found = [Scope(row.id, row.workspace_id, row.manages) for row in (await reader.execute(seen)).all()]
    return {(one.type, one.id): one for one in found}


def is_managed(
    user_id: UUID, *, workspace_id: ColumnElement[Any], project_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return the condition for what is of a workspace that a user runs, or of a project that the user manages."""
    is_member = (
        membership.c.workspace_id == workspace_id,
        membership.c.user_id == user_id,
        ~membership.c.removed,
    )
    manages_project = exists().where(
        *is_member,
        project_member.c.project_id == project_id,
        project_member.c.user_id == user_id,
        project_member.c.role == PROJECT_MANAGER,
        ~project_member.c.removed,
    )
    return or_(exists().where(*is_member, RUNS_WORKSPACE), manages_project)


def has_ended(workspace_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for what is of a workspace that was deleted: then all have left, and nobody else can."""
    everybody = membership.c.workspace_id == workspace_id
    return and_(exists().where(everybody), ~exists().where(everybody, ~membership.c.removed))
