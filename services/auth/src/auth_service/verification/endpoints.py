from typing import Annotated

from chassis.web.app import APIRouter
from chassis.web.database import WriteSession
from chassis.web.envelope import Envelope
from chassis.web.openapi import Responses, errors, example
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
    VERIFIED_EXAMPLE,
    AcceptedOut,
    AddressOnly,
    LinkTokenText,
    LinkUse,
    VerifiedOut,
)

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])

WHAT_IT_DOES = (
    "Takes the token of a mailed link, once: as the proof of the account's address, or to give the account the new "
    "address that was asked for, which ends its other sessions."
)
VERIFIED: Responses = {
    200: example(VERIFIED_EXAMPLE, description="The address is confirmed."),
    **errors(LinkTokenInvalid, EmailTaken),
}


@router.post(
    "/verify-email",
    summary="Confirm an address",
    description=WHAT_IT_DOES,
    response_model=Envelope[VerifiedOut],
    responses=VERIFIED,
)
@public("the mailed token is the credential")
async def verify_email(request: Request, body: LinkUse, session: WriteSession) -> Response:
    return await _confirm(request, session, body.token)


@router.get(
    "/verify-email",
    summary="Confirm an address by opening the link",
    description=f"{WHAT_IT_DOES} The same as the POST, for a link that is opened as it is.",
    response_model=Envelope[VerifiedOut],
    responses=VERIFIED,
)
@public("the mailed token is the credential")
async def open_verification_link(
    request: Request, token: Annotated[LinkTokenText, Query()], session: WriteSession
) -> Response:
    return await _confirm(request, session, token)


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


async def _confirm(request: Request, session: WriteSession, token: str) -> Response:
    state = request.app.state
    lifetimes = state.session_terms.lifetimes
    account = await service.confirm_email(session, token=token, lifetimes=lifetimes, ring=state.mail_ring)
    return reply(VerifiedOut(email=account["email"], verified=True), headers=NO_STORE)
