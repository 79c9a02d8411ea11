"""The use case of taking one's data along."""

from typing import Any

from chassis.clock import utcnow
from chassis.errors import Unauthenticated
from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.audit.schemas import AuditEntryOut
from auth_service.exports import repository
from auth_service.exports.repository import MOST
from auth_service.exports.schemas import DataExportOut
from auth_service.users import repository as users
from auth_service.users.schemas import UserOut


async def export_data(session: AsyncSession, *, caller: Principal) -> DataExportOut:
    """Return all that this service holds about the caller, and note that it was given."""
    row = await users.find(session, caller.user_id)
    if row is None:
        raise Unauthenticated
    await audit.record(session, AuditAction.DATA_EXPORTED, subject_id=caller.user_id, actor=caller)
    noted = await audit.newest_of(session, caller.user_id, limit=MOST + 1)
    entries: list[dict[str, Any]] = [{**entry, **audit.hidden_from(entry, caller)} for entry in noted[:MOST]]
    records = await repository.records_of(session, row)
    counts = {"audit": len(noted), **{kind: len(found) for kind, found in records.items()}}
    return DataExportOut(
        exported_at=utcnow(),
        profile=UserOut.of(row),
        records={kind: found[:MOST] for kind, found in records.items()},
        audit=[AuditEntryOut.model_validate(entry) for entry in entries],
        cut=[kind for kind, count in counts.items() if count > MOST],
    )
