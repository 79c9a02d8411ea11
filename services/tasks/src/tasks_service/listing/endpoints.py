from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from chassis.db.direct import reading_directly
from chassis.errors import CursorMismatch, InvalidCursor
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.identity import Principal
from chassis.paging import Paging
from chassis.timezones import UnknownTimezone
from chassis.web.app import APIRouter
from chassis.web.constructing import WrittenJson
from chassis.web.database import bound_of
from chassis.web.envelope import PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, page_example
from chassis.web.pagination import (
    PageAndCursor,
    PageTooDeep,
    PagingQuery,
    paged_reply,
    pages_or_cursor,
)
from chassis.web.replies import reply, tagged
from chassis.web.routing import policy, scope
from chassis.web.shortcuts import ListShortcut
from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes.access import FreshConnection, asks_for_what_is_new
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.includes.access import Including
from tasks_service.includes.schemas import only
from tasks_service.includes.service import REGISTRY, shown
from tasks_service.kept_pages.access import standing_of
from tasks_service.kept_pages.service import Shown, for_whom, page_of
from tasks_service.listing import service
from tasks_service.listing.access import (
    PLAIN,
    Archived,
    AskedList,
    ChosenFilter,
    Plain,
    asked_by,
    asked_plainly,
    chosen,
    included,
    narrowed,
)
from tasks_service.listing.schemas import Asked, TaskListed, TaskSearch, found_alone
from tasks_service.saved_filters.errors import FilterNotFound
from tasks_service.searching.service import show
from tasks_service.tasks.schemas import TASK_EXAMPLE, written_tasks
from tasks_service.timezones.access import AskedZone

router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])

REFUSALS = (
    InvalidCursor,
    CursorMismatch,
    PageAndCursor,
    PageTooDeep,
    NotYetConsistent,
    InvalidFilter,
    FilterTooComplex,
    UnknownTimezone,
    FilterNotFound,
)
ABOUT = (
    "`meta.resolved_filter` is the filter as it was understood, with `me` and relative dates resolved, "
    "`meta.timezone` where days begin, and `meta.sort` the order. Page mode tells the total, and by "
    "`meta.total_is_estimate` whether it is about that many: as some hundred tasks told a few seconds ago, so the "
    "rarer what you ask for is, the farther off it may be. By cursor the list is walked without skipping or repeating "
    "what keeps its place in the order while others write. Tasks of archived projects are left out unless you ask "
    "for them.\n\n"
    "With `q`, each task has its `rank` and `highlights`, and the best are first unless `sort` says otherwise. Of "
    "words that many tasks have, the newest tasks are ranked, a few hundred; the others come after these. Where fewer "
    "than five fit, tasks with titles like the words come after them.\n\n"
    "A list that takes the database longer than five seconds is ended, with 503 `SERVICE_UNAVAILABLE` and "
    "`Retry-After`: name a project, or filter by less."
)


@router.get(
    "",
    summary="List tasks",
    description=(
        "The tasks that you can see, newest first unless `sort` says otherwise. Each parameter that is named like a "
        f"field finds what has one of its values, and all of them are joined with `filter` by AND. {ABOUT}"
    ),
    response_model=PageEnvelope[TaskListed],
    responses={200: page_example(TASK_EXAMPLE, description="One page of tasks."), **errors(*REFUSALS)},
)
@scope("tasks:read")
@policy("task.read")
async def list_tasks(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    asked: AskedList,
    saved: ChosenFilter,
    zone: AskedZone,
    paging: PagingQuery,
    include: Including,
    *,
    archived: Archived = False,
) -> Response:
    wanted = narrowed(replace(asked, zone=zone, archived=archived), saved)
    return await _answer(request, connection, caller, wanted, paging, include)


async def list_plainly(request: Request, caller: Principal, given: Mapping[str, Sequence[str]]) -> Response | None:
    """Answer as list_tasks does for plain parameters; None for others. Raises AppError for what that refuses."""
    plain = asked_plainly(given)
    if plain is None:
        return None
    page = await _shown_plainly(request, caller, plain)
    return tagged(request, paged_reply(request, WrittenJson(page.tasks), plain.paging, page.meta))


async def _shown_plainly(request: Request, caller: Principal, plain: Plain) -> Shown:
    """Return a page as it was shown, while nothing has changed, where that can be told."""
    find = partial(_found_plainly, request, caller, plain)
    if not plain.has_kept_page:
        return await find()
    look = partial(standing_of, request, caller)
    return await page_of(request.app.state.pages, for_whom(caller, plain.given), look=look, find=find)


async def _found_plainly(request: Request, caller: Principal, plain: Plain) -> Shown:
    async with reading_directly(request.app.state.database, bound_of(request)) as reader:
        page = await _found(request, reader, caller, plain.asked, plain.paging, plain.settled)
    return Shown(written_tasks(page.rows), page.meta, page.log_at)


SHORTCUT = ListShortcut(list_tasks, list_plainly, PLAIN, other_forms=frozenset({b"x-min-cursor", b"x-timezone"}))


@router.post(
    "/search",
    status_code=200,
    summary="Search tasks",
    description=(
        "The same list as `GET /tasks`, for filters that are JSON or too long for a query. It changes nothing, and an "
        f"`Idempotency-Key` has no effect. {ABOUT}"
    ),
    response_model=PageEnvelope[TaskListed],
    responses={200: page_example(TASK_EXAMPLE, description="One page of tasks."), **errors(*REFUSALS)},
)
@scope("tasks:read")
@policy("task.read")
async def search_tasks(
    request: Request,
    body: TaskSearch,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    zone: AskedZone,
) -> Response:
    asked = asked_by(body, zone)
    asked = narrowed(asked, await chosen(connection, caller, body.filter_id))
    paging = await pages_or_cursor(body.page, body.per_page, body.cursor)
    return await _answer(request, connection, caller, asked, paging, included(body.include or ()))


async def _answer(
    request: Request,
    connection: AsyncConnection,
    caller: Principal,
    asked: Asked,
    paging: Paging,
    include: Sequence[str],
) -> Response:
    page = await _found(request, connection, caller, asked, paging)
    tasks = await shown(connection, page.rows, caller, include)
    always = [REGISTRY[name].field for name in include]
    if page.begun is not None:
        found = await show(connection, caller=caller, begun=page.begun, rows=page.rows)
        listed = found_alone(tasks, found, asked.fields, always)
    else:
        listed = only(tasks, asked.fields, always)
    if request.method == "GET":
        return paged_reply(request, listed, paging, page.meta)
    # What is asked for by a body has no address of its own.
    return reply(listed, meta=page.meta)


async def _found(
    request: Request,
    reader: service.Reader,
    caller: Principal,
    asked: Asked,
    paging: Paging,
    settled: service.Settled | None = None,
) -> service.SearchedPage:
    state = request.app.state
    if settled is None:
        query = await service.resolve(reader, caller=caller, asked=asked, paging=paging, signer=state.cursors)
    else:
        query = settled.query
    estimates = None if asks_for_what_is_new(request) else state.estimates
    totals = state.totals if settled is not None and settled.is_of_tasks else None
    bounds = service.Bounds(state.exact_count_up_to, state.ranked_up_to, estimates, totals)
    return await service.list_tasks(
        reader,
        caller=caller,
        query=query,
        paging=paging,
        signer=state.cursors,
        bounds=bounds,
        plan=None if settled is None else settled.plan,
    )
