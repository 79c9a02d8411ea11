"""Asking for mail in a way that is the same for every address, and taking the requests up."""

from chassis.addresses import EmailAddress
from chassis.clock import utcnow
from chassis.context import current_request
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.mail_requests import repository
from auth_service.mail_requests.rules import MAX_ATTEMPTS, RETRY_AFTER, RequestKind


async def ask(
    session: AsyncSession,
    kind: RequestKind,
    address: EmailAddress,
    *,
    display_name: str | None = None,
    password_hash: str | None = None,
) -> None:
    """Note in the caller's transaction what is asked for an address: one statement, whoever the address belongs to."""
    now, request = utcnow(), current_request()
    values = {
        "id": uuid7(),
        "kind": kind.value,
        "email": address.display,
        "email_canonical": address.canonical,
        "display_name": display_name,
        "password_hash": password_hash,
        "created_at": now,
        "not_before": now,
        "attempts": 0,
        "request_id": request.request_id,
        "traceparent": request.traceparent,
        "address": request.client_address,
        "device": request.client_device,
    }
    await repository.add(session, values)


async def claim(session: AsyncSession) -> RowMapping | None:
    """Return the oldest request that is due, for the caller alone until its transaction ends."""
    return await repository.claim(session, now=utcnow())


async def finish(session: AsyncSession, request: RowMapping) -> None:
    """Forget a request that is done."""
    await repository.remove(session, request["id"])


async def put_back(session: AsyncSession, request: RowMapping) -> bool:
    """Leave a request that failed for a minute later; return False when that was the last time."""
    if request["attempts"] + 1 >= MAX_ATTEMPTS:
        await repository.remove(session, request["id"])
        return False
    await repository.put_back(session, request["id"], not_before=utcnow() + RETRY_AFTER)
    return True
