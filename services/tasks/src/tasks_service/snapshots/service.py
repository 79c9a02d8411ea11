"""All that somebody sees as it is now, page by page, and the position from which the changes go on."""

from collections.abc import Sequence
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.errors import InvalidCursor
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes import repository as log
from tasks_service.snapshots import repository
from tasks_service.snapshots.rules import IN_PROJECTS, Kind
from tasks_service.snapshots.schemas import SHOWN_AS, SnapshotItem, SnapshotPage, Wanted

BETWEEN = "."
"""Stands between a page and the position of the snapshot, and in neither of them."""


def parts_of(cursor: str | None) -> tuple[str | None, str | None]:
    """Return the page and the position that a cursor is made of. Raises InvalidCursor."""
    if cursor is None:
        return None, None
    page, between, position = cursor.partition(BETWEEN)
    if not between:
        raise InvalidCursor(field="cursor")
    return page, position


async def take_snapshot(
    reader: AsyncConnection,
    *,
    caller: Principal,
    wanted: Wanted,
    page: str | None,
    position: str | None,
    signer: CursorSigner,
) -> SnapshotPage:
    """Return a page of what the caller sees now; one statement for each kind of resources at most.

    The position is that of before the first page, which has none yet, so whatever changes while pages are read is told
    after it. Raises InvalidCursor, and CursorMismatch for a page of another snapshot.
    """
    if position is None:
        position = signer.position(await log.heads_for(reader, caller))
    query = b"snapshot" + caller.user_id.bytes + wanted.fingerprint() + position.encode()
    kinds, after = _standing(wanted, [] if page is None else signer.read_page(page, query=query)[0])
    items: list[SnapshotItem] = []
    while kinds:
        rows = await _read(reader, caller, wanted, kinds[0], after, wanted.limit - len(items) + 1)
        shown = rows[: wanted.limit - len(items)]
        items += [_item(kinds[0], row) for row in shown]
        if len(rows) > len(shown):
            last = [*map(str, _key(shown[-1]))] if shown else [*map(str, after)]
            next_page = signer.page(query=query, after=[kinds[0], *last])
            return SnapshotPage(items=items, next_page=f"{next_page}{BETWEEN}{position}", cursor=position)
        kinds, after = kinds[1:], ()
    return SnapshotPage(items=items, next_page=None, cursor=position)


def _standing(wanted: Wanted, place: Sequence[str | int | None]) -> tuple[Sequence[Kind], Sequence[UUID]]:
    """Return which kinds are still to come, and after which key of the first one."""
    kinds = [kind for kind in wanted.kinds if wanted.project_id is None or kind in IN_PROJECTS]
    if not place:
        return kinds, ()
    begun, *key = map(str, place)
    return kinds[[*map(str, kinds)].index(begun) :], tuple(map(UUID, key))


async def _read(
    reader: AsyncConnection, caller: Principal, wanted: Wanted, kind: Kind, after: Sequence[UUID], limit: int
) -> Sequence[RowMapping]:
    return await repository.page_of(
        reader,
        kind,
        caller,
        workspace_id=wanted.workspace_id,
        project_id=wanted.project_id,
        after=after,
        limit=limit,
    )


def _key(row: RowMapping) -> list[UUID]:
    return [row[name] for name in sorted(name for name in row if name.startswith("key_"))]


def _item(kind: Kind, row: RowMapping) -> SnapshotItem:
    return SnapshotItem(type=kind, data=SHOWN_AS[kind](row).model_dump(mode="json"))
