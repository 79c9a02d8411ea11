from typing import Annotated

from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession
from chassis.web.envelope import Envelope
from chassis.web.openapi import NEVER_STORED, errors, example
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import public
from fastapi import Query, Request, Response

from auth_service.mail_requests import service as mail_requests
from auth_service.mail_requests.rules import RequestKind
from auth_service.users.errors import EmailInvalid, EmailTaken
from auth_service.users.service import email_of
from auth_service.verification import service
from auth_service.verification.errors import LinkTokenInvalid
from auth_service.verification.schemas import (
    ACCEPTED,
    ACCEPTED_EXAMPLE,
    ADDRESS_LINK_EXAMPLE,
    CONFIRM_BY,
    VERIFIED_EXAMPLE,
    AcceptedOut,
    AddressLinkOut,
    AddressOnly,
    LinkTokenText,
    LinkUse,
    VerifiedOut,
)

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


@router.post(
    "/verify-email",
    summary="Confirm an address",
    description=(
        "Takes the token of a mailed link, once: as the proof of the account's address, or to give the account the new "
        "address that was asked for, which ends its other sessions."
    ),
    response_model=Envelope[VerifiedOut],
    responses={
        200: example(VERIFIED_EXAMPLE, description="The address is confirmed."),
        **errors(LinkTokenInvalid, EmailTaken),
    },
)
@public("the mailed token is the credential")
async def verify_email(request: Request, body: LinkUse, session: WriteSession) -> Response:
    state = request.app.state
    lifetimes = state.session_terms.lifetimes
    account = await service.confirm_email(session, token=body.token, lifetimes=lifetimes, ring=state.mail_ring)
    return reply(VerifiedOut(email=account["email"], verified=True), headers=NO_STORE)


@router.get(
    "/verify-email",
    summary="Look at a link to confirm an address",
    description=(
        "Tells whether the link is in force, and confirms nothing: programs open links, too, before anybody has seen "
        "the mail. The POST confirms."
    ),
    response_model=Envelope[AddressLinkOut],
    responses={
        200: example(ADDRESS_LINK_EXAMPLE, description="The link is in force.", headers=NEVER_STORED),
        **errors(LinkTokenInvalid),
    },
)
@public("the mailed token is the credential")
async def read_verification_link(token: Annotated[LinkTokenText, Query()], connection: PrimaryConnection) -> Response:
    link = await service.find_link(connection, token, kinds=service.OF_ADDRESSES)
    kind, expires_at = link["kind"], link["expires_at"]
    found = AddressLinkOut(valid=True, kind=kind, expires_at=expires_at, confirm_by=CONFIRM_BY)
    return reply(found, headers=NO_STORE)


@router.post(
    "/verify-email/resend",
    status_code=202,
    summary="Ask for another link to confirm an address",
    description="Mails a link that works for 24 hours, if such an account waits for it. The answer is always the same.",
    response_model=Envelope[AcceptedOut],
    responses={
        202: example(ACCEPTED_EXAMPLE, description="Whether there is a mail, its inbox tells."),
        **errors(EmailInvalid),
    },
)
@public("who has not confirmed the address may have nothing to show")
async def resend_verification(body: AddressOnly, session: WriteSession) -> Response:
    await mail_requests.ask(session, RequestKind.VERIFY, email_of(body.email))
    return reply(ACCEPTED, status=202, headers=NO_STORE)
