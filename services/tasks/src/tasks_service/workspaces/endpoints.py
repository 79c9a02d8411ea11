from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection
from chassis.web.envelope import PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.routing import any_credential, policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.workspaces import repository
from tasks_service.workspaces.schemas import WORKSPACE_EXAMPLE, MembershipOut, MembershipsOut, WorkspaceOut

router = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])
internal = APIRouter(prefix="/internal/memberships", tags=["internal"])


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
        304: {"description": "Nothing changed since the ETag in If-None-Match."},
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


@internal.get(
    "",
    summary="List the caller's memberships for another service",
    description="All memberships of the caller, whose identity is passed on; as new as the primary.",
    response_model=MembershipsOut,
)
@any_credential("a service asks for a caller whose scope it has checked")
@policy("workspace.read")
async def list_memberships(caller: CurrentPrincipal, connection: PrimaryConnection) -> MembershipsOut:
    rows = await repository.memberships_of(connection, caller)
    return MembershipsOut(memberships=[MembershipOut.model_validate(dict(row)) for row in rows])
