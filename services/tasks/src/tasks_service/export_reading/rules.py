"""What is exported, and in which order."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.tree import Node

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks are exported: what a filter finds, that was bound in this zone."""

    node: Node
    zone: ZoneInfo


def to_be_read(rows: Iterable[Row], known: Collection[UUID], *, after: UUID | None) -> set[UUID]:
    """Return what rows are below that a walk by id comes to later: all up to `after` has been there, and `known`."""
    above = {row["parent_id"] for row in rows} - {None}
    return {one for one in above if (after is None or one > after) and one not in known}


def parents_first(rows: Sequence[Row], above: Iterable[Row], told: Collection[UUID]) -> list[Row]:
    """Return rows in their order, each after what it is below; `above` are rows that a walk would come to later.

    What has been `told` already is left out.
    """
    known = {row["id"]: row for row in (*above, *rows)}
    seen = set(told)
    placed: list[Row] = []

    def place(row: Row) -> None:
        if row["id"] in seen:
            return
        seen.add(row["id"])
        if row["parent_id"] in known:
            place(known[row["parent_id"]])
        placed.append(row)

    for row in rows:
        place(row)
    return placed


def still_told(told: Collection[UUID], placed: Iterable[Row], rows: Sequence[Row]) -> list[UUID]:
    """Return what has been told that the walk has not come to after these rows."""
    return sorted(({*told} | {row["id"] for row in placed}) - {row["id"] for row in rows})
