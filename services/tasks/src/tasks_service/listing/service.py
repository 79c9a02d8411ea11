"""Lists of tasks, a part at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.paging import Paging, page_meta
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.tasks import repository
from tasks_service.tasks.filters import TaskFilter


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, with the `meta` that says which part."""

    rows: Sequence[RowMapping]
    meta: dict[str, Any]


async def list_tasks(
    reader: AsyncConnection, *, caller: Principal, wanted: TaskFilter, paging: Paging, signer: CursorSigner
) -> Page:
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
) -> Page:
    """Walk by id, which follows creation; one row more than asked for tells whether there is a next part."""
    query = f"{caller.user_id}{wanted.fingerprint()}".encode()
    place, backwards = signer.read_page(paging.cursor, query=query) if paging.cursor else (None, False)
    edge = None if place is None else UUID(str(place[0]))
    rows = await repository.list_visible(
        reader,
        caller=caller,
        wanted=wanted,
        limit=paging.per_page + 1,
        before=None if backwards else edge,
        after=edge if backwards else None,
    )
    shown = list(rows[: paging.per_page])
    more = len(rows) > paging.per_page
    if backwards:
        shown.reverse()
    older = more or backwards
    newer = edge is not None and (more or not backwards)
    return Page(
        shown,
        {
            "per_page": paging.per_page,
            "next_cursor": signer.page(query=query, after=[str(shown[-1]["id"])]) if shown and older else None,
            "prev_cursor": (
                signer.page(query=query, after=[str(shown[0]["id"])], backwards=True) if shown and newer else None
            ),
            "has_more": older and bool(shown),
        },
    )
