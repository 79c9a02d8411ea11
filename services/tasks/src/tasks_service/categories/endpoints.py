from typing import Annotated
from uuid import UUID

from chassis.errors import Forbidden, IfMatchRequired, NotFound
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

from tasks_service.categories import service
from tasks_service.categories.access import ReadableCategory, WritableCategory
from tasks_service.categories.errors import CategoryExists, CategoryNotFound
from tasks_service.categories.schemas import (
    CATEGORY,
    CATEGORY_EXAMPLE,
    PLAN,
    CategoryCreate,
    CategoryOut,
    CategoryPatch,
    TasksPlan,
)
from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.names import service as names
from tasks_service.names.errors import NamedMissing
from tasks_service.names.repository import list_visible
from tasks_service.versions.access import Expecting, ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict
from tasks_service.workspaces.errors import WorkspaceNotFound

router = APIRouter(prefix="/api/v1/categories", tags=["categories"])

ETAG = {"ETag": "The category's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, CATEGORY_EXAMPLE, "name")
WRITING = (NamedMissing, Forbidden, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)
Plan = Annotated[
    str,
    Query(
        pattern=PLAN.pattern,
        max_length=44,
        description="What becomes of its tasks: `clear`, or `move_to:<id>` of another category of the same workspace.",
    ),
]


@router.get(
    "",
    summary="List categories",
    description="The categories of your workspaces and your own ones, by name; each id goes into `category_id`.",
    response_model=PageEnvelope[CategoryOut],
    responses={
        200: page_example(CATEGORY_EXAMPLE, description="One page of categories."),
        **errors(PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def list_categories(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
) -> Response:
    rows, total = await list_visible(
        connection,
        CATEGORY.table,
        caller=caller,
        workspace_id=workspace_id,
        limit=paging.per_page,
        offset=paging.offset,
    )
    return page_reply(request, [CategoryOut.of(row) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Create a category",
    description=(
        "With `workspace_id` it is for everybody in that workspace. Without, it is your own: nobody else sees it, "
        "and it is for tasks of your personal workspace. A name is unique among those of the workspace, or among "
        "your own, whatever its case."
    ),
    response_model=Envelope[CategoryOut],
    responses={
        201: example(
            CATEGORY_EXAMPLE,
            description="The new category.",
            headers={**WRITTEN, "Location": "Path of the new category."},
        ),
        **errors(WorkspaceNotFound, Forbidden, CategoryExists, NotFound),
    },
)
@scope("tasks:write")
@policy("workspace.create_category")
async def create_category(request: Request, body: CategoryCreate, caller: CurrentPrincipal, write: Writing) -> Response:
    row = await service.create_category(write.session, wanted=body, actor=caller)
    headers = {"location": f"{router.prefix}/{row['id']}", **await written_headers(request, write, caller, row)}
    return write.reply(CategoryOut.of(row), status=201, headers=headers)


@router.get(
    "/{category_id}",
    summary="Read a category",
    description="One category by its id. Its ETag goes into `If-Match` of a change, or `If-None-Match` of a read.",
    response_model=Envelope[CategoryOut],
    responses={
        200: example(CATEGORY_EXAMPLE, description="The category.", headers=ETAG),
        304: {"description": "The category is still at the version in If-None-Match."},
        **errors(NamedMissing, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def read_category(request: Request, category: ReadableCategory) -> Response:
    headers = {"etag": etag(category["version"])}
    return unless_unchanged(request, reply(CategoryOut.of(category), headers=headers))


@router.patch(
    "/{category_id}",
    summary="Change a category",
    description="A JSON merge patch: absent fields keep their value, null clears. Its tasks do not change.",
    response_model=Envelope[CategoryOut],
    responses={
        200: example(
            {**CATEGORY_EXAMPLE, "name": "Balcony", "version": 2},
            description="The category after the change.",
            headers=WRITTEN,
        ),
        **errors(CategoryExists, *WRITING),
    },
)
@scope("tasks:write")
@policy("category.edit")
async def update_category(
    request: Request,
    category: WritableCategory,
    body: CategoryPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    row = await names.update(write.session, CATEGORY, row=category, patch=body, expected=expected, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.reply(CategoryOut.of(row), headers=headers)


@router.delete(
    "/{category_id}",
    summary="Delete a category",
    description=(
        "Deletes the category, and takes it off its tasks or gives them another, those in the trash and in archived "
        "projects as well. `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(
            None,
            description="The category is gone.",
            headers={**CURSOR},
        ),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(CategoryNotFound, *WRITING),
    },
)
@scope("tasks:delete")
@policy("category.delete")
async def delete_category(
    request: Request,
    category: WritableCategory,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
    tasks: Plan = "clear",
) -> Response:
    plan = TasksPlan.parse(tasks)
    await service.delete_category(write.session, row=category, plan=plan, expected=expected, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)
