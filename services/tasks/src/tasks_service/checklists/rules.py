"""Pure rules of checklists: where an item stands among the others."""

from collections.abc import Sequence
from uuid import UUID

from tasks_service.ordering.rules import MAX_CHARACTERS, rank_between, ranks_for

MAX_ITEMS = 200

Places = Sequence[tuple[UUID, str]]
"""Items in their order, with their positions."""


def index_beside(others: Places, *, after_id: UUID | None, before_id: UUID | None) -> int | None:
    """Return how many come first: all of them where no neighbour is named, and None where it is not one of them."""
    ids = [one for one, _ in others]
    neighbour = after_id or before_id
    if neighbour is None:
        return len(ids)
    if neighbour not in ids:
        return None
    return ids.index(neighbour) + (1 if after_id else 0)


def position_at(others: Places, index: int, *, now: str | None = None) -> str | None:
    """Return the position of what stands after so many others, which is that of `now` if it stands there already.

    None where the neighbours are so close together that all have to be placed anew.
    """
    before = others[index - 1][1] if index else None
    after = others[index][1] if index < len(others) else None
    if now is not None and (before is None or before < now) and (after is None or now < after):
        return now
    found = rank_between(before, after)
    return found if len(found) <= MAX_CHARACTERS else None


def placed_anew(others: Places, index: int) -> tuple[str, dict[UUID, str]]:
    """Return a short position for what stands after so many others, and new ones for those that have to move."""
    ranks = ranks_for(len(others) + 1)
    mine = ranks.pop(index)
    pairs = zip(others, ranks, strict=True)
    return mine, {one: rank for (one, was), rank in pairs if was != rank}
