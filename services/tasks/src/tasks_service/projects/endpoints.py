from typing import Annotated
from uuid import UUID

from chassis.web.app import APIRouter
from chassis.web.envelope import PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import FreshConnection
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.projects import repository
from tasks_service.projects.schemas import PROJECT_VIEW_EXAMPLE, ProjectView

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])


@router.get(
    "",
    summary="List projects",
    description="The projects that you can see, the oldest first; each id goes into `project_id` of a new task.",
    response_model=PageEnvelope[ProjectView],
    responses={
        200: page_example(PROJECT_VIEW_EXAMPLE, description="One page of projects."),
        304: {"description": "Nothing changed since the ETag in If-None-Match."},
        **errors(PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("project.read")
async def list_projects(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: PagesQuery,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
) -> Response:
    rows, total = await repository.list_visible(
        connection, caller, workspace_id=workspace_id, limit=paging.per_page, offset=paging.offset
    )
    projects = [ProjectView.model_validate(dict(row)) for row in rows]
    return page_reply(request, projects, paging, total)
