from chassis.web.app import APIRouter
from chassis.web.database import WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import public, session_only
from fastapi import Request, Response

from auth_service.credentials.errors import InvalidCredentials, TooManyFailures
from auth_service.passkeys.errors import PasskeyRefused
from auth_service.passkeys.schemas import REQUEST_EXAMPLE, ChallengeOut
from auth_service.passwords.errors import PasswordWorkFull
from auth_service.proofs import service
from auth_service.proofs.access import GivenProof
from auth_service.proofs.errors import InvalidMfaToken
from auth_service.proofs.schemas import STEP_UP_EXAMPLE, MfaLogin, StepUpOut
from auth_service.second_factors.errors import InvalidOtp, NoSecondFactor, TooManyOtpTries
from auth_service.sessions.endpoints import tokens_of
from auth_service.sessions.errors import StepUpRequired
from auth_service.sessions.schemas import TOKENS_EXAMPLE, TokensOut
from auth_service.users.errors import ACCOUNT_REFUSALS

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


@router.post(
    "/login/mfa",
    summary="Complete a login by a second factor",
    description=(
        "For a login that was answered `MFA_REQUIRED`: its `mfa_token`, which works for five minutes and for one "
        "session, and a one-time code, a recovery code or a passkey. A passkey has one try."
    ),
    response_model=Envelope[TokensOut],
    responses={
        200: example(TOKENS_EXAMPLE, description="The tokens of the new session."),
        **errors(InvalidMfaToken, InvalidOtp, PasskeyRefused, TooManyFailures, TooManyOtpTries, *ACCOUNT_REFUSALS),
    },
)
@public("this is how an identity is obtained")
async def complete_login(request: Request, body: MfaLogin, session: WriteSession) -> Response:
    state = request.app.state
    grant = await service.complete_login(
        session,
        step=body,
        terms=state.session_terms,
        factor_terms=state.factor_terms,
        passkey_terms=state.passkey_terms,
    )
    return reply(await tokens_of(request, session, grant), headers=NO_STORE)


@router.post(
    "/step-up/options",
    summary="Begin to prove by a passkey who is logged in",
    description="Options for `navigator.credentials.get()`, whose challenge works once and for five minutes.",
    response_model=Envelope[ChallengeOut],
    responses={200: example(REQUEST_EXAMPLE, description="The options."), **errors(NoSecondFactor)},
)
@session_only("a token is no person who could prove anything")
async def begin_step_up(request: Request, caller: CurrentPrincipal, write: Writing) -> Response:
    begun = await service.begin_step_up(write.session, caller=caller, terms=request.app.state.passkey_terms)
    return write.reply(begun, headers=NO_STORE)


@router.post(
    "/step-up",
    summary="Prove again who is logged in",
    description=(
        "Sensitive actions need a recent proof: of the second factor where the account has one, else the password. "
        "A login is one; this renews it."
    ),
    response_model=Envelope[StepUpOut],
    responses={
        200: example(STEP_UP_EXAMPLE, description="How long the proof holds."),
        **errors(
            InvalidCredentials,
            InvalidOtp,
            PasskeyRefused,
            StepUpRequired,
            TooManyFailures,
            TooManyOtpTries,
            PasswordWorkFull,
        ),
    },
)
@session_only("a token is no person who could prove anything")
async def step_up(request: Request, given: GivenProof, caller: CurrentPrincipal, write: Writing) -> Response:
    state = request.app.state
    end = await service.step_up(
        write.session,
        caller=caller,
        given=given.body,
        verdict=given.verdict,
        terms=state.session_terms,
        factor_terms=state.factor_terms,
        passkey_terms=state.passkey_terms,
    )
    return write.reply(StepUpOut(proven_until=end), headers=NO_STORE)
