from typing import Annotated

from chassis.errors import Forbidden, IfMatchRequired
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.database import Write, Writing
from chassis.web.envelope import Envelope
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response
from sqlalchemy import RowMapping

from tasks_service.changes.access import CURSOR, cursor_header, written_headers
from tasks_service.project_lifecycle import service
from tasks_service.projects.access import ArchivableProject, DeletableProject, TrashedProject
from tasks_service.projects.errors import InboxProject, ProjectArchived, ProjectMissing
from tasks_service.projects.schemas import OWN_PROJECT_EXAMPLE, PROJECT_EXAMPLE, ProjectView
from tasks_service.versions.access import Expecting
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict

router = APIRouter(prefix="/api/v1/projects/{project_id}", tags=["projects"])

WRITTEN = {
    "ETag": "The project's version, in quotes.",
    **CURSOR,
}
STALE = stale(ResourceVersionConflict, {name: OWN_PROJECT_EXAMPLE[name] for name in PROJECT_EXAMPLE}, "name")
WRITING = (ProjectMissing, Forbidden, STALE, IfMatchMalformed, IfMatchRequired, ResourceBusy)
WHEN = "2026-11-25T10:00:00Z"


@router.post(
    "/archive",
    summary="Archive a project",
    description=(
        "Makes the project and all that is in it read-only, and leaves it out of lists. You need to manage what is in "
        "it, too. Archived already, nothing changes."
    ),
    response_model=Envelope[ProjectView],
    responses={
        200: example(
            {**OWN_PROJECT_EXAMPLE, "version": 2, "archived_at": WHEN},
            description="The archived project.",
            headers=WRITTEN,
        ),
        **errors(*WRITING, InboxProject),
    },
)
@scope("tasks:write")
@policy("project.edit")
async def archive_project(
    request: Request, project: ArchivableProject, caller: CurrentPrincipal, write: Writing, expected: Expecting
) -> Response:
    row = await service.archive_project(write.session, service.Request(project, caller, expected))
    return await _written(request, write, caller, row)


@router.post(
    "/unarchive",
    summary="Take a project out of the archive",
    description=(
        "The project alone: what is in it stays archived until it is taken out, too. The project that it is in must "
        "not be archived."
    ),
    response_model=Envelope[ProjectView],
    responses={
        200: example({**OWN_PROJECT_EXAMPLE, "version": 3}, description="The project.", headers=WRITTEN),
        **errors(*WRITING, InboxProject, ProjectArchived),
    },
)
@scope("tasks:write")
@policy("project.edit")
async def unarchive_project(
    request: Request, project: ArchivableProject, caller: CurrentPrincipal, write: Writing, expected: Expecting
) -> Response:
    row = await service.unarchive_project(write.session, service.Request(project, caller, expected))
    return await _written(request, write, caller, row)


@router.delete(
    "",
    summary="Delete a project",
    description=(
        "Moves the project to the trash with the projects that are in it, and answers with it; its tasks are not seen "
        "while it is there, and after 30 days it is purged. With `permanent=true` it goes for good, from the trash or "
        "at once. You need to manage what is in it, too. `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[ProjectView],
    responses={
        200: example(
            {**OWN_PROJECT_EXAMPLE, "version": 2, "deleted_at": WHEN},
            description="The project in the trash.",
            headers=WRITTEN,
        ),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(*WRITING, InboxProject, ProjectArchived),
    },
)
@scope("tasks:delete")
@policy("project.delete")
async def delete_project(
    request: Request,
    project: DeletableProject,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
    *,
    permanent: Annotated[Flag, Query(description="Whether it goes for good.")] = False,
) -> Response:
    asked = service.Request(project, caller, expected, in_trash=None if permanent else False)
    row = await service.delete_project(write.session, asked, permanently=permanent)
    if minimal:
        return write.no_content(await cursor_header(request, write, caller))
    return await _written(request, write, caller, row)


@router.post(
    "/restore",
    summary="Restore a project",
    description=(
        "Takes the project out of the trash with the projects that went there with it. When the one that it was in is "
        "in the trash, it is in none afterwards."
    ),
    response_model=Envelope[ProjectView],
    responses={
        200: example({**OWN_PROJECT_EXAMPLE, "version": 3}, description="The project.", headers=WRITTEN),
        **errors(*WRITING, ProjectArchived),
    },
)
@scope("tasks:delete")
@policy("project.delete")
async def restore_project(
    request: Request, project: TrashedProject, caller: CurrentPrincipal, write: Writing, expected: Expecting
) -> Response:
    asked = service.Request(project, caller, expected, in_trash=True)
    return await _written(request, write, caller, await service.restore_project(write.session, asked))


async def _written(request: Request, write: Write, caller: Principal, row: RowMapping) -> Response:
    headers = await written_headers(request, write, caller, row)
    return write.reply(ProjectView.of(row), headers=headers)
