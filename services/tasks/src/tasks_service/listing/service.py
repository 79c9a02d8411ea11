"""Lists of tasks, a part at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.errors import InvalidInput
from chassis.filtering.binding import bind, needs_zone
from chassis.filtering.printing import as_json, fingerprint
from chassis.filtering.tree import EVERYTHING, Node, Predicate, all_of
from chassis.filtering.values import Context
from chassis.filtering.written import joined
from chassis.identity import Principal
from chassis.paging import Page, Paging, Place, SortedWalk, page_meta
from chassis.timezones import zone_named
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.listing import repository
from tasks_service.listing.filters import FIELDS
from tasks_service.listing.repository import Part, Reach
from tasks_service.listing.rules import BEST, NEWEST, RANK, Edge, as_written, complete, names, read_edge, text_of
from tasks_service.listing.schemas import UTC, Asked, TaskQuery
from tasks_service.matching.repository import Shaped, shaped
from tasks_service.predicates.rules import parts_of
from tasks_service.timezones.service import zone_of

Reader = AsyncConnection | AsyncSession
NARROWING = {"project_id": "of_projects", "workspace_id": "of_workspaces"}
AT_THE_BEGINNING = 2
"""How many entries of a cursor say what was so when the walk began: the time, and the zone."""


async def resolve(
    reader: Reader, *, caller: Principal, asked: Asked, paging: Paging, signer: CursorSigner
) -> TaskQuery:
    """Return what a list is of. Relative dates are of when a walk began, which its cursor tells.

    Raises InvalidInput for what is wrong with the filter, all at once, and InvalidCursor.
    """
    began, was_in = _beginning(signer.peek(paging.cursor)) if paging.cursor else (None, None)
    now, zone = began or utcnow(), asked.zone or was_in
    written = joined("and", asked.filters) if asked.filters else None
    if zone is None and written is not None and needs_zone(written, FIELDS):
        zone = await zone_of(reader, caller=caller, asked_for=None)
    if asked.q is None and any(order.name == RANK for order in asked.sort):
        raise InvalidInput("What is not searched has no rank.", field="sort")
    default = NEWEST if asked.q is None else BEST
    node = EVERYTHING if written is None else bind(written, FIELDS, Context(caller.user_id, zone or UTC, now))
    told: dict[str, Any] = {"sort": text_of(tuple(asked.sort) or default[:1])}
    if written is not None:
        told["resolved_filter"] = as_json(node)
    if zone is not None:
        told["timezone"] = zone.key
    sort = complete(asked.sort) if asked.sort else default
    return TaskQuery(now, node, sort, zone or UTC, asked.archived, asked.q, asked.scope, told)


def _beginning(place: Place) -> tuple[datetime, ZoneInfo | None] | tuple[None, None]:
    """Return when a walk began, and where; nothing of a cursor of another kind, which is refused later."""
    try:
        began, zone = place[-AT_THE_BEGINNING:]
        return datetime.fromisoformat(str(began)), None if zone is None else zone_named(str(zone))
    except ValueError:
        return None, None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is read: of which places, what is asked of tasks there, and the parameters of both."""

    reach: Reach
    found: Shaped
    parameters: Mapping[str, Any]


def plan_of(query: TaskQuery, caller: Principal) -> Plan:
    """Return how a query is read; what it says of projects and workspaces for all tasks narrows the places."""
    narrowed: dict[str, list[Any]] = {}
    rest: list[Node] = []
    for one in parts_of(query.node):
        name = NARROWING.get(one.field) if isinstance(one, Predicate) and one.operator in ("=", "in") else None
        if name is None or name in narrowed or not isinstance(one, Predicate):
            rest.append(one)
        else:
            narrowed[name] = list(one.values)
    in_all = query.archived or "of_projects" in narrowed or names(query.node, "is_archived")
    reach = Reach("of_workspaces" in narrowed, "of_projects" in narrowed, None if in_all else False)
    node = all_of(rest)
    found = repository.EVERYTHING if node == EVERYTHING else shaped(node, zone=query.zone, caller=caller)
    return Plan(reach, found, narrowed)


async def list_tasks(
    reader: Reader,
    *,
    caller: Principal,
    query: TaskQuery,
    paging: Paging,
    signer: CursorSigner,
    exact_up_to: int,
) -> Page[RowMapping]:
    """Return one page of what the caller may see. Raises InvalidCursor or CursorMismatch."""
    plan = plan_of(query, caller)
    if paging.cursor is not None:
        return await _walk(reader, caller, query, plan, paging, signer)
    rows = await repository.list_tasks(
        reader,
        caller=caller,
        reach=plan.reach,
        found=plan.found,
        part=Part(query.sort),
        limit=paging.per_page + 1,
        offset=paging.offset,
        parameters=plan.parameters,
    )
    seen = paging.offset + len(rows)
    total = repository.Total(seen, is_estimate=False)
    if len(rows) > paging.per_page or (not rows and paging.page > 1):
        total = await repository.count_tasks(
            reader,
            caller=caller,
            reach=plan.reach,
            found=plan.found,
            parameters=plan.parameters,
            exact_up_to=exact_up_to,
        )
    # An estimate is no less than what is shown.
    number = max(total.number, seen) if rows else total.number
    meta = {**page_meta(paging, number), "total_is_estimate": total.is_estimate, **query.told}
    return Page(rows[: paging.per_page], meta)


async def _walk(
    reader: Reader, caller: Principal, query: TaskQuery, plan: Plan, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    began: Place = [query.now.isoformat(), query.told.get("timezone")]
    walk: SortedWalk[Edge] = SortedWalk(
        paging,
        signer,
        query=_fingerprint(query, caller),
        read=lambda place: read_edge(query.sort, place[:-AT_THE_BEGINNING]),
    )
    edge = walk.edge
    rows = await repository.list_tasks(
        reader,
        caller=caller,
        reach=plan.reach,
        found=plan.found,
        part=Part(query.sort, walk.backwards, None if edge is None else tuple(value is None for value in edge)),
        limit=walk.limit,
        parameters={**plan.parameters, **repository.edge_parameters(edge or ())},
    )
    page = walk.shown(
        rows, place=lambda row: [*as_written([row[f"sort_{at}"] for at in range(len(query.sort))]), *began]
    )
    return replace(page, meta={**page.meta, **query.told})


def _fingerprint(query: TaskQuery, caller: Principal) -> bytes:
    """Return what tells one list from others, for one caller."""
    asked = (str(caller.user_id), text_of(query.sort), query.zone.key, query.archived, query.q, query.scope)
    return repr(asked).encode() + fingerprint(query.node)
