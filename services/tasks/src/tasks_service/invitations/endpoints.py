from typing import Annotated

from chassis.errors import Forbidden, IfMatchRequired, TokenRestricted
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import NEVER_STORED, errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import IfMatchMalformed, WantsMinimal
from chassis.web.replies import NO_STORE, etag, reply, unless_unchanged
from chassis.web.routing import no_policy, policy, public, scope
from fastapi import Query, Request, Response

from tasks_service.changes.access import CURSOR, FreshConnection, cursor_header
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.invitations import repository, service
from tasks_service.invitations.access import UnboundConnection
from tasks_service.invitations.errors import (
    AddressUnconfirmed,
    EmailInvalid,
    InvitationExpired,
    InvitationForAnotherAddress,
    InvitationMissing,
    TooManyInvitations,
    TooManyMails,
)
from tasks_service.invitations.schemas import (
    ACCEPT_BY,
    ACCEPTED_EXAMPLE,
    INVITATION_EXAMPLE,
    INVITATION_LINK_EXAMPLE,
    AcceptedOut,
    InvitationCreate,
    InvitationLinkOut,
    InvitationOut,
    InvitationToken,
    ProjectGrant,
    State,
    TokenText,
)
from tasks_service.invitations.service import InvitationTerms
from tasks_service.path_ids import InvitationId
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.versions.access import Expecting
from tasks_service.versions.errors import ResourceBusy, ResourceVersionConflict
from tasks_service.workspaces.access import ReadableWorkspace, WritableWorkspace
from tasks_service.workspaces.errors import PersonalWorkspace, WorkspaceMissing

router = APIRouter(prefix="/api/v1/workspaces/{workspace_id}/invitations", tags=["invitations"])
mine = APIRouter(prefix="/api/v1/invitations", tags=["invitations"])

ETAG = {"ETag": "The invitation's version, in quotes."}
WRITTEN = {**ETAG, **CURSOR}
CONCERNS_THE_CALLER = "concerns the caller alone: the token was mailed to an address that the caller has confirmed"
ADDRESSED = (InvitationMissing, AddressUnconfirmed, InvitationForAnotherAddress, InvitationExpired, TokenRestricted)
STALE = stale(ResourceVersionConflict, INVITATION_EXAMPLE, "state")


@router.get(
    "",
    summary="List invitations",
    description="The invitations of the workspace, the newest first: pending ones, or those in another state.",
    response_model=PageEnvelope[InvitationOut],
    responses={
        200: page_example(INVITATION_EXAMPLE, description="One page of invitations."),
        **errors(WorkspaceMissing, Forbidden, PageTooDeep, NotYetConsistent),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def list_invitations(
    request: Request,
    workspace: ReadableWorkspace,
    connection: FreshConnection,
    paging: PagesQuery,
    state: Annotated[State, Query(description="What became of them; they are kept for 30 days.")] = "pending",
) -> Response:
    rows, total = await repository.list_of(
        connection, workspace["id"], state=state, limit=paging.per_page, offset=paging.offset
    )
    return page_reply(request, [InvitationOut.of(row) for row in rows], paging, total)


@router.post(
    "",
    status_code=201,
    summary="Invite somebody by mail",
    description=(
        "Mails a link to the address, which counts once, for seven days unless the installation says otherwise. The "
        "answer is the same whether the address has an account or not. An address that is asked already keeps its "
        "invitation, with the new role and projects (200), and gets another mail, though not within a minute. What you "
        "invite to counts as long as you may invite: once you have left, are no owner or admin any more, or your "
        "account is not in use, its link is answered as a revoked one, until somebody who may invites again."
    ),
    response_model=Envelope[InvitationOut],
    responses={
        200: {
            "model": Envelope[InvitationOut],
            **example(INVITATION_EXAMPLE, description="The invitation that the address had already.", headers=WRITTEN),
        },
        201: example(
            INVITATION_EXAMPLE,
            description="The new invitation.",
            headers={**WRITTEN, "Location": "Path of the new invitation."},
        ),
        **errors(
            WorkspaceMissing,
            Forbidden,
            PersonalWorkspace,
            ProjectArchived,
            TooManyInvitations,
            TooManyMails,
            EmailInvalid,
            ProjectNotFound,
        ),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def create_invitation(
    request: Request, workspace: WritableWorkspace, body: InvitationCreate, caller: CurrentPrincipal, write: Writing
) -> Response:
    terms: InvitationTerms = request.app.state.invitations
    row, is_new = await service.invite(write.session, workspace=workspace, wanted=body, actor=caller, terms=terms)
    headers = {"etag": etag(row["version"]), **await cursor_header(request, write, caller)}
    if is_new:
        headers["location"] = f"/api/v1/workspaces/{row['workspace_id']}/invitations/{row['id']}"
    return write.reply(InvitationOut.of(row), status=201 if is_new else 200, headers=headers)


@router.get(
    "/{invitation_id}",
    summary="Read an invitation",
    description="One invitation, in whatever state it is. Its ETag goes into `If-None-Match` of the next read.",
    response_model=Envelope[InvitationOut],
    responses={
        200: example(INVITATION_EXAMPLE, description="The invitation.", headers=ETAG),
        304: {"description": "The invitation is still at the version in If-None-Match."},
        **errors(WorkspaceMissing, InvitationMissing, Forbidden, NotYetConsistent),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def read_invitation(
    request: Request, workspace: ReadableWorkspace, invitation_id: InvitationId, connection: FreshConnection
) -> Response:
    row = await repository.find(connection, workspace["id"], invitation_id)
    if row is None:
        raise InvitationMissing
    return unless_unchanged(request, reply(InvitationOut.of(row), headers={"etag": etag(row["version"])}))


@router.post(
    "/{invitation_id}/resend",
    summary="Mail an invitation again",
    description=(
        "Mails another link, which counts from now on instead of the one before. Within a minute of a mail nothing is "
        "sent; an invitation has 5 mails at most. You are its inviter from then on, and it counts as long as you may "
        "invite."
    ),
    response_model=Envelope[InvitationOut],
    responses={
        200: example(INVITATION_EXAMPLE, description="The invitation.", headers=WRITTEN),
        **errors(WorkspaceMissing, InvitationMissing, Forbidden, PersonalWorkspace, TooManyInvitations, TooManyMails),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def resend_invitation(
    request: Request,
    workspace: WritableWorkspace,
    invitation_id: InvitationId,
    caller: CurrentPrincipal,
    write: Writing,
) -> Response:
    terms: InvitationTerms = request.app.state.invitations
    row = await service.resend(
        write.session, workspace=workspace, invitation_id=invitation_id, actor=caller, terms=terms
    )
    headers = {"etag": etag(row["version"]), **await cursor_header(request, write, caller)}
    return write.reply(InvitationOut.of(row), headers=headers)


@router.delete(
    "/{invitation_id}",
    summary="Revoke an invitation",
    description="Its link works no longer. Answers with the invitation; `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[InvitationOut],
    responses={
        200: example(
            {**INVITATION_EXAMPLE, "state": "revoked", "version": 2},
            description="The invitation, which is void.",
            headers=WRITTEN,
        ),
        204: {"description": "Revoked; asked for with `Prefer: return=minimal`."},
        **errors(
            WorkspaceMissing,
            InvitationMissing,
            Forbidden,
            STALE,
            IfMatchMalformed,
            IfMatchRequired,
            ResourceBusy,
        ),
    },
)
@scope("admin:*")
@policy("workspace.manage_members")
async def revoke_invitation(
    request: Request,
    workspace: WritableWorkspace,
    invitation_id: InvitationId,
    caller: CurrentPrincipal,
    write: Writing,
    expected: Expecting,
    minimal: WantsMinimal,
) -> Response:
    row = await service.revoke(
        write.session, workspace=workspace, invitation_id=invitation_id, expected=expected, actor=caller
    )
    headers = {"etag": etag(row["version"]), **await cursor_header(request, write, caller)}
    return write.no_content(headers) if minimal else write.reply(InvitationOut.of(row), headers=headers)


@mine.get(
    "/link",
    summary="Look at the link of an invitation",
    description=(
        "Tells whether the link is in force, and of what: nothing is accepted, since programs open links, too, before "
        "anybody has seen the mail. Mails lead here where no page of an app is set up."
    ),
    response_model=Envelope[InvitationLinkOut],
    responses={
        200: example(INVITATION_LINK_EXAMPLE, description="The link is in force.", headers=NEVER_STORED),
        **errors(InvitationMissing, InvitationExpired),
    },
)
@public("the mailed token is the credential")
async def read_invitation_link(
    token: Annotated[TokenText, Query(description="What the mailed link ends with.")], connection: UnboundConnection
) -> Response:
    found = await service.find_link(connection, token)
    link = InvitationLinkOut(
        valid=True,
        workspace=found["name"],
        role=found["role"],
        expires_at=found["expires_at"],
        accept_by=ACCEPT_BY,
    )
    return reply(link, headers=NO_STORE)


@mine.post(
    "/accept",
    summary="Accept an invitation",
    description=(
        "Makes you a member of the workspace, and of the projects that come with it. The invitation has to be for the "
        "address of your account, which you have confirmed (403 `ADDRESS_UNCONFIRMED` until about a second "
        "later). Who is a member already keeps the role. The token works once, and not once its inviter may invite no "
        "more (404, as for a revoked one); restricted API tokens can't use it."
    ),
    response_model=Envelope[AcceptedOut],
    responses={
        200: example(ACCEPTED_EXAMPLE, description="What you are a member of now.", headers=CURSOR),
        **errors(*ADDRESSED),
    },
)
@scope("tasks:write")
@no_policy(CONCERNS_THE_CALLER)
async def accept_invitation(
    request: Request, body: InvitationToken, caller: CurrentPrincipal, write: Writing
) -> Response:
    _refuse_restricted(caller)
    accepted = await service.accept(write.session, token=body.token, caller=caller)
    grants = [ProjectGrant.model_validate({"project_id": one, "role": role}) for one, role in accepted.projects.items()]
    shown = AcceptedOut.model_validate(
        {
            "workspace_id": accepted.workspace_id,
            "name": accepted.workspace_name,
            "role": accepted.role,
            "projects": grants,
        }
    )
    return write.reply(shown, headers=await cursor_header(request, write, caller))


@mine.post(
    "/decline",
    summary="Decline an invitation",
    description=(
        "Makes an invitation to your address, which you have confirmed, void; the owners and admins of the workspace "
        "see that."
    ),
    response_model=Envelope[None],
    responses={200: example(None, description="Declined.", headers=CURSOR), **errors(*ADDRESSED)},
)
@scope("tasks:write")
@no_policy(CONCERNS_THE_CALLER)
async def decline_invitation(
    request: Request, body: InvitationToken, caller: CurrentPrincipal, write: Writing
) -> Response:
    _refuse_restricted(caller)
    await service.decline(write.session, token=body.token, caller=caller)
    return write.reply(None, headers=await cursor_header(request, write, caller))


def _refuse_restricted(caller: Principal) -> None:
    """Raise TokenRestricted for a token that would not see what it joins."""
    if caller.is_restricted:
        raise TokenRestricted
