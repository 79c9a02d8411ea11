"""How counts are asked for: with the parameters of lists, and by what."""

from typing import Annotated

from chassis.errors import ErrorDetail, InvalidInput, unknown_field
from fastapi import Depends, Query

from tasks_service.counting.rules import DIMENSIONS, MAX_FACETS, MAX_TOGETHER, Dimension
from tasks_service.listing.access import Archived, ChosenFilter, FlatFilter, Searched, TextFilter, narrowed
from tasks_service.listing.schemas import Asked
from tasks_service.timezones.access import AskedZone

NAMED = ", ".join(f"`{one}`" for one in DIMENSIONS)


async def asked_count(
    flat: FlatFilter,
    text: TextFilter,
    words: Searched,
    saved: ChosenFilter,
    zone: AskedZone,
    *,
    archived: Archived = False,
) -> Asked:
    """Return what the parameters ask for."""
    asked = Asked(
        tuple(one for one in (flat, text) if one is not None),
        archived=archived,
        zone=zone,
        q=words.q,
        scope=words.scope,
    )
    # What is counted has no order.
    return narrowed(asked, saved and {**saved, "sort": None})


async def grouped_by(
    group_by: Annotated[list[str], Query(description=f"By what: one or {MAX_TOGETHER} of {NAMED}.", max_length=20)],
) -> tuple[Dimension, ...]:
    """Return what tasks are counted by together. Raises InvalidInput."""
    return _dimensions(group_by, field="group_by", most=MAX_TOGETHER)


async def each_by(
    by: Annotated[list[str], Query(description=f"By what, each alone: up to {MAX_FACETS} of {NAMED}.", max_length=20)],
) -> tuple[Dimension, ...]:
    """Return what tasks are counted by, each alone. Raises InvalidInput."""
    return _dimensions(by, field="by", most=MAX_FACETS)


def _dimensions(names: list[str], *, field: str, most: int) -> tuple[Dimension, ...]:
    found = tuple(one for one in DIMENSIONS if one in names)
    known = {one: place for place, one in enumerate(names)}
    problems = [unknown_field(name, DIMENSIONS, field) for name in known if name not in DIMENSIONS]
    if len(known) < len(names):
        problems.append(ErrorDetail("REPEATED_ENTRY", "Each entry may be given only once.", field))
    if len(known) > most:
        problems.append(ErrorDetail("TOO_MANY", f"This takes up to {most} of them.", field))
    if problems:
        raise InvalidInput(details=problems)
    return tuple(sorted(found, key=lambda one: known[one]))


AskedCount = Annotated[Asked, Depends(asked_count)]
GroupedBy = Annotated[tuple[Dimension, ...], Depends(grouped_by)]
EachBy = Annotated[tuple[Dimension, ...], Depends(each_by)]
