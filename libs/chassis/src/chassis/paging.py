"""What part of a list is asked for; how it is read from a request is chassis.web.pagination's affair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from chassis.cursors import CursorSigner

Row = TypeVar("Row", bound=Mapping[Any, Any])


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


class Place(NamedTuple):
    """Where a walk is: the id of the entry that was seen last, None at the beginning, and the direction."""

    edge: UUID | None
    is_backwards: bool


def place_of(paging: Paging, *, signer: CursorSigner, query: bytes) -> Place:
    """Read the cursor of a walk by id. Raises InvalidCursor or CursorMismatch."""
    if not paging.cursor:
        return Place(None, is_backwards=False)
    after, is_backwards = signer.read_page(paging.cursor, query=query)
    return Place(UUID(str(after[0])), is_backwards)


def part_of_walk(
    rows: Sequence[Row], *, paging: Paging, place: Place, signer: CursorSigner, query: bytes
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of a part, in the order of the list, and its `meta`.

    `rows` were read from the place on in its direction, one more than asked for: it tells whether there is more.
    """
    shown = list(rows[: paging.per_page])
    more = len(rows) > paging.per_page
    if place.is_backwards:
        shown.reverse()
    has_next = bool(shown) and (more or place.is_backwards)
    has_previous = bool(shown) and place.edge is not None and (more or not place.is_backwards)
    meta = {
        "per_page": paging.per_page,
        "next_cursor": signer.page(query=query, after=[str(shown[-1]["id"])]) if has_next else None,
        "prev_cursor": (
            signer.page(query=query, after=[str(shown[0]["id"])], backwards=True) if has_previous else None
        ),
        "has_more": has_next,
    }
    return shown, meta
