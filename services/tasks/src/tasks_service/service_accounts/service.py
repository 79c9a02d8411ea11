"""Service accounts as members of their workspaces: whether they are is auth's to say."""

from dataclasses import dataclass
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.leaving.service import drop_unseen, leave, projects_seen
from tasks_service.workspaces import repository
from tasks_service.workspaces.events import member_updated
from tasks_service.workspaces.service import Standing, join


@dataclass(frozen=True, slots=True)
class ServiceAccountState:
    """A service account as it is at a version."""

    id: UUID
    workspace_id: UUID
    role: str
    version: int


async def put_service_account(session: AsyncSession, *, account: ServiceAccountState, actor: Principal) -> bool:
    """Make a service account a member of its workspace from now on, or give it its new role.

    False for what changes nothing: an unknown workspace, an older state than is known, an account that was deleted.
    """
    workspace_id = account.workspace_id
    if await repository.lock(session, workspace_id) is None:
        return False
    is_news = await repository.put_service_account(
        session, account_id=account.id, workspace_id=workspace_id, version=account.version
    )
    if not is_news:
        return False
    seen = await projects_seen(session, workspace_id=workspace_id, user_id=account.id)
    draft = await _changed_role(session, account)
    if draft is None:
        draft = await join(session, workspace_id=workspace_id, user_id=account.id, role=account.role)
    if draft is not None:
        lost = await drop_unseen(session, workspace_id=workspace_id, user_id=account.id, seen=seen)
        await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=[draft, *lost])
    return True


async def _changed_role(session: AsyncSession, account: ServiceAccountState) -> ChangeDraft | None:
    row = await repository.change_role(
        session, workspace_id=account.workspace_id, user_id=account.id, role=account.role
    )
    return None if row is None else member_updated(row)


async def remove_service_account(
    session: AsyncSession, *, account_id: UUID, workspace_id: UUID, actor: Principal
) -> bool:
    """End a service account's membership; False when there is nothing to end in this workspace."""
    workspace = await repository.lock(session, workspace_id)
    if not await repository.delete_service_account(session, account_id=account_id, workspace_id=workspace_id):
        return False
    row = await repository.find_member(session, workspace_id=workspace_id, user_id=account_id)
    if workspace is None or row is None:
        return False
    await leave(session, standing=Standing(workspace, {account_id: row}), user_id=account_id, actor=actor)
    return True
