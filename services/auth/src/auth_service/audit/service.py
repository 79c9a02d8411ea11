"""Writing and reading the audit."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Page, Paging, Walk
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.audit import repository
from auth_service.audit.filters import AuditFilter
from auth_service.audit.rules import AuditAction, Outcome


async def record(
    session: AsyncSession,
    action: AuditAction,
    *,
    subject_id: UUID | None,
    actor: Principal | None = None,
    actor_id: UUID | None = None,
    credential_id: UUID | None = None,
    outcome: Outcome = "success",
    address: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Note in the caller's transaction what happens to an account, with the address and id of the current request.

    `actor` is who does it; where there is no principal yet, such as at a login, `actor_id` and `credential_id` say
    the same. `address` stands for the request's, where another process asks on behalf of a client. `details` are JSON,
    and hold nothing secret.
    """
    request = current_request()
    await repository.add(
        session,
        {
            "id": uuid7(),
            "occurred_at": utcnow(),
            "action": action.value,
            "outcome": outcome,
            "actor_id": actor.user_id if actor else actor_id,
            "subject_id": subject_id,
            "credential_id": actor.session_id if actor else credential_id,
            "address": address or request.client_address,
            "device": request.client_device,
            "request_id": request.request_id,
            "details": dict(details or {}),
        },
    )


async def read(
    reader: AsyncConnection, *, caller: Principal, wanted: AuditFilter, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    """Return a part of the audit, the newest first: ids follow time. Raises InvalidCursor or CursorMismatch."""
    walk = Walk(paging, signer, query=caller.user_id.bytes + wanted.fingerprint(), read=UUID)
    rows = await repository.list_entries(
        reader, wanted, limit=walk.limit, before=walk.onwards_from, after=walk.back_from
    )
    return walk.page(rows, key="id")


async def newest_of(session: AsyncSession, subject_id: UUID, *, limit: int) -> Sequence[RowMapping]:
    """Return what happened to an account, the newest first."""
    return await repository.list_entries(await session.connection(), AuditFilter(subject_id=subject_id), limit=limit)


def hidden_from(row: RowMapping, owner: Principal) -> dict[str, None]:
    """Return what an account's owner is not told of an entry: from where somebody else did it."""
    if row["actor_id"] in {None, owner.user_id}:
        return {}
    return {"address": None, "device": None, "credential_id": None}
