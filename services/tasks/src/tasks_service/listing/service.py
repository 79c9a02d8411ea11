"""Lists of tasks, a part at a time."""

from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.paging import Page, Paging, Walk, page_meta
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.tasks import repository
from tasks_service.tasks.filters import TaskFilter


async def list_tasks(
    reader: AsyncConnection, *, caller: Principal, wanted: TaskFilter, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    """Return one page of what the caller may see, newest first. Raises InvalidCursor or CursorMismatch."""
    if paging.cursor is not None:
        return await _walk(reader, caller, wanted, paging, signer)
    total = await repository.count_visible(reader, caller=caller, wanted=wanted)
    rows = await repository.list_visible(
        reader, caller=caller, wanted=wanted, limit=paging.per_page, offset=paging.offset
    )
    return Page(rows, page_meta(paging, total))


async def _walk(
    reader: AsyncConnection, caller: Principal, wanted: TaskFilter, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    """Walk by id, which follows creation."""
    query = f"{caller.user_id}{wanted.fingerprint()}".encode()
    walk = Walk(paging, signer, query=query, read=UUID)
    rows = await repository.list_visible(
        reader, caller=caller, wanted=wanted, limit=walk.limit, before=walk.onwards_from, after=walk.back_from
    )
    return walk.page(rows, key="id")
