"""Lists of tasks, a part at a time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.db.direct import DirectReader
from chassis.filtering.binding import bind_all, needs_now, needs_zone
from chassis.filtering.printing import as_json, fingerprint
from chassis.filtering.tree import EVERYTHING, Node, Predicate, all_of
from chassis.filtering.values import Context
from chassis.identity import Principal
from chassis.paging import Page, Paging, Place, SortedWalk, page_meta
from chassis.timezones import zone_named
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.fields.rules import FIELDS
from tasks_service.listing import repository
from tasks_service.listing.repository import PageFound
from tasks_service.listing.rules import Edge, Part, as_written, names, read_edge
from tasks_service.listing.schemas import UTC, Asked, TaskQuery
from tasks_service.matching.repository import Shaped, shaped
from tasks_service.places.rules import Reach
from tasks_service.predicates.rules import fields_of, parts_of
from tasks_service.searching.repository import Within
from tasks_service.searching.rules import MOST_RANKED, SCOPES, Matching, Search
from tasks_service.searching.service import Begun, begin, go_on, searched
from tasks_service.sorting.rules import BEST, NEWEST, RANK, complete, text_of
from tasks_service.timezones.repository import find_zone
from tasks_service.timezones.service import zone_of, zone_or_utc
from tasks_service.totals.repository import Total
from tasks_service.totals.service import Counted, KeptEstimates, KeptTotals, made_for, total_of

Reader = AsyncConnection | AsyncSession | DirectReader
NARROWING = {"project_id": "of_projects", "workspace_id": "of_workspaces"}
OF_TASKS = frozenset(
    {
        *("id", "key", "workspace_id", "project_id", "is_archived", "parent_id", "external_source", "external_id"),
        *("title", "description", "status", "status_category", "priority", "category_id", "estimate_minutes"),
        *("assigned_to", "assignees", "completion_policy", "start", "due", "deadline"),
        *("created_at", "created_by", "updated_at", "completed_at", "completed_by"),
    }
)
"""What a filter may ask for whose pages and totals are kept: columns of tasks and projects, all changes of which are in
the log."""
MOST_SETTLED_PARAMETERS = 8
"""How many parameters of SQL a filter may come to that is settled: the conditions of more take too much to be kept."""
AT_THE_BEGINNING = 3
"""How many entries of a cursor say what was so when the walk began: the time, the zone, and what a search came to."""


@dataclass(frozen=True, slots=True)
class SearchedPage(Page[RowMapping]):
    """Part of a list, with the search that it is of, if it is of one, and where the logs stood, if that is known."""

    begun: Begun | None = field(default=None)
    log_at: UUID | None = field(default=None)


async def resolve(
    reader: Reader, *, caller: Principal, asked: Asked, paging: Paging, signer: CursorSigner
) -> TaskQuery:
    """Return what a list is of. Relative dates are of when a walk began, which its cursor tells.

    Raises InvalidInput for what is wrong with the filter, all at once, and InvalidCursor.
    """
    began, was_in = _beginning(signer.peek(paging.cursor)) if paging.cursor else (None, None)
    now, zone = began or utcnow(), asked.zone or was_in
    tells_zone_later = zone is None and bool(asked.filters) and _is_same_anywhere(asked, paging)
    if zone is None and asked.filters and not tells_zone_later:
        zone = await zone_of(reader, caller=caller, asked_for=None)
    node = bind_all(asked.filters, FIELDS, Context(caller.user_id, zone or UTC, now))
    # What does not depend on the time has the same cursors at any.
    began = now if any(needs_now(one, FIELDS) for one in asked.filters) else None
    return _query(asked, node, began=began, zone=zone, tells_zone_later=tells_zone_later)


def _query(
    asked: Asked, node: Node, *, began: datetime | None, zone: ZoneInfo | None, tells_zone_later: bool
) -> TaskQuery:
    default = NEWEST if asked.q is None else BEST
    told: dict[str, Any] = {"sort": text_of(tuple(asked.sort) or default[:1])}
    if asked.filters:
        told["resolved_filter"] = as_json(node)
    if zone is not None:
        told["timezone"] = zone.key
    sort = complete(asked.sort) if asked.sort else default
    scope = asked.scope or SCOPES
    shown = MappingProxyType(told)
    return TaskQuery(began, node, sort, zone or UTC, asked.archived, asked.q, scope, tells_zone_later, shown)


def _is_same_anywhere(asked: Asked, paging: Paging) -> bool:
    """Tell whether it makes no difference to a list where days begin; the cursors of a walk say it in any case."""
    return paging.cursor is None and asked.q is None and not any(needs_zone(one, FIELDS) for one in asked.filters)


def _beginning(place: Place) -> tuple[datetime | None, ZoneInfo | None]:
    """Return when a walk began, and where; nothing of a cursor of another kind, which is refused later."""
    try:
        began, zone, _ = place[-AT_THE_BEGINNING:]
        was_in = None if zone is None else zone_named(str(zone))
        return None if began is None else datetime.fromisoformat(str(began)), was_in
    except ValueError:
        return None, None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is read: of which places, what is asked of tasks there, and the parameters of both."""

    reach: Reach
    found: Shaped
    parameters: Mapping[str, Any]
    counted: Shaped | None = None
    begun: Begun | None = None


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
    walked_by = query.sort[0].name
    found = repository.EVERYTHING
    if node != EVERYTHING:
        found = shaped(node, zone=query.zone, caller=caller, walked_by=walked_by)
    return Plan(reach, found, narrowed)


class DependsOnAsker(Exception):
    """What a list is of depends on who asks, when or where."""


class _Anybody:
    """Stands for whoever asks, whenever and wherever, and says nothing of them."""

    def __getattr__(self, name: str) -> Any:
        raise DependsOnAsker(name)


ANYBODY: Any = _Anybody()


class Settled(NamedTuple):
    """What a list is of, and how it is read, which is the same whoever asks.

    It `is_of_tasks` where it depends on nothing but tasks and who sees them, of which each change is in the log.
    """

    query: TaskQuery
    plan: Plan
    is_of_tasks: bool


def settle(asked: Asked, paging: Paging) -> Settled | None:
    """Return what a page by its number is of where that is the same for all, so that it need not be found out again.

    None where it depends on who asks, when or where. Raises InvalidInput as resolve does.
    """
    if asked.zone is not None or not _is_same_anywhere(asked, paging):
        return None
    try:
        node = bind_all(asked.filters, FIELDS, ANYBODY)
        query = _query(asked, node, began=None, zone=None, tells_zone_later=bool(asked.filters))
        plan = plan_of(query, ANYBODY)
    except DependsOnAsker:
        return None
    if len(plan.found.values) > MOST_SETTLED_PARAMETERS:
        return None
    return Settled(query, plan, fields_of(query.node) <= OF_TASKS)


class Bounds(NamedTuple):
    """How many tasks are counted one by one, and of about how many it is said how well they fit a search.

    `estimates` are those of totals that are kept; None where the total is to be of this moment. `totals` are exact ones
    that are kept; None where a total depends on more than what the logs tell.
    """

    exact_up_to: int
    ranked_up_to: int
    estimates: KeptEstimates | None = None
    totals: KeptTotals | None = None


async def searched_plan(
    reader: Reader,
    plan: Plan,
    query: TaskQuery,
    caller: Principal,
    place: Place | None,
    *,
    ranked_up_to: int = MOST_RANKED,
) -> Plan:
    """Return a plan for what fits what is searched for, too; `place` is that of a walk that has begun before.

    In any order it is all that fit. Raises TypeError for a DirectReader.
    """
    if query.q is None:
        return plan
    if isinstance(reader, DirectReader):
        raise TypeError("a search is asked by statements that are made anew")
    search = Search(query.q, query.scope, ranked_up_to)
    within = Within(plan.parameters.get("of_workspaces"), plan.parameters.get("of_projects"))
    if place is None:
        begun = await begin(reader, caller=caller, search=search, within=within)
    else:
        begun = await go_on(reader, caller=caller, search=search, matching=Matching.read(str(place[-1])), within=within)
    by_rank = any(order.name == RANK for order in query.sort)
    listed, counted = searched(plan.found, begun, by_rank=by_rank)
    return replace(plan, found=listed, counted=counted if by_rank else None, begun=begun)


async def list_tasks(
    reader: Reader,
    *,
    caller: Principal,
    query: TaskQuery,
    paging: Paging,
    signer: CursorSigner,
    bounds: Bounds,
    plan: Plan | None = None,
) -> SearchedPage:
    """Return one page of what the caller may see; `plan` is how the query is read, where that is known.

    Raises InvalidCursor or CursorMismatch.
    """
    plan = plan or plan_of(query, caller)
    if paging.cursor is not None:
        return await _walk(reader, caller, query, plan, paging, signer, bounds)
    plan = await searched_plan(reader, plan, query, caller, None, ranked_up_to=bounds.ranked_up_to)
    if plan.found.among is None:
        found = await _plain_page(reader, caller, query, plan, paging, bounds)
    else:
        found = await _page(reader, caller, query, plan, paging)
    total = found.total
    if total is None:
        total = await _total(reader, caller, plan, bounds)
    seen = paging.offset + len(found.rows)
    # An estimate is no less than what is shown.
    number = max(total.number, seen) if found.rows else total.number
    meta = {**page_meta(paging, number), "total_is_estimate": total.is_estimate, **query.told}
    if query.tells_zone_later:
        meta["timezone"] = zone_or_utc(found.zone).key
    return SearchedPage(found.rows[: paging.per_page], meta, plan.begun, found.log_at)


async def _plain_page(
    reader: Reader, caller: Principal, query: TaskQuery, plan: Plan, paging: Paging, bounds: Bounds
) -> PageFound:
    """Return a page, with all that is said of it, at once; it is counted only where something has changed since."""
    now, asked, known = time.monotonic(), b"", None
    if bounds.totals is not None:
        asked = made_for(caller, plan.reach, plan.found, plan.parameters)
        known = bounds.totals.find(asked, now=now)
    page = await repository.find_page(
        reader,
        caller=caller,
        reach=plan.reach,
        found=plan.found,
        sort=query.sort,
        paging=paging,
        parameters=plan.parameters,
        exact_up_to=bounds.exact_up_to,
        keeps=bounds.totals is not None,
        counted_at=None if known is None else known.log_at,
    )
    if bounds.totals is None or page.log_at is None:
        return page
    if known is not None and known.log_at == page.log_at:
        return page._replace(total=known.total)
    if page.total is not None:
        bounds.totals.keep(asked, Counted(page.total, page.log_at), now=now)
    return page


async def _page(reader: Reader, caller: Principal, query: TaskQuery, plan: Plan, paging: Paging) -> PageFound:
    """Return a page of what is found by whom or what it names, or by a search."""
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
    zone = await find_zone(reader, caller.user_id) if query.tells_zone_later else None
    is_open = len(rows) > paging.per_page or (not rows and paging.page > 1)
    return PageFound(rows, None if is_open else Total(paging.offset + len(rows), is_estimate=False), zone)


async def _total(reader: Reader, caller: Principal, plan: Plan, bounds: Bounds) -> Total:
    return await total_of(
        reader,
        caller=caller,
        reach=plan.reach,
        found=plan.counted or plan.found,
        parameters=plan.parameters,
        exact_up_to=bounds.exact_up_to,
        # What a search came to is of this moment alone.
        kept=bounds.estimates if plan.begun is None else None,
    )


async def _walk(
    reader: Reader,
    caller: Principal,
    query: TaskQuery,
    plan: Plan,
    paging: Paging,
    signer: CursorSigner,
    bounds: Bounds,
) -> SearchedPage:
    walk: SortedWalk[Edge] = SortedWalk(
        paging,
        signer,
        query=_fingerprint(query, caller),
        read=lambda place: read_edge(query.sort, place[:-AT_THE_BEGINNING]),
    )
    edge = walk.edge
    place = signer.peek(paging.cursor) if paging.cursor else None
    plan = await searched_plan(reader, plan, query, caller, place, ranked_up_to=bounds.ranked_up_to)
    state = None if plan.begun is None else plan.begun.matching.as_written()
    began: Place = [None if query.began is None else query.began.isoformat(), query.told.get("timezone"), state]
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
    return SearchedPage(page.rows, {**page.meta, **query.told}, plan.begun)


def _fingerprint(query: TaskQuery, caller: Principal) -> bytes:
    """Return what tells one list from others, for one caller."""
    asked = (str(caller.user_id), text_of(query.sort), query.zone.key, query.archived, query.q, query.scope)
    return repr(asked).encode() + fingerprint(query.node)
