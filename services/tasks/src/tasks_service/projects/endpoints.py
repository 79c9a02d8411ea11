from typing import Annotated, Literal
from uuid import UUID

from chassis.errors import Forbidden, IfMatchRequired
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import bare_example, errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed
from chassis.web.replies import etag, reply
from chassis.web.routing import any_credential, policy, scope
from fastapi import Depends, Query, Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.projects import repository, service
from tasks_service.projects.access import Limits, LocatableProject, ReadableProject, WritableProject, target_workspace
from tasks_service.projects.errors import (
    Cycle,
    InboxProject,
    PrefixTaken,
    ProjectArchived,
    ProjectLimitReached,
    ProjectMissing,
    TooDeep,
    WorkspaceNotFound,
)
from tasks_service.projects.filters import ProjectFilter
from tasks_service.projects.schemas import (
    OWN_PROJECT_EXAMPLE,
    PROJECT_EXAMPLE,
    PROJECT_LOCATION_EXAMPLE,
    PROJECT_VIEW_EXAMPLE,
    ProjectCreate,
    ProjectLocation,
    ProjectPatch,
    ProjectView,
)
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.versions.access import ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])
internal = APIRouter(prefix="/internal/projects", tags=["internal"])

ETAG = {"ETag": "The project's version, in quotes."}
STALE = stale(ResourceVersionConflict, {name: OWN_PROJECT_EXAMPLE[name] for name in PROJECT_EXAMPLE}, "name")
WRITTEN = {**ETAG, **CURSOR}
PLACING = (ProjectNotFound, TooDeep, PrefixTaken, ProjectArchived)


async def project_filter(
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
    parent_id: Annotated[
        UUID | Literal["none"] | None,
        Query(description="Only what is directly in this project; `none` is what is in no other."),
    ] = None,
    *,
    archived: Annotated[Flag, Query(description="Whether archived projects are listed, too.")] = False,
) -> ProjectFilter:
    return ProjectFilter(workspace_id, parent_id, archived)


@router.post(
    "",
    status_code=201,
    summary="Create a project",
    description=(
        "Only `name` is needed: without `workspace_id` the project is in your personal workspace. It has the statuses "
        "`todo`, `in_progress`, `done` and `cancelled` from the start, and you manage it."
    ),
    response_model=Envelope[ProjectView],
    responses={
        201: example(
            OWN_PROJECT_EXAMPLE,
            description="The new project.",
            headers={**WRITTEN, "Location": "Path of the new project."},
        ),
        **errors(WorkspaceNotFound, Forbidden, *PLACING, ProjectLimitReached),
    },
)
@scope("tasks:write")
@policy("workspace.create_project")
async def create_project(
    request: Request, body: ProjectCreate, caller: CurrentPrincipal, write: Writing, limits: Limits
) -> Response:
    workspace = await target_workspace(request, write, caller, body.workspace_id)
    row = await service.add_project(write.session, wanted=body, workspace=workspace, actor=caller, limits=limits)
    headers = {"location": f"/api/v1/projects/{row['id']}", **await written_headers(request, write, caller, row)}
    return write.reply(ProjectView.of(row), status=201, headers=headers)


@router.get(
    "",
    summary="List projects",
    description=(
        "The projects that you can see, the oldest first, archived ones only with `archived=true`; each id goes into "
        "`project_id` of a new task."
    ),
    response_model=PageEnvelope[ProjectView],
    responses={
        200: page_example(PROJECT_VIEW_EXAMPLE, description="One page of projects."),
        **errors(PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("project.read")
async def list_projects(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    wanted: Annotated[ProjectFilter, Depends(project_filter)],
    paging: PagesQuery,
) -> Response:
    rows, total = await repository.list_visible(
        connection, caller, wanted=wanted, limit=paging.per_page, offset=paging.offset
    )
    return page_reply(request, [ProjectView.of(row) for row in rows], paging, total)


@router.get(
    "/{project_id}",
    summary="Read a project",
    description=(
        "One project, with your role in it. Its ETag goes into `If-Match` of a change. It is of the project alone: the "
        "answer is never 304, since your role can change without the project."
    ),
    response_model=Envelope[ProjectView],
    responses={
        200: example(OWN_PROJECT_EXAMPLE, description="The project.", headers=ETAG),
        **errors(ProjectMissing, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("project.read")
async def read_project(project: ReadableProject) -> Response:
    return reply(ProjectView.of(project), headers={"etag": etag(project["version"])})


@router.patch(
    "/{project_id}",
    summary="Change a project",
    description=(
        "A JSON merge patch: absent fields keep their value, null clears. Another `prefix` gives its tasks other keys; "
        "the former ones still find them. Who sees a project no more that was made private is unassigned from its "
        "tasks in the same transaction. An Inbox is neither moved nor made private."
    ),
    response_model=Envelope[ProjectView],
    responses={
        200: example(
            {**OWN_PROJECT_EXAMPLE, "name": "Kitchen garden", "version": 2},
            description="The project after the change.",
            headers=WRITTEN,
        ),
        **errors(
            ProjectMissing,
            Forbidden,
            *PLACING,
            Cycle,
            InboxProject,
            STALE,
            IfMatchMalformed,
            IfMatchRequired,
            ResourceBusy,
        ),
    },
)
@scope("tasks:write")
@policy("project.edit")
async def update_project(
    request: Request,
    project: WritableProject,
    body: ProjectPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    row = await service.update_project(write.session, project=project, patch=body, expected=expected, actor=caller)
    return write.reply(ProjectView.of(row), headers=await written_headers(request, write, caller, row))


@internal.get(
    "/{project_id}",
    summary="Locate a project for another service",
    description="Where the project is that the caller, whose identity is passed on, sees; as new as the primary.",
    response_model=ProjectLocation,
    responses={200: bare_example(PROJECT_LOCATION_EXAMPLE, description="Where it is."), **errors(ProjectMissing)},
)
@any_credential("a service asks for a caller whose scope it has checked")
@policy("project.read")
async def locate_project(project: LocatableProject) -> ProjectLocation:
    return ProjectLocation(project_id=project["id"], workspace_id=project["workspace_id"])
