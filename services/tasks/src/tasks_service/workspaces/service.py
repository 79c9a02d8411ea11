"""Making workspaces: the personal one that everybody has, and shared ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.row_security import reaches_beyond_memberships
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import repository as changes_repository
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.permissions.policies import can, role_allows
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held
from tasks_service.projects import service as projects
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.workspaces import repository
from tasks_service.workspaces.errors import LastOwner, PersonalWorkspace, WorkspaceMissing, WorkspaceNotFound
from tasks_service.workspaces.events import (
    WORKSPACE_CREATED,
    WORKSPACE_DELETED,
    WORKSPACE_UPDATED,
    member_added,
    member_removed,
    workspace_changed,
)
from tasks_service.workspaces.schemas import WorkspaceOut, WorkspacePatch

PERSONAL_NAME = "Personal"
KIND = versions.Kind(repository.workspace, WorkspaceOut.of, field_of={})


@reaches_beyond_memberships("whose workspace it is becomes a member with it")
async def ensure_personal_workspace(session: AsyncSession, *, owner: Principal) -> None:
    """Make the owner's personal workspace with its Inbox unless it exists: sign-up event and first request race."""
    row = await repository.add_personal(
        session, _new_workspace(PERSONAL_NAME, creator=owner.user_id, personal_owner_id=owner.user_id)
    )
    if row is None:
        return
    drafts = await _populate(session, row, owner=owner, members=())
    inbox = await projects.create_inbox(session, workspace_id=row["id"], creator_id=owner.user_id)
    await changes.record(session, workspace_id=row["id"], actor=owner, drafts=[*drafts, inbox])


async def workspace_for(session: AsyncSession, *, workspace_id: UUID | None, actor: Principal) -> RowMapping:
    """Return the workspace that takes something new, with the actor's `workspace_role`.

    Without an id it is the actor's personal one, made now if need be: not for a token that would not see it, and none
    is a machine's. Raises WorkspaceNotFound.
    """
    found = await repository.find_visible(session, caller=actor, workspace_id=workspace_id)
    if found is None and workspace_id is None and not actor.is_restricted and actor.via != "bot":
        await ensure_personal_workspace(session, owner=actor)
        found = await repository.find_visible(session, caller=actor, workspace_id=None)
    if found is None:
        raise WorkspaceNotFound(field="workspace_id")
    return found


@reaches_beyond_memberships("its owner becomes a member with it")
async def create_workspace(
    session: AsyncSession, *, owner: Principal, name: str, members: Sequence[UUID], projects_named: Sequence[str]
) -> tuple[UUID, Mapping[str, UUID]]:
    """Make a shared workspace with members and projects; return its id and the projects' ids by name."""
    row = await repository.add(session, _new_workspace(name, creator=owner.user_id, personal_owner_id=None))
    drafts = await _populate(session, row, owner=owner, members=members)
    made = {
        project: await projects.create_project(session, workspace_id=row["id"], name=project, creator_id=owner.user_id)
        for project in projects_named
    }
    await changes.record(session, workspace_id=row["id"], actor=owner, drafts=[*drafts, *made.values()])
    return row["id"], {name: draft.entity_id for name, draft in made.items()}


@reaches_beyond_memberships("its owner becomes a member with it")
async def open_workspace(session: AsyncSession, *, owner: Principal, name: str) -> RowMapping:
    """Make an empty shared workspace; return it with its owner's `role`."""
    row = await repository.add(session, _new_workspace(name, creator=owner.user_id, personal_owner_id=None))
    drafts = await _populate(session, row, owner=owner, members=())
    await changes.record(session, workspace_id=row["id"], actor=owner, drafts=drafts)
    return cast("RowMapping", {**row, "role": "owner"})


async def register_person(session: AsyncSession, *, person: Principal) -> None:
    """Make a new user's personal workspace. A machine has none, whoever calls it a user, and nor has who is gone."""
    is_machine = await repository.is_service_account(session, person.user_id)
    if not is_machine and not await repository.is_gone(session, person.user_id):
        await ensure_personal_workspace(session, owner=person)


@dataclass(frozen=True, slots=True)
class Standing:
    """A workspace that is locked, so that nobody else changes who its owners are, and some of its `members` by user."""

    workspace: RowMapping
    members: Mapping[UUID, RowMapping]

    def refuse_last_owner(self, user_id: UUID) -> None:
        """Raise LastOwner when there would be no owner who can log in without this one."""
        owners = {one: row["is_active"] for one, row in self.members.items() if row["role"] == "owner"}
        if user_id in owners and not any(is_active for one, is_active in owners.items() if one != user_id):
            raise LastOwner

    def require(self, actor: Principal, action: Action, *, is_own: bool = False) -> None:
        """Decide again what was decided before the lock, after which the actor may be less, or nobody.

        Raises WorkspaceMissing, Forbidden.
        """
        member = self.members.get(actor.user_id)
        if member is None:
            raise WorkspaceMissing
        if not can(actor, action, Held(member["role"], self.workspace["id"], is_own=is_own)).allowed:
            raise Forbidden


async def lock_standing(session: AsyncSession, *, workspace_id: UUID, users: Iterable[UUID]) -> Standing:
    """Lock a workspace and return who owns it and what these users are in it. Raises WorkspaceMissing."""
    row = await repository.lock(session, workspace_id)
    if row is None:
        raise WorkspaceMissing
    # Read after the lock: who held it before may have changed them.
    members = await repository.owners_and(session, workspace_id, users)
    return Standing(row, {one["user_id"]: one for one in members})


async def end_workspace(session: AsyncSession, row: RowMapping) -> list[ChangeDraft]:
    """Delete a locked workspace with all memberships, so that nobody sees anything of it; return the changes to record.

    Its former members are told. What is in it is purged later.
    """
    now = utcnow()
    deleted = await repository.mark_deleted(session, workspace_id=row["id"], now=now)
    members = await repository.remove_all_members(session, row["id"])
    everybody = frozenset(one["user_id"] for one in members)
    listing = frozenset(one["user_id"] for one in members if role_allows(one["role"], "workspace.list_members"))
    # First, since whoever has left is told no more.
    gone = workspace_changed(WORKSPACE_DELETED, row, deleted, everybody)
    return [gone, *(member_removed(one, listing) for one in members)]


async def join(session: AsyncSession, *, workspace_id: UUID, user_id: UUID, role: str) -> ChangeDraft | None:
    """Make somebody a member of a locked workspace from the next change on; return it, which is to be recorded at once.

    None for who is a member, and for a workspace that has no log. The counter is locked from here.
    """
    first = await changes_repository.lock_next_number(session, workspace_id)
    if first is None:
        return None
    new = {**_new_member(workspace_id, user_id, role), "joined_seq": first}
    row = await repository.add_new_member(session, new)
    return None if row is None else member_added(row)


async def update_workspace(
    session: AsyncSession, *, workspace: RowMapping, patch: WorkspacePatch, expected: Expectation, actor: Principal
) -> RowMapping:
    """Apply a merge patch. Raises what versions.service.change raises."""

    async def read_again() -> RowMapping:
        row = await repository.find_with_role(session, caller=actor, workspace_id=workspace["id"])
        if row is None:
            raise WorkspaceMissing
        return row

    changed = await versions.change(
        session, KIND, workspace, wanted=patch.given(), expected=expected, read_again=read_again
    )
    if changed is None:
        return workspace
    draft = workspace_changed(WORKSPACE_UPDATED, changed.before, changed.after)
    await changes.record(session, workspace_id=workspace["id"], actor=actor, drafts=[draft])
    return changed.after


async def delete_workspace(
    session: AsyncSession, *, workspace: RowMapping, expected: Expectation, actor: Principal
) -> None:
    """Delete a shared workspace for all its members.

    Raises PersonalWorkspace, WorkspaceMissing, Forbidden, IfMatchRequired, ResourceVersionConflict.
    """
    if workspace["personal_owner_id"] is not None:
        raise PersonalWorkspace
    standing = await lock_standing(session, workspace_id=workspace["id"], users=[actor.user_id])
    standing.require(actor, "workspace.delete")
    row = cast("RowMapping", {**workspace, **standing.workspace})
    await versions.refuse_unexpected(session, KIND, row, expected=expected)
    drafts = await end_workspace(session, row)
    await changes.record(session, workspace_id=row["id"], actor=actor, drafts=drafts)


async def _populate(
    session: AsyncSession, row: RowMapping, *, owner: Principal, members: Sequence[UUID]
) -> list[ChangeDraft]:
    """Open the log and add the members, the owner first; everybody sees the log from the beginning."""
    await changes_repository.open_log(session, row["id"])
    drafts = [workspace_changed(WORKSPACE_CREATED, None, row)]
    for user_id in (owner.user_id, *members):
        role = "owner" if user_id == owner.user_id else "member"
        member = await repository.add_member(session, _new_member(row["id"], user_id, role))
        drafts.append(member_added(member))
    return drafts


def _new_workspace(name: str, *, creator: UUID, personal_owner_id: UUID | None) -> dict[str, Any]:
    now = utcnow()
    return {
        "id": uuid7(),
        "name": name,
        "personal_owner_id": personal_owner_id,
        "created_by": creator,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def _new_member(workspace_id: UUID, user_id: UUID, role: str) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "workspace_id": workspace_id,
        "user_id": user_id,
        "role": role,
        "joined_seq": 1,
        "version": 1,
        "created_at": utcnow(),
    }
