from typing import Annotated

from chassis.errors import Forbidden, IfMatchRequired
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.path_ids import StatusId
from tasks_service.projects.access import Limits, ReadableProject, WritableProject
from tasks_service.projects.errors import ProjectArchived, ProjectMissing
from tasks_service.status_changes import service
from tasks_service.statuses import repository
from tasks_service.statuses.errors import (
    LastStatus,
    StatusExists,
    StatusInUse,
    StatusLimitReached,
    StatusMissing,
    StatusNotFound,
    TooManyTasks,
)
from tasks_service.statuses.schemas import STATUS_EXAMPLE, StatusCreate, StatusOut, StatusPatch
from tasks_service.versions.access import Expecting, ExpectingFields
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict

router = APIRouter(prefix="/api/v1/projects/{project_id}/statuses", tags=["projects"])

ETAG = {"ETag": "The status' version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, STATUS_EXAMPLE, "name")
CHANGING = (
    StatusMissing,
    Forbidden,
    ProjectArchived,
    TooManyTasks,
    STALE,
    IfMatchMalformed,
    IfMatchRequired,
    ResourceBusy,
)


@router.get(
    "",
    summary="List statuses of a project",
    description="All of them, in their order; tasks without a `status` get the first.",
    response_model=Envelope[list[StatusOut]],
    responses={
        200: example([STATUS_EXAMPLE], description="The statuses."),
        **errors(ProjectMissing, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("project.read")
async def list_statuses(project: ReadableProject, connection: FreshConnection) -> Response:
    return reply([StatusOut.of(row) for row in await repository.list_of(connection, project["id"])])


@router.post(
    "",
    status_code=201,
    summary="Add a status to a project",
    description="`name` and `category` are enough: the key is made of the name, and the status is the last one.",
    response_model=Envelope[StatusOut],
    responses={
        201: example(
            STATUS_EXAMPLE, description="The new status.", headers={**WRITTEN, "Location": "Path of the new status."}
        ),
        **errors(ProjectMissing, Forbidden, ProjectArchived, StatusExists, StatusLimitReached),
    },
)
@scope("tasks:write")
@policy("project.edit")
async def create_status(
    request: Request,
    project: WritableProject,
    body: StatusCreate,
    caller: CurrentPrincipal,
    write: Writing,
    limits: Limits,
) -> Response:
    row = await service.create_status(write.session, project=project, wanted=body, actor=caller, limits=limits)
    headers = await written_headers(request, write, caller, row)
    headers["location"] = f"/api/v1/projects/{row['project_id']}/statuses/{row['id']}"
    return write.reply(StatusOut.of(row), status=201, headers=headers)


@router.get(
    "/{status_id}",
    summary="Read a status of a project",
    description="One status by its id. Its ETag goes into `If-Match` of a change, or `If-None-Match` of the next read.",
    response_model=Envelope[StatusOut],
    responses={
        200: example(STATUS_EXAMPLE, description="The status.", headers=ETAG),
        304: {"description": "The status is still at the version in If-None-Match."},
        **errors(StatusMissing, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("project.read")
async def read_project_status(
    request: Request, project: ReadableProject, status_id: StatusId, connection: FreshConnection
) -> Response:
    row = await repository.find(connection, project_id=project["id"], status_id=status_id)
    if row is None:
        raise StatusMissing
    return unless_unchanged(request, reply(StatusOut.of(row), headers={"etag": etag(row["version"])}))


@router.patch(
    "/{status_id}",
    summary="Change a status",
    description=(
        "A JSON merge patch. All tasks that have the status follow another key or category in the same transaction: "
        "what becomes `done` is completed by you, and what is `done` no more is open again. The last status that is "
        "`done` stays that, and so does the last open one."
    ),
    response_model=Envelope[StatusOut],
    responses={
        200: example(
            {**STATUS_EXAMPLE, "name": "Review", "version": 2},
            description="The status after the change.",
            headers=WRITTEN,
        ),
        **errors(*CHANGING, StatusExists, LastStatus),
    },
)
@scope("tasks:write")
@policy("project.edit")
async def update_status(
    request: Request,
    project: WritableProject,
    status_id: StatusId,
    body: StatusPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: ExpectingFields,
) -> Response:
    row = await service.update_status(
        write.session, project=project, status_id=status_id, patch=body, expected=expected, actor=caller
    )
    return write.reply(StatusOut.of(row), headers=await written_headers(request, write, caller, row))


@router.delete(
    "/{status_id}",
    summary="Delete a status",
    description=(
        "With `move_to`, the id or key of another status of the project, all tasks that have it get that one in the "
        "same transaction, those in the trash, too. The last status that is `done` stays, and so does the last open "
        "one (`backlog`, `todo` or `in_progress`). `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The status is gone.", headers=CURSOR),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(*CHANGING, StatusNotFound, StatusInUse, LastStatus),
    },
)
@scope("tasks:write")
@policy("project.edit")
async def delete_status(
    request: Request,
    project: WritableProject,
    status_id: StatusId,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
    move_to: Annotated[
        str | None, Query(max_length=36, description="Id or key of the status that its tasks get.")
    ] = None,
) -> Response:
    await service.delete_status(
        write.session, project=project, status_id=status_id, move_to=move_to, expected=expected, actor=caller
    )
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)
