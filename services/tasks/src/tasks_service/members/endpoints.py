from chassis.errors import Forbidden, IfMatchRequired, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.members import repository, service
from tasks_service.members.access import WorkspaceOfMember
from tasks_service.members.errors import ManagedElsewhere, MemberMissing, UserNotFound
from tasks_service.members.schemas import (
    MEMBER_VIEW_EXAMPLE,
    OFFBOARD_EXAMPLE,
    Affected,
    MemberOut,
    MemberPatch,
    Offboard,
    OffboardReport,
    OwnershipTransfer,
)
from tasks_service.path_ids import UserId
from tasks_service.versions.access import Expecting
from tasks_service.versions.errors import ResourceVersionConflict
from tasks_service.workspaces.access import ReadableWorkspace, WritableWorkspace
from tasks_service.workspaces.errors import LastOwner, PersonalWorkspace

router = APIRouter(prefix="/api/v1/workspaces/{workspace_id}", tags=["members"])

ETAG = {"ETag": "The membership's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
STALE = stale(ResourceVersionConflict, MEMBER_VIEW_EXAMPLE, "role")
CHANGING = (
    MemberMissing,
    Forbidden,
    LastOwner,
    PersonalWorkspace,
    ManagedElsewhere,
    STALE,
    IfMatchMalformed,
    IfMatchRequired,
)


@router.get(
    "/members",
    summary="List the members of a workspace",
    description="Who is in it and with which role, those who are longest there first. Not for guests.",
    response_model=PageEnvelope[MemberOut],
    responses={
        200: page_example(MEMBER_VIEW_EXAMPLE, description="One page of members."),
        **errors(MemberMissing, Forbidden, PageTooDeep, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("workspace.list_members")
async def list_members(
    request: Request, workspace: ReadableWorkspace, connection: FreshConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_members(
        connection, workspace["id"], limit=paging.per_page, offset=paging.offset
    )
    return page_reply(request, [MemberOut.of(row) for row in rows], paging, total)


@router.get(
    "/members/{user_id}",
    summary="Read a member of a workspace",
    description=(
        "One member by user id. Its ETag goes into `If-Match` of a change. It is of the membership alone: the answer "
        "is never 304, since people change their names without it. Not for guests."
    ),
    response_model=Envelope[MemberOut],
    responses={
        200: example(MEMBER_VIEW_EXAMPLE, description="The member.", headers=ETAG),
        **errors(MemberMissing, Forbidden, NotYetConsistent, InvalidCursor),
    },
)
@scope("tasks:read")
@policy("workspace.list_members")
async def read_member(workspace: ReadableWorkspace, user_id: UserId, connection: FreshConnection) -> Response:
    row = await repository.find_member(connection, workspace["id"], user_id)
    if row is None:
        raise MemberMissing
    return reply(MemberOut.of(row), headers={"etag": etag(row["version"])})


@router.patch(
    "/members/{user_id}",
    summary="Change the role of a member",
    description=(
        "A JSON merge patch of the role. For owners and admins; owners alone make owners, and take that role away. A "
        "workspace always has an owner whose account is in use: the last one can't become something else, and nobody "
        "becomes one whose account is deactivated, disabled or about to be deleted."
    ),
    response_model=Envelope[MemberOut],
    responses={
        200: example(
            {**MEMBER_VIEW_EXAMPLE, "role": "admin", "version": 2}, description="The member.", headers=WRITTEN
        ),
        **errors(*CHANGING, UserNotFound),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def update_member(
    request: Request,
    workspace: WritableWorkspace,
    user_id: UserId,
    body: MemberPatch,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
) -> Response:
    row = await service.update_member(
        write.session, workspace=workspace, user_id=user_id, wanted=body.given(), expected=expected, actor=caller
    )
    headers = await written_headers(request, write, caller, row)
    return write.reply(MemberOut.of(row), headers=headers)


@router.delete(
    "/members/{user_id}",
    summary="Remove a member of a workspace, or leave it",
    description=(
        "Ends a membership with all that hangs on it, in one step: roles in projects, shares, assignments (the next "
        "assignee becomes the primary one), watching, stars and personal labels. With your own id you leave, which "
        "everybody may but the last owner; removing others is for owners and admins, and removing owners for owners. "
        "To hand over what somebody has, off-board them. Answers with the membership as it was, and with null to who "
        "has left; `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[MemberOut | None],
    responses={
        200: example(MEMBER_VIEW_EXAMPLE, description="The membership that has ended.", headers=CURSOR),
        204: {"description": "Removed; asked for with `Prefer: return=minimal`."},
        **errors(*CHANGING),
    },
)
@scope("admin:*")
@policy("workspace.remove_member")
async def remove_member(
    request: Request,
    workspace: WorkspaceOfMember,
    user_id: UserId,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    row = await service.remove_member(
        write.session, workspace=workspace, user_id=user_id, expected=expected, actor=caller
    )
    headers = await cursor_header(request, write, caller)
    if minimal:
        return write.no_content(headers)
    # Who has left sees nothing of the workspace any more; an answer without content is replayed all the same.
    return write.reply(None if user_id == caller.user_id else MemberOut.of(row), headers=headers)


@router.post(
    "/members/{user_id}/offboard",
    summary="Off-board a member of a workspace",
    description=(
        "Removes a member as DELETE does, and hands over what they had, all in one step: their open tasks get another "
        "assignee who can see them, or with `unassign` none, and private projects that nobody else manages get a "
        "manager with `transfer_private`. What happened is reported. Their account stays."
    ),
    response_model=Envelope[OffboardReport],
    responses={
        200: example(
            OFFBOARD_EXAMPLE,
            description="What went with the membership.",
            headers=CURSOR,
        ),
        **errors(MemberMissing, Forbidden, UserNotFound, LastOwner, PersonalWorkspace, ManagedElsewhere),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def offboard_member(
    request: Request,
    workspace: WritableWorkspace,
    user_id: UserId,
    body: Offboard,
    caller: CurrentPrincipal,
    write: Writing,
) -> Response:
    wanted = service.Offboarding(body.reassign_to, transfers_private=body.transfer_private)
    report = await service.offboard_member(
        write.session, workspace=workspace, user_id=user_id, wanted=wanted, actor=caller
    )
    shown = OffboardReport(
        workspace_id=workspace["id"],
        user_id=user_id,
        reassigned=Affected.of(report.reassigned),
        unassigned=Affected.of(report.unassigned),
        projects_transferred=Affected.of(report.projects_transferred),
        project_memberships=report.project_memberships,
        shares=report.shares,
        checklist_items=report.checklist_items,
        unwatched=report.unwatched,
        unstarred=report.unstarred,
        unlabelled=report.unlabelled,
        filters=report.filters,
    )
    return write.reply(shown, headers=await cursor_header(request, write, caller))


@router.post(
    "/transfer-ownership",
    summary="Transfer the ownership of a workspace",
    description=(
        "Makes another member, or a guest, an owner and you an admin, in one step. For owners. Not to somebody whose "
        "account is deactivated, disabled or about to be deleted."
    ),
    response_model=Envelope[MemberOut],
    responses={
        200: example(
            {**MEMBER_VIEW_EXAMPLE, "role": "owner", "version": 2}, description="The new owner.", headers=WRITTEN
        ),
        **errors(MemberMissing, Forbidden, UserNotFound, PersonalWorkspace, ManagedElsewhere),
    },
)
@scope("admin:*")
@policy("workspace.manage_owners")
async def transfer_ownership(
    request: Request, workspace: WritableWorkspace, body: OwnershipTransfer, caller: CurrentPrincipal, write: Writing
) -> Response:
    row = await service.transfer_ownership(write.session, workspace=workspace, user_id=body.user_id, actor=caller)
    headers = await written_headers(request, write, caller, row)
    return write.reply(MemberOut.of(row), headers=headers)
