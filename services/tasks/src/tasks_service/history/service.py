"""Reading the past."""

from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.db.binding import Bound
from chassis.db.engine import Database
from chassis.db.row_security import reading
from chassis.identity import Principal
from chassis.paging import Page, Paging, Walk
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.history import repository
from tasks_service.history.filters import AuditFilter
from tasks_service.history.schemas import AuditEntry, HistoryEntry

EXPORTED_AT_ONCE = 500


async def task_history(
    reader: AsyncConnection,
    *,
    caller: Principal,
    task: RowMapping,
    field: str | None,
    paging: Paging,
    signer: CursorSigner,
) -> Page[RowMapping]:
    """Return a part of a task's history, the newest first. Raises InvalidCursor or CursorMismatch."""
    walk = Walk(
        paging, signer, query=b"history" + task["id"].bytes + repr(field).encode() + caller.user_id.bytes, read=int
    )
    rows = await repository.of_task(
        reader, caller=caller, task=task, field=field, before=walk.onwards_from, after=walk.back_from, limit=walk.limit
    )
    return walk.page(rows, key="seq")


async def audit(
    reader: AsyncConnection,
    *,
    caller: Principal,
    workspace_id: UUID,
    wanted: AuditFilter,
    paging: Paging,
    signer: CursorSigner,
) -> Page[RowMapping]:
    """Return a part of a workspace's audit, the newest first. Raises InvalidCursor or CursorMismatch."""
    walk = Walk(
        paging, signer, query=b"audit" + workspace_id.bytes + wanted.fingerprint() + caller.user_id.bytes, read=int
    )
    rows = await repository.of_workspace(
        reader,
        caller=caller,
        workspace_id=workspace_id,
        wanted=wanted,
        before=walk.onwards_from,
        after=walk.back_from,
        limit=walk.limit,
    )
    return walk.page(rows, key="seq")


async def export_audit(
    database: Database, bound: Bound | None, *, caller: Principal, workspace_id: UUID, wanted: AuditFilter
) -> AsyncIterator[bytes]:
    """Yield a workspace's whole audit as lines of JSON, the newest first.

    No connection is held while a reader takes its time, and who may not read it any more gets nothing further.
    """
    before: int | None = None
    while True:
        async with reading(database, bound) as reader:
            rows = await repository.of_workspace(
                reader,
                caller=caller,
                workspace_id=workspace_id,
                wanted=wanted,
                before=before,
                after=None,
                limit=EXPORTED_AT_ONCE,
            )
            names = await names_of(reader, rows)
        if not rows:
            return
        before = rows[-1]["seq"]
        yield b"".join(AuditEntry.of(row, names).model_dump_json().encode() + b"\n" for row in rows)


async def history_entries(reader: AsyncConnection, rows: Sequence[RowMapping], *, task_id: UUID) -> list[HistoryEntry]:
    """Return the entries of rows of the log in the history of a task, with the names of who acted."""
    names = await names_of(reader, rows)
    return [HistoryEntry.of(row, names, task_id=task_id) for row in rows]


async def audit_entries(reader: AsyncConnection, rows: Sequence[RowMapping]) -> list[AuditEntry]:
    """Return the same for the audit."""
    names = await names_of(reader, rows)
    return [AuditEntry.of(row, names) for row in rows]


async def names_of(reader: AsyncConnection, rows: Sequence[RowMapping]) -> Mapping[str, str | None]:
    """Return the names of who acted, by id as the log has it."""
    users = {UUID(row["actor"]["id"]) for row in rows if row["actor"]}
    found = await repository.names_of(reader, users)
    return {str(user): row["name"] for user, row in found.items()}
