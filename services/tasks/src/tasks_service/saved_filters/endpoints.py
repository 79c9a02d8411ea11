from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden, IfMatchRequired, NotFound
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.names.errors import NamedMissing
from tasks_service.saved_filters import service
from tasks_service.saved_filters.access import ReadableFilter, WritableFilter
from tasks_service.saved_filters.errors import FilterExists, TooManyFilters
from tasks_service.saved_filters.repository import list_visible
from tasks_service.saved_filters.rules import Scope
from tasks_service.saved_filters.schemas import FILTER_EXAMPLE, FilterCreate, FilterOut, FilterPatch
from tasks_service.sorting.rules import sort_of
from tasks_service.versions.access import Expecting, ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict
from tasks_service.workspaces.errors import WorkspaceNotFound

router = APIRouter(prefix="/api/v1/filters", tags=["filters"])

ETAG = {"ETag": "The saved filter's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, FILTER_EXAMPLE, "name")
MEANINGLESS = (InvalidFilter, FilterTooComplex)
WRITING = (NamedMissing, Forbidden, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)


@router.get(
    "",
    summary="List saved filters",
    description=(
        "Your own ones and those that are shared with the members of your workspaces, by name. API tokens that are "
        "restricted to projects see what is shared, and none of your own: these may tell of other projects."
    ),
    response_model=PageEnvelope[FilterOut],
    responses={
        200: page_example(FILTER_EXAMPLE, description="One page of saved filters."),
        **errors(PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("filter.read")
async def list_filters(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
    scope: Annotated[Scope | None, Query(description="Only your own ones, or only what is shared.")] = None,
) -> Response:
    rows, total = await list_visible(
        connection,
        caller=caller,
        workspace_id=workspace_id,
        scope=scope,
        limit=paging.per_page,
        offset=paging.offset,
    )
    return page_reply(request, [FilterOut.of(row) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Save a filter",
    description=(
        "Keeps a filter, an order and words to search for under a name; `filter_id=` of `GET /api/v1/tasks` applies "
        "them. A personal one is yours alone. A shared one is for the members of the workspace, and shows each of them "
        "what they may see: `me`, dates and time zone are those of who uses it. What is wrong with the filter is told "
        "now, as a list would. You have at most 200 in a workspace."
    ),
    response_model=Envelope[FilterOut],
    responses={
        201: example(
            FILTER_EXAMPLE,
            description="The new saved filter.",
            headers={**WRITTEN, "Location": "Path of the new saved filter."},
        ),
        **errors(WorkspaceNotFound, Forbidden, FilterExists, TooManyFilters, NotFound, *MEANINGLESS),
    },
)
@scope("tasks:write")
@policy("workspace.create_filter")
async def create_filter(request: Request, body: FilterCreate, caller: CurrentPrincipal, write: Writing) -> Response:
    _check_sort(body.sort)
    row = await service.create_filter(write.session, wanted=body, actor=caller)
    headers = {"location": f"{router.prefix}/{row['id']}", **await written_headers(request, write, caller, row)}
    return write.reply(FilterOut.of(row), status=201, headers=headers)


@router.get(
    "/{filter_id}",
    summary="Read a saved filter",
    description="One saved filter. Its ETag goes into `If-Match` of a change, or `If-None-Match` of a read.",
    response_model=Envelope[FilterOut],
    responses={
        200: example(FILTER_EXAMPLE, description="The saved filter.", headers=ETAG),
        304: {"description": "The saved filter is still at the version in If-None-Match."},
        **errors(NamedMissing, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("filter.read")
async def read_filter(request: Request, found: ReadableFilter) -> Response:
    return unless_unchanged(request, reply(FilterOut.of(found), headers={"etag": etag(found["version"])}))


@router.patch(
    "/{filter_id}",
    summary="Change a saved filter",
    description=(
        "A JSON merge patch: absent fields keep their value, null clears; `filter` is replaced as a whole. A shared "
        "one is changed by who made it and by owners and admins of the workspace; only who made it may take it back "
        "with `scope: personal`. Walks over lists that are under way with it begin anew."
    ),
    response_model=Envelope[FilterOut],
    responses={
        200: example(
            {**FILTER_EXAMPLE, "name": "Mine", "version": 2},
            description="The saved filter after the change.",
            headers=WRITTEN,
        ),
        **errors(FilterExists, *MEANINGLESS, *WRITING),
    },
)
@scope("tasks:write")
@policy("filter.edit")
async def update_filter(
    request: Request,
    found: WritableFilter,
    body: FilterPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    _check_sort(body.sort)
    row = await service.update_filter(write.session, row=found, patch=body, expected=expected, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.reply(FilterOut.of(row), headers=headers)


@router.delete(
    "/{filter_id}",
    summary="Delete a saved filter",
    description=(
        "Deletes the saved filter, and no task. A shared one is deleted by who made it and by owners and admins of the "
        "workspace. `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The saved filter is gone.", headers={**CURSOR}),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(*WRITING),
    },
)
@scope("tasks:delete")
@policy("filter.delete")
async def delete_filter(
    request: Request,
    found: WritableFilter,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    await service.delete_filter(write.session, row=found, expected=expected, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


def _check_sort(sort: str | None) -> None:
    """Raise InvalidInput for what a list would not be sorted by."""
    if sort is not None:
        sort_of(sort.split(","))
