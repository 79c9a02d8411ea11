"""What part of a list is asked for; how it is read from a request is chassis.web.pagination's affair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chassis.cursors import CursorSigner

Row = TypeVar("Row", bound=Mapping[Any, Any])
Key = TypeVar("Key")

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 20
MAX_OFFSET = 10_000
MAX_CURSOR = 4096
"""Characters: sort keys are long where they are texts, and what a search came to is in a cursor, too."""


@dataclass(frozen=True, slots=True)
class Paging:
    """`page` counts from 1. `cursor` is None in page mode, and empty at the beginning of a walk."""

    page: int
    per_page: int
    cursor: str | None

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page


def page_meta(wanted: Paging, total: int) -> dict[str, Any]:
    """Return the `meta` of page mode."""
    return {"page": wanted.page, "per_page": wanted.per_page, "total": total}


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Part of a list, with the `meta` that says which part."""

    rows: Sequence[Row]
    meta: dict[str, Any]


Place = list[str | int | None]
"""What a cursor says of the entry that it stands at."""


class SortedWalk(Generic[Key]):
    """One part of a walk over a sorted list.

    `query` tells the list and its caller from any other, and `read` makes of what a cursor has the sort keys. Read
    `limit` rows that follow `edge` in the order of the list, or when it goes `backwards` precede it, in the opposite
    order; at the beginning there is none. Raises InvalidCursor or CursorMismatch.
    """

    def __init__(self, paging: Paging, signer: CursorSigner, *, query: bytes, read: Callable[[Place], Key]) -> None:
        place, self.backwards = signer.read_page(paging.cursor, query=query) if paging.cursor else (None, False)
        self.edge = None if place is None else read(place)
        self._per_page, self._signer, self._query = paging.per_page, signer, query

    @property
    def limit(self) -> int:
        """How many rows to read: one more than is shown tells whether there is a next part."""
        return self._per_page + 1

    def shown(self, rows: Sequence[Row], *, place: Callable[[Row], Place]) -> Page[Row]:
        """Return what is shown of the rows, in the order of the list; `place` says where one stands in it."""
        shown, more = list(rows[: self._per_page]), len(rows) > self._per_page
        if self.backwards:
            shown.reverse()
        has_next = bool(shown) and (more or self.backwards)
        has_previous = bool(shown) and self.edge is not None and (more or not self.backwards)
        cursors = {
            "next_cursor": self._cursor(place(shown[-1])) if has_next else None,
            "prev_cursor": self._cursor(place(shown[0]), backwards=True) if has_previous else None,
        }
        return Page(shown, {"per_page": self._per_page, **cursors, "has_more": has_next})

    def _cursor(self, place: Place, *, backwards: bool = False) -> str:
        return self._signer.page(query=self._query, after=place, backwards=backwards)


class Walk(SortedWalk[Key]):
    """One part of a walk over a list that is sorted by one column, whose text `read` makes the key of."""

    def __init__(self, paging: Paging, signer: CursorSigner, *, query: bytes, read: Callable[[str], Key]) -> None:
        super().__init__(paging, signer, query=query, read=lambda place: read(str(place[0])))

    @property
    def onwards_from(self) -> Key | None:
        return None if self.backwards else self.edge

    @property
    def back_from(self) -> Key | None:
        return self.edge if self.backwards else None

    def page(self, rows: Sequence[Row], *, key: str) -> Page[Row]:
        """Return what is shown of the rows; `key` names the column."""
        return self.shown(rows, place=lambda row: [str(row[key])])
