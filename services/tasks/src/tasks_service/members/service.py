"""Use cases of members: whatever changes who may do what in a workspace is decided under the workspace's lock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.directory.rules import can_log_in
from tasks_service.leaving import service as leaving
from tasks_service.members import repository
from tasks_service.members.errors import ManagedElsewhere, MemberMissing, UserNotFound
from tasks_service.members.schemas import MemberOut
from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.workspaces import repository as workspaces_repository
from tasks_service.workspaces.errors import PersonalWorkspace
from tasks_service.workspaces.events import member_updated
from tasks_service.workspaces.service import Standing, lock_standing

UNCONDITIONAL = Expectation(is_given=True)
KIND = versions.Kind(repository.member, MemberOut.of, field_of={})


@dataclass(frozen=True, slots=True)
class Membership:
    """A membership that is about to change, in its locked workspace."""

    standing: Standing
    row: RowMapping


async def update_member(
    session: AsyncSession,
    *,
    workspace: RowMapping,
    user_id: UUID,
    wanted: Mapping[str, Any],
    expected: Expectation,
    actor: Principal,
) -> RowMapping:
    """Give a member another role; the role that they have changes nothing.

    Raises MemberMissing, PersonalWorkspace, LastOwner, Forbidden, ManagedElsewhere, UserNotFound for an owner who can't
    log in, and what If-Match is refused with.
    """
    found = await _lock(session, workspace, user_id=user_id, expected=expected, actor=actor, wanted=wanted)
    role = wanted.get("role", found.row["role"])
    if role == found.row["role"]:
        return found.row
    action: Action = "workspace.manage_owners" if "owner" in {role, found.row["role"]} else "workspace.manage_members"
    _refuse(found, workspace, action=action, actor=actor)
    if role == "owner":
        _require_able(found)
    seen = await leaving.projects_seen(session, workspace_id=workspace["id"], user_id=user_id)
    row = await workspaces_repository.change_role(session, workspace_id=workspace["id"], user_id=user_id, role=role)
    changed = cast("RowMapping", {**found.row, **(row or {})})
    lost = await leaving.drop_unseen(session, workspace_id=workspace["id"], user_id=user_id, seen=seen)
    drafts = [member_updated(changed), *lost]
    await changes.record(session, workspace_id=workspace["id"], actor=actor, drafts=drafts)
    return changed


async def remove_member(
    session: AsyncSession, *, workspace: RowMapping, user_id: UUID, expected: Expectation, actor: Principal
) -> RowMapping:
    """End a membership, one's own or another's, with all that hangs on it; return it as it was.

    Raises what `update_member` raises.
    """
    found = await _lock(session, workspace, user_id=user_id, expected=expected, actor=actor)
    _refuse(found, workspace, action=removal_of(found.row), actor=actor)
    await leaving.leave(session, standing=found.standing, user_id=user_id, actor=actor)
    return found.row


def removal_of(row: RowMapping) -> Action:
    """Return the action that ends the membership of a row."""
    return "workspace.manage_owners" if row["role"] == "owner" else "workspace.remove_member"


@dataclass(frozen=True, slots=True)
class Offboarding:
    """What is to become of what a member has; without `reassign_to` nobody gets the tasks."""

    reassign_to: UUID | None
    transfers_private: bool


async def offboard_member(
    session: AsyncSession, *, workspace: RowMapping, user_id: UUID, wanted: Offboarding, actor: Principal
) -> leaving.Report:
    """End a membership and hand over what its user had, all in one; return what that was.

    Raises what `update_member` raises, UserNotFound.
    """
    successor = wanted.reassign_to
    found = await _lock(session, workspace, user_id=user_id, expected=UNCONDITIONAL, actor=actor)
    _refuse(found, workspace, action=removal_of(found.row), actor=actor)
    if successor is not None:
        await _require_successor(session, workspace, user_id=successor, leaver=user_id)
    heir = successor or (None if user_id == actor.user_id else actor.user_id)
    handover = leaving.Handover(successor, heir if wanted.transfers_private else None)
    return await leaving.leave(session, standing=found.standing, user_id=user_id, actor=actor, handover=handover)


async def _require_successor(session: AsyncSession, workspace: RowMapping, *, user_id: UUID, leaver: UUID) -> None:
    row = await repository.find_member(session, workspace["id"], user_id)
    if row is None or user_id == leaver or not can_log_in(row["status"]):
        raise UserNotFound(field="reassign_to")


async def transfer_ownership(
    session: AsyncSession, *, workspace: RowMapping, user_id: UUID, actor: Principal
) -> RowMapping:
    """Make another member an owner, and the actor an admin; return the new owner.

    Raises PersonalWorkspace, UserNotFound, Forbidden, ManagedElsewhere.
    """
    if user_id == actor.user_id:
        raise UserNotFound(field="user_id")
    try:
        found = await _lock(session, workspace, user_id=user_id, expected=UNCONDITIONAL, actor=actor)
    except MemberMissing as error:
        raise UserNotFound(field="user_id") from error
    found.standing.require(actor, "workspace.manage_owners")
    _refuse_unfit(found)
    _require_able(found)
    roles = {user_id: "owner", actor.user_id: "admin"}
    rows = [
        await workspaces_repository.change_role(session, workspace_id=workspace["id"], user_id=one, role=role)
        for one, role in roles.items()
    ]
    drafts = [member_updated(row) for row in rows if row is not None]
    await changes.record(session, workspace_id=workspace["id"], actor=actor, drafts=drafts)
    return cast("RowMapping", {**found.row, **(rows[0] or {})})


async def _lock(
    session: AsyncSession,
    workspace: RowMapping,
    *,
    user_id: UUID,
    expected: Expectation,
    actor: Principal,
    wanted: Mapping[str, Any] | None = None,
) -> Membership:
    """Lock a workspace and return a membership in it.

    Raises WorkspaceMissing, MemberMissing, IfMatchRequired, ResourceVersionConflict.
    """
    standing = await lock_standing(session, workspace_id=workspace["id"], users=[user_id, actor.user_id])
    row = await repository.find_member(session, workspace["id"], user_id)
    if row is None:
        raise MemberMissing
    row = cast("RowMapping", {**row, "require_if_match": standing.workspace["require_if_match"]})
    await versions.refuse_unexpected(session, KIND, row, expected=expected, wanted=wanted)
    return Membership(standing, row)


def _refuse(found: Membership, workspace: RowMapping, *, action: Action, actor: Principal) -> None:
    """Decide whether a member may become less, or nobody, under the lock.

    Who might have when the request came hears of the last owner, and then of what they have become meanwhile.
    """
    user_id = found.row["user_id"]
    is_own = user_id == actor.user_id
    if not can(actor, action, Held(workspace["role"], workspace["id"], is_own=is_own)).allowed:
        raise Forbidden
    _refuse_unfit(found)
    found.standing.refuse_last_owner(user_id)
    found.standing.require(actor, action, is_own=is_own)


def _refuse_unfit(found: Membership) -> None:
    if found.standing.workspace["personal_owner_id"] is not None:
        raise PersonalWorkspace
    if found.row["kind"] == "service":
        raise ManagedElsewhere


def _require_able(found: Membership) -> None:
    """Raise UserNotFound for a new owner who can't log in."""
    if not can_log_in(found.row["status"]):
        raise UserNotFound(field="user_id")
