from typing import Annotated

from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession, open_write, replay_first_answer
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import NEVER_STORED, errors, example
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import public, session_only, takes_idempotency_key
from fastapi import Query, Request, Response

from auth_service.credentials.errors import TooManyFailures
from auth_service.mail_requests import service as mail_requests
from auth_service.mail_requests.rules import RequestKind
from auth_service.password_changes import service
from auth_service.password_changes.access import workshop_of
from auth_service.password_changes.errors import PasswordUnchanged, WrongPassword
from auth_service.password_changes.schemas import PasswordChange, PasswordReset
from auth_service.passwords.errors import PasswordBreached, PasswordUnacceptable, PasswordWorkFull
from auth_service.sessions.access import ProvenApart
from auth_service.sessions.errors import StepUpRequired
from auth_service.users.errors import EmailInvalid
from auth_service.users.service import email_of
from auth_service.verification import service as verification
from auth_service.verification.errors import LinkTokenInvalid, TooManyMails
from auth_service.verification.rules import LinkKind
from auth_service.verification.schemas import (
    ACCEPTED,
    ACCEPTED_EXAMPLE,
    LINK_EXAMPLE,
    AcceptedOut,
    AddressOnly,
    EmailChange,
    LinkOut,
    LinkTokenText,
)

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])
BAD_PASSWORDS = (PasswordUnacceptable, PasswordBreached)


@router.post(
    "/password/forgot",
    status_code=202,
    summary="Ask for a link to reset the password",
    description="Mails a link that works for 10 minutes, if there is such an account. The answer is always the same.",
    response_model=Envelope[AcceptedOut],
    responses={
        202: example(ACCEPTED_EXAMPLE, description="Whether there is a mail, its inbox tells."),
        **errors(EmailInvalid),
    },
)
@public("who has forgotten the password has nothing to show")
async def ask_for_reset(body: AddressOnly, session: WriteSession) -> Response:
    await mail_requests.ask(session, RequestKind.RESET, email_of(body.email))
    return reply(ACCEPTED, status=202, headers=NO_STORE)


@router.get(
    "/password/reset",
    summary="Look at a link to reset the password",
    description="Tells whether the link is in force, without using it.",
    response_model=Envelope[LinkOut],
    responses={
        200: example(LINK_EXAMPLE, description="The link is in force.", headers=NEVER_STORED),
        **errors(LinkTokenInvalid),
    },
)
@public("the mailed token is the credential")
async def read_reset_link(token: Annotated[LinkTokenText, Query()], connection: PrimaryConnection) -> Response:
    link = await verification.find_link(connection, token, kinds=(LinkKind.RESET_PASSWORD,))
    return reply(LinkOut.model_validate(dict(link)), headers=NO_STORE)


@router.post(
    "/password/reset",
    summary="Reset the password by a mailed link",
    description=(
        "Sets a new password and ends all sessions; it does not log in. The link works once, and all others that "
        "were mailed before work no more. API tokens, passkeys and linked accounts go on, and the mail about the new "
        "password says how many; where this is the first proof of the address they are removed, since somebody else "
        "may have opened the account."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The password is set."),
        **errors(LinkTokenInvalid, *BAD_PASSWORDS, PasswordWorkFull),
    },
)
@public("the mailed token is the credential")
async def reset_password(request: Request, body: PasswordReset, session: WriteSession) -> Response:
    new = await service.prepare_reset(token=body.token, password=body.password, workshop=workshop_of(request))
    state = request.app.state
    await service.reset_password(session, new=new, lifetimes=state.session_terms.lifetimes, ring=state.mail_ring)
    return reply(None, headers=NO_STORE)


@router.post(
    "/password/change",
    summary="Change the own password",
    description="Ends all other sessions; this one goes on. Wrong tries count as failed logins.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The password is changed."),
        **errors(WrongPassword, TooManyFailures, *BAD_PASSWORDS, PasswordUnchanged, PasswordWorkFull),
    },
)
@session_only("an account is its owner's, not a program's")
@takes_idempotency_key
async def change_password(request: Request, body: PasswordChange, caller: CurrentPrincipal) -> Response:
    await replay_first_answer(request, caller)
    verdict, new_hash = await service.prepare_change(
        caller=caller, current=body.current_password, wanted=body.new_password, workshop=workshop_of(request)
    )
    state = request.app.state
    async with open_write(request, caller, content=await request.body()) as write:
        await service.change_password(
            write.session,
            caller=caller,
            verdict=verdict,
            new_hash=new_hash,
            lifetimes=state.session_terms.lifetimes,
            ring=state.mail_ring,
        )
        return write.reply(None, headers=NO_STORE)


@router.post(
    "/email/change",
    status_code=202,
    summary="Ask for another address",
    description=(
        "Mails a link to the new address; the account has it when the link is used within 24 hours, by `POST "
        "/api/v1/auth/verify-email`, and while this session lasts. The answer is the same whether the address is free "
        "or not. The password is needed where the account has one."
    ),
    response_model=Envelope[AcceptedOut],
    responses={
        202: example(ACCEPTED_EXAMPLE, description="A link is on its way to the new address."),
        **errors(EmailInvalid, WrongPassword, StepUpRequired, TooManyFailures, TooManyMails, PasswordWorkFull),
    },
)
@session_only("an account is its owner's, not a program's")
@takes_idempotency_key
async def ask_for_email_change(request: Request, body: EmailChange, caller: ProvenApart) -> Response:
    await replay_first_answer(request, caller)
    address = email_of(body.email)
    verdict = await service.verify_if_any(caller=caller, password=body.password, workshop=workshop_of(request))
    async with open_write(request, caller, content=await request.body()) as write:
        await service.ask_for_email_change(
            write.session, caller=caller, verdict=verdict, address=address, ring=request.app.state.mail_ring
        )
        return write.reply(ACCEPTED, status=202, headers=NO_STORE)
