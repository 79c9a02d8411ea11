from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import WantsMinimal
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.path_ids import UserId
from tasks_service.project_members import repository, service
from tasks_service.project_members.errors import (
    LastManager,
    ProjectMemberLimitReached,
    ProjectMemberMissing,
    UserNotFound,
)
from tasks_service.project_members.schemas import PROJECT_MEMBER_VIEW_EXAMPLE, ProjectMemberOut, ProjectMemberPut
from tasks_service.projects.access import Limits, ReadableProject, WritableProject
from tasks_service.projects.errors import ProjectArchived, ProjectMissing

router = APIRouter(prefix="/api/v1/projects/{project_id}/members", tags=["projects"])


@router.get(
    "",
    summary="List members of a project",
    description=(
        "Who was given a role in the project, the first ones first. Owners and admins of the workspace manage it "
        "without being listed, and members see it by its `member_role` unless it is private."
    ),
    response_model=PageEnvelope[ProjectMemberOut],
    responses={
        200: page_example(PROJECT_MEMBER_VIEW_EXAMPLE, description="One page of members."),
        **errors(ProjectMissing, PageTooDeep, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("project.read")
async def list_project_members(
    request: Request, project: ReadableProject, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of(connection, project["id"], limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [ProjectMemberOut.of(row) for row in rows], paging, total)


@router.put(
    "/{user_id}",
    summary="Give somebody a role in a project",
    description=(
        "Gives a member of the workspace, guests too, a role in the project; sent again it changes nothing. What "
        "somebody may do is decided by the highest of this role and what the workspace gives them, which "
        "`effective_role` shows: a lower role takes nothing away. To restrict members of the workspace, lower the "
        "project's `member_role` or make it private. A private project keeps a manager."
    ),
    response_model=Envelope[ProjectMemberOut],
    responses={
        200: example(
            PROJECT_MEMBER_VIEW_EXAMPLE,
            description="The member with the role.",
            headers={"ETag": "The membership's version, in quotes.", **CURSOR},
        ),
        **errors(ProjectMissing, Forbidden, ProjectArchived, UserNotFound, LastManager, ProjectMemberLimitReached),
    },
)
@scope("tasks:write")
@policy("project.manage_members")
async def put_project_member(
    request: Request,
    project: WritableProject,
    user_id: UserId,
    body: ProjectMemberPut,
    caller: CurrentPrincipal,
    write: Writing,
    limits: Limits,
) -> Response:
    row = await service.put_member(
        write.session, project=project, user_id=user_id, role=body.role, actor=caller, limits=limits
    )
    return write.reply(ProjectMemberOut.of(row), headers=await written_headers(request, write, caller, row))


@router.delete(
    "/{user_id}",
    summary="Remove somebody from a project",
    description=(
        "Takes back the role that somebody was given in the project. Who sees the project no more is unassigned from "
        "its tasks and watches them no longer, in the same transaction. A private project keeps a manager. "
        "`Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="Removed.", headers=CURSOR),
        204: {"description": "Removed; asked for with `Prefer: return=minimal`."},
        **errors(ProjectMissing, Forbidden, ProjectArchived, ProjectMemberMissing, LastManager),
    },
)
@scope("tasks:write")
@policy("project.manage_members")
async def remove_project_member(
    request: Request,
    project: WritableProject,
    user_id: UserId,
    caller: CurrentPrincipal,
    write: Writing,
    minimal: WantsMinimal,
) -> Response:
    await service.remove_member(write.session, project=project, user_id=user_id, actor=caller)
    headers = await cursor_header(request, write, caller)
    return write.no_content(headers) if minimal else write.reply(None, headers=headers)
