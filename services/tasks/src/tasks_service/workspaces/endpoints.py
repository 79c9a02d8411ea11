from chassis.errors import Forbidden, IfMatchRequired, InvalidCursor, NotFound, TokenRestricted
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Write, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import bare_example, errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply
from chassis.web.routing import any_credential, no_policy, policy, scope
from fastapi import Request, Response
from sqlalchemy import RowMapping

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.versions.access import Expecting, ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict
from tasks_service.workspaces import repository, service
from tasks_service.workspaces.access import ReadableWorkspace, WritableWorkspace
from tasks_service.workspaces.errors import PersonalWorkspace, WorkspaceMissing
from tasks_service.workspaces.schemas import (
    MEMBERSHIPS_EXAMPLE,
    WORKSPACE_EXAMPLE,
    MembershipOut,
    MembershipsOut,
    WorkspaceCreate,
    WorkspaceOut,
    WorkspacePatch,
)

router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])
internal = APIRouter(prefix="/internal/memberships", tags=["internal"])

CREATED = 201
ETAG = {"ETag": "The workspace's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
SHARED_EXAMPLE = {
    **WORKSPACE_EXAMPLE,
    "id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "name": "Choir",
    "personal": False,
}
STALE = stale(ResourceVersionConflict, SHARED_EXAMPLE, "name")


@router.get(
    "",
    summary="List workspaces",
    description=(
        "The workspaces that you are a member of, the oldest first, with your role in each; with an API token that is "
        "restricted to projects, those of its projects."
    ),
    response_model=PageEnvelope[WorkspaceOut],
    responses={
        200: page_example(WORKSPACE_EXAMPLE, description="One page of workspaces."),
        **errors(PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def list_workspaces(
    request: Request, caller: CurrentPrincipal, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_for(connection, caller, limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [WorkspaceOut.of(row) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Create a workspace",
    description=(
        "A space of its own for a team. You become its owner; projects, labels and people are added to it. Not for API "
        "tokens that are restricted to a workspace or projects, nor for service accounts."
    ),
    response_model=Envelope[WorkspaceOut],
    responses={
        201: example(
            SHARED_EXAMPLE,
            description="The new workspace.",
            headers={**WRITTEN, "Location": "Path of the new workspace."},
        ),
        **errors(Forbidden, TokenRestricted, NotFound),
    },
)
@scope("tasks:write")
@no_policy("any person may make one, and it is theirs")
async def create_workspace(
    request: Request, body: WorkspaceCreate, caller: CurrentPrincipal, write: Writing
) -> Response:
    if caller.is_restricted:
        raise TokenRestricted
    if caller.via == "bot":
        raise Forbidden
    row = await service.open_workspace(write.session, owner=caller, name=body.name)
    return await _written(request, write, caller, row, status=201)


@router.get(
    "/{workspace_id}",
    summary="Read a workspace",
    description=(
        "One workspace that you are a member of, with your role in it. Its ETag goes into `If-Match` of a change. It "
        "is of the workspace alone: the answer is never 304, since your role can change without the workspace."
    ),
    response_model=Envelope[WorkspaceOut],
    responses={
        200: example(WORKSPACE_EXAMPLE, description="The workspace.", headers=ETAG),
        **errors(WorkspaceMissing, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def read_workspace(workspace: ReadableWorkspace) -> Response:
    return reply(WorkspaceOut.of(workspace), headers={"etag": etag(workspace["version"])})


@router.patch(
    "/{workspace_id}",
    summary="Change a workspace",
    description=(
        "A JSON merge patch of its name, and of whether changes of what is in it have to come with `If-Match`. For "
        "owners and admins."
    ),
    response_model=Envelope[WorkspaceOut],
    responses={
        200: example(
            {**SHARED_EXAMPLE, "name": "Choir and band", "version": 2},
            description="The workspace after the change.",
            headers=WRITTEN,
        ),
        **errors(WorkspaceMissing, Forbidden, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy),
    },
)
@scope("tasks:write")
@policy("workspace.edit")
async def update_workspace(
    request: Request,
    workspace: WritableWorkspace,
    body: WorkspacePatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    row = await service.update_workspace(
        write.session, workspace=workspace, patch=body, expected=expected, actor=caller
    )
    return await _written(request, write, caller, row)


@router.delete(
    "/{workspace_id}",
    summary="Delete a workspace",
    description=(
        "Ends all its memberships at once, so that nobody sees anything of it any more; 30 days later everything in it "
        "is gone for good. For owners, and not for personal workspaces. `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The workspace is gone.", headers=CURSOR),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(
            WorkspaceMissing,
            Forbidden,
            PersonalWorkspace,
            STALE,
            IfMatchMalformed,
            IfMatchRequired,
        ),
    },
)
@scope("tasks:delete")
@policy("workspace.delete")
async def delete_workspace(
    request: Request,
    workspace: WritableWorkspace,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    await service.delete_workspace(write.session, workspace=workspace, expected=expected, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)


async def _written(
    request: Request, write: Write, caller: Principal, row: RowMapping, *, status: int = 200
) -> Response:
    headers = await written_headers(request, write, caller, row)
    if status == CREATED:
        headers["location"] = f"/api/v1/workspaces/{row['id']}"
    return write.reply(WorkspaceOut.of(row), status=status, headers=headers, about=row["id"])


@internal.get(
    "",
    summary="List the caller's memberships for another service",
    description="All memberships of the caller, whose identity is passed on; as new as the primary.",
    response_model=MembershipsOut,
    responses={200: bare_example(MEMBERSHIPS_EXAMPLE, description="The memberships.")},
)
@any_credential("a service asks for a caller whose scope it has checked")
@policy("workspace.read")
async def list_memberships(caller: CurrentPrincipal, connection: PrimaryConnection) -> MembershipsOut:
    rows = await repository.memberships_of(connection, caller)
    return MembershipsOut(memberships=[MembershipOut.model_validate(dict(row)) for row in rows])
