"""Counting tasks in groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.paging import Paging
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.counting import repository
from tasks_service.counting.repository import Counting
from tasks_service.counting.rules import IN_INDEX, MAX_GROUPS, OF_DAYS, QUICKER, SAMPLE, Dimension
from tasks_service.listing.repository import EVERYTHING
from tasks_service.listing.schemas import Asked
from tasks_service.listing.service import plan_of, resolve, searched_plan
from tasks_service.sorting.rules import NEWEST
from tasks_service.timezones.service import zone_of

NO_PAGES = Paging(1, 1, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """Groups of each kind, largest first, and what is said of them."""

    groups: Sequence[Sequence[tuple[Mapping[Dimension, str | None], int]]]
    truncated: Sequence[bool]
    meta: Mapping[str, Any] = field(default_factory=dict)


async def count_tasks(
    reader: AsyncConnection,
    *,
    caller: Principal,
    asked: Asked,
    dimensions: tuple[Dimension, ...],
    is_together: bool,
    signer: CursorSigner,
    exact_up_to: int,
) -> Answer:
    """Count what a list would show in groups: by all dimensions together, or by each alone.

    Counts are exact unless more tasks than `exact_up_to` would have to be looked at; what an index has of them is
    quicker to look at. Raises InvalidInput for what is wrong with the filter.
    """
    if asked.zone is None and (asked.filters or not OF_DAYS.isdisjoint(dimensions)):
        asked = replace(asked, zone=await zone_of(reader, caller=caller, asked_for=None))
    query = await resolve(reader, caller=caller, asked=asked, paging=NO_PAGES, signer=signer)
    # All that fits is counted, and not what a list by rank has of it.
    query = replace(query, sort=NEWEST)
    plan = await searched_plan(reader, plan_of(query, caller), query, caller, None)
    counting = Counting(plan.reach, plan.found, dimensions, is_together)
    is_quick = plan.found == EVERYTHING and IN_INDEX.issuperset(dimensions)
    most = exact_up_to * QUICKER if is_quick else exact_up_to
    size = await repository.size_of(reader, caller=caller, reach=plan.reach, parameters=plan.parameters)
    counts = await repository.count_groups(
        reader,
        caller=caller,
        counting=counting,
        zone=query.zone.key,
        sample=SAMPLE if size > most else None,
        parameters=plan.parameters,
    )
    kinds = [dimensions] if is_together else [(one,) for one in dimensions]
    groups = [
        [(dict(zip(kind, one.key, strict=False)), one.number) for one in counts.groups if one.place == place]
        for place, kind in enumerate(kinds)
    ]
    told = {name: value for name, value in query.told.items() if name != "sort"}
    meta = {"total": counts.total, "total_is_estimate": counts.is_estimate, **told}
    return Answer([one[:MAX_GROUPS] for one in groups], [len(one) > MAX_GROUPS for one in groups], meta)
