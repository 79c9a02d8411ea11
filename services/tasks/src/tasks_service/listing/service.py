"""Lists of tasks, a part at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.paging import Paging, page_meta, part_of_walk, place_of
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
    """Walk by id, which follows creation."""
    query = f"{caller.user_id}{wanted.fingerprint()}".encode()
    place = place_of(paging, signer=signer, query=query)
    rows = await repository.list_visible(
        reader,
        caller=caller,
        wanted=wanted,
        limit=paging.per_page + 1,
        before=None if place.is_backwards else place.edge,
        after=place.edge if place.is_backwards else None,
    )
    return Page(*part_of_walk(rows, paging=paging, place=place, signer=signer, query=query))
