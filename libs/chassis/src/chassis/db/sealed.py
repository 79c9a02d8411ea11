"""Columns whose values are sealed (R43): with keys that are there, and after a while all with the newest."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Column, ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.sealing import KeyRing, SealError

log = structlog.get_logger()

BATCH = 100


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values, each for the place that its row tells; rows where `counts` is false are let be."""

    column: Column[Any]
    place: Callable[[Mapping[Any, Any]], str]
    counts: tuple[ColumnElement[bool], ...] = ()

    @property
    def kid(self) -> ColumnElement[str]:
        """The id of the key that a value is sealed with."""
        return func.split_part(self.column, ".", 2)

    @property
    def name(self) -> str:
        """Where it is, as it is told."""
        return f"{self.column.table.name}.{self.column.name}"


async def check_sealed(session: AsyncSession, columns: Iterable[SealedColumn], *, ring: KeyRing) -> None:
    """Raise SealError when a value is sealed with a key that the ring has not, which a restart must not hide."""
    for one in columns:
        used = select(one.kid).where(*one.counts, one.column.is_not(None)).distinct()
        missing = sorted(kid for kid in (await session.execute(used)).scalars() if not ring.knows(kid))
        if missing:
            raise SealError(f"{one.name} is sealed with keys that are not in the ring: {missing}")


async def reseal(session: AsyncSession, one: SealedColumn, *, ring: KeyRing) -> bool:
    """Seal a batch of values with the newest key; return whether there may be more.

    One that can't be opened is left as it is. Nobody else has a row of the batch meanwhile.
    """
    table = one.column.table
    (key,) = table.primary_key.columns
    others = select(table).where(*one.counts, one.kid != ring.newest).order_by(key).limit(BATCH)
    rows = (await session.execute(others.with_for_update(skip_locked=True))).mappings().all()
    done = 0
    for row in rows:
        place = one.place(row)
        try:
            sealed = ring.seal(ring.open(row[one.column.name], place=place), place=place)
        except SealError:
            # Its trace would show values.
            log.error("sealed.unreadable", column=one.name, id=str(row[key.name]))  # noqa: TRY400
            continue
        await session.execute(update(table).where(key == row[key.name]).values({one.column.name: sealed}))
        done += 1
    return done > 0 and len(rows) == BATCH
