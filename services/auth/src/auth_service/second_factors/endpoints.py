from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import NEVER_STORED, errors, example
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import session_only
from fastapi import Request, Response

from auth_service.second_factors import service
from auth_service.second_factors.errors import (
    InvalidOtp,
    NoSecondFactor,
    TooManyOtpTries,
    TotpAlreadyEnabled,
    TotpNotEnabled,
    TotpNotPending,
)
from auth_service.second_factors.schemas import (
    CODES_EXAMPLE,
    MFA_EXAMPLE,
    SETUP_EXAMPLE,
    MfaOut,
    RecoveryCodesOut,
    TotpConfirmation,
    TotpSetupOut,
)
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.errors import StepUpRequired

router = APIRouter(prefix="/api/v1/auth/mfa", tags=["second factors"])

OWNERS = "second factors are their owner's affair"


@router.get(
    "",
    summary="Read the own second factors",
    description="What is set up, and how many recovery codes are left.",
    response_model=Envelope[MfaOut],
    responses={200: example(MFA_EXAMPLE, description="The second factors.", headers=NEVER_STORED)},
)
@session_only(OWNERS)
async def read_mfa(caller: CurrentPrincipal, connection: PrimaryConnection) -> Response:
    return reply(await service.overview(connection, caller.user_id), headers=NO_STORE)


@router.post(
    "/totp",
    summary="Begin to set up one-time codes",
    description=(
        "Makes a secret for an authenticator app: SHA-1, 6 digits, 30 seconds (RFC 6238). Nothing changes before a "
        "first code of it is confirmed; a new call replaces a secret that was not."
    ),
    response_model=Envelope[TotpSetupOut],
    responses={
        200: example(SETUP_EXAMPLE, description="The secret, shown this one time."),
        **errors(StepUpRequired, TotpAlreadyEnabled),
    },
)
@session_only(OWNERS)
async def begin_totp(request: Request, caller: RecentlyProven, write: Writing) -> Response:
    setup = await service.begin_totp(write.session, caller=caller, terms=request.app.state.factor_terms)
    kept = setup.model_copy(update={"secret": None, "otpauth_uri": None})
    return write.reply(setup, headers=NO_STORE, kept=kept)


@router.post(
    "/totp/confirm",
    summary="Confirm one-time codes",
    description=(
        "From now on logins need a code. All other sessions end, and ten recovery codes are shown, which work once "
        "each when the app is lost. Five tries in five minutes."
    ),
    response_model=Envelope[RecoveryCodesOut],
    responses={
        200: example(CODES_EXAMPLE, description="The recovery codes, shown this one time."),
        **errors(InvalidOtp, TotpNotPending, TooManyOtpTries),
    },
)
@session_only(OWNERS)
async def confirm_totp(request: Request, body: TotpConfirmation, caller: CurrentPrincipal, write: Writing) -> Response:
    terms = request.app.state.factor_terms
    codes = await service.confirm_totp(write.session, caller=caller, code=body.code, terms=terms)
    kept = RecoveryCodesOut(recovery_codes=None)
    return write.reply(RecoveryCodesOut(recovery_codes=codes), headers=NO_STORE, kept=kept)


@router.delete(
    "/totp",
    summary="Remove one-time codes",
    description="All other sessions end. With the last second factor the recovery codes go too.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="One-time codes are removed."),
        204: {"description": "The same, for a caller who prefers a minimal answer."},
        **errors(StepUpRequired, TotpNotEnabled),
    },
)
@session_only(OWNERS)
async def disable_totp(request: Request, caller: RecentlyProven, write: Writing, minimal: WantsMinimal) -> Response:
    await service.disable_totp(write.session, caller=caller, terms=request.app.state.factor_terms)
    return write.no_content(NO_STORE) if minimal else write.reply(None, headers=NO_STORE)


@router.post(
    "/recovery-codes",
    summary="Renew the recovery codes",
    description="Gives ten new recovery codes; the old ones stop working.",
    response_model=Envelope[RecoveryCodesOut],
    responses={
        200: example(CODES_EXAMPLE, description="The recovery codes, shown this one time."),
        **errors(StepUpRequired, NoSecondFactor),
    },
)
@session_only(OWNERS)
async def renew_recovery_codes(request: Request, caller: RecentlyProven, write: Writing) -> Response:
    codes = await service.renew_recovery_codes(write.session, caller=caller, terms=request.app.state.factor_terms)
    kept = RecoveryCodesOut(recovery_codes=None)
    return write.reply(RecoveryCodesOut(recovery_codes=codes), headers=NO_STORE, kept=kept)
