"""Use cases of service accounts. Whoever calls one has been found to administer the workspace."""

from contextlib import suppress
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.api_tokens import service as api_tokens
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.service_accounts import repository
from auth_service.service_accounts.errors import (
    ServiceAccountLimitReached,
    ServiceAccountNotFound,
    ServiceAccountVersionConflict,
)
from auth_service.service_accounts.events import (
    service_account_created,
    service_account_deleted,
    service_account_updated,
)
from auth_service.service_accounts.rules import MOST_SERVICE_ACCOUNTS
from auth_service.service_accounts.schemas import ServiceAccountCreate, ServiceAccountOut, ServiceAccountPatch
from auth_service.users import repository as users


async def create_account(session: AsyncSession, *, wanted: ServiceAccountCreate, caller: Principal) -> RowMapping:
    """Make a service account: an account without address and password, so that nobody logs in to it.

    Raises ServiceAccountLimitReached, and ServiceAccountNotFound when the workspace has gone meanwhile. The workspace
    is locked, so that of many at once no more are made than there may be.
    """
    await repository.lock_workspace(session, wanted.workspace_id)
    if await repository.is_deleted(session, wanted.workspace_id):
        raise ServiceAccountNotFound
    if await repository.count_of(session, wanted.workspace_id) >= MOST_SERVICE_ACCOUNTS:
        raise ServiceAccountLimitReached
    now, account_id = utcnow(), uuid7()
    times = {"version": 1, "created_at": now, "updated_at": now}
    identity = {"id": account_id, "kind": "service", "display_name": wanted.name, "timezone": "UTC", "roles": ["user"]}
    await users.add(session, {**identity, **times})
    row = await repository.add(
        session, {"account_id": account_id, **wanted.model_dump(), "created_by": caller.user_id, **times}
    )
    await service_account_created(session, row, by=caller.user_id)
    await _audit(session, row, AuditAction.SERVICE_ACCOUNT_CREATED, caller)
    return row


async def update_account(
    session: AsyncSession,
    *,
    account_id: UUID,
    patch: ServiceAccountPatch,
    expected_version: int | None,
    caller: Principal,
) -> RowMapping:
    """Apply a merge patch. Raises ServiceAccountNotFound and ServiceAccountVersionConflict."""
    row = await _lock(session, account_id)
    if expected_version not in {None, row["version"]}:
        raise ServiceAccountVersionConflict(data={"current": ServiceAccountOut.of(row).model_dump(mode="json")})
    changed = {name: new for name, new in patch.given().items() if row[name] != new}
    if not changed:
        return row
    now = utcnow()
    row = await repository.apply_changes(session, account_id, {**changed, "updated_at": now})
    if "name" in changed:
        values = {"display_name": changed["name"], "updated_at": now}
        await users.apply_changes(session, user_id=account_id, values=values)
    await service_account_updated(session, row, by=caller.user_id)
    await _audit(session, row, AuditAction.SERVICE_ACCOUNT_CHANGED, caller)
    return row


async def delete_account(session: AsyncSession, *, account_id: UUID, caller: Principal) -> None:
    """End a service account and its tokens; its id stays, for what it did. Raises ServiceAccountNotFound."""
    await _lock(session, account_id)
    row = await repository.remove(session, account_id)
    await api_tokens.revoke_all_of(session, owner_id=account_id, caller=caller)
    await users.apply_changes(session, user_id=account_id, values={"status": "deleted", "updated_at": utcnow()})
    await service_account_deleted(session, row, by=caller.user_id)
    await _audit(session, row, AuditAction.SERVICE_ACCOUNT_DELETED, caller)


async def delete_accounts_of(session: AsyncSession, *, workspace_id: UUID, caller: Principal) -> None:
    """End all service accounts of a workspace that is gone, and their tokens; none is made for it any more."""
    await repository.lock_workspace(session, workspace_id)
    await repository.mark_deleted(session, workspace_id)
    for account_id in await repository.ids_of(session, workspace_id):
        # Somebody may be deleting it by itself.
        with suppress(ServiceAccountNotFound):
            await delete_account(session, account_id=account_id, caller=caller)


async def _lock(session: AsyncSession, account_id: UUID) -> RowMapping:
    """Return a service account that stays as it is: everything that changes one locks its account first."""
    await users.lock(session, account_id)
    row = await repository.find(session, account_id)
    if row is None:
        raise ServiceAccountNotFound
    return row


async def _audit(session: AsyncSession, row: RowMapping, action: AuditAction, caller: Principal) -> None:
    details = {"workspace_id": str(row["workspace_id"]), "name": row["name"], "role": row["role"]}
    await audit.record(session, action, subject_id=row["account_id"], actor=caller, details=details)
