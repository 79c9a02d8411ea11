"""Writing the audit."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.audit import repository
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
