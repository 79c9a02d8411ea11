from typing import Annotated

from chassis.web.app import APIRouter
from chassis.web.envelope import PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.directory import service
from tasks_service.directory.access import ReadableDirectory
from tasks_service.directory.errors import DirectoryNotFound
from tasks_service.directory.schemas import DIRECTORY_EXAMPLE, DirectoryEntry

router = APIRouter(prefix="/api/v1/workspaces/{workspace_id}/directory", tags=["directory"])

MAX_SEARCH = 200


@router.get(
    "",
    summary="List people to assign and mention",
    description=(
        "The members of the workspace by name, with what to show of them. With `q` those whose name, or a word of it, "
        "begins so. Guests, and API tokens that are restricted to projects, see those who share a project or a task "
        "with them. Addresses are shown to nobody."
    ),
    response_model=PageEnvelope[DirectoryEntry],
    responses={
        200: page_example(DIRECTORY_EXAMPLE, description="One page of people."),
        **errors(DirectoryNotFound, PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("workspace.read")
async def list_directory(
    request: Request,
    workspace: ReadableDirectory,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
    q: Annotated[str | None, Query(max_length=MAX_SEARCH, description="What a name begins with.")] = None,
) -> Response:
    rows, total = await service.list_people(
        connection, caller=caller, workspace=workspace, prefix=(q or "").strip(), paging=paging
    )
    return page_reply(request, [DirectoryEntry.of(row) for row in rows], paging, total)
