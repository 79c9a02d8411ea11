from chassis.web.app import APIRouter
from chassis.web.database import Write, WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.openapi import errors, example, stale
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed, WantsMinimal
from chassis.web.replies import NO_STORE, etag, reply
from chassis.web.routing import public, session_only
from fastapi import Request, Response
from sqlalchemy import RowMapping

from auth_service.credentials.service import Attempt
from auth_service.leaving import service
from auth_service.leaving.schemas import DEACTIVATED_EXAMPLE, DELETING_EXAMPLE, Reactivation
from auth_service.passkeys.errors import PasskeyRefused
from auth_service.proofs.service import GivenPasskey
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.endpoints import LOGIN_REFUSALS, tokens_of
from auth_service.sessions.errors import StepUpRequired
from auth_service.sessions.schemas import TOKENS_EXAMPLE, TokensOut
from auth_service.users.errors import LastAdmin, UserVersionConflict
from auth_service.users.schemas import USER_EXAMPLE, UserOut

router = APIRouter(prefix="/api/v1/users", tags=["users"])
reactivation = APIRouter(prefix="/api/v1/auth", tags=["auth"])


@router.post(
    "/me/deactivate",
    summary="Deactivate the own account",
    description=(
        "Closes the account: all sessions end, and nothing of it is deleted. `POST /api/v1/auth/reactivate` opens it "
        "again. Needs a recent login or step-up."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example(DEACTIVATED_EXAMPLE, description="The account is deactivated."),
        **errors(StepUpRequired, LastAdmin),
    },
)
@session_only("an account is its owner's, not a program's")
async def deactivate(request: Request, caller: RecentlyProven, write: Writing) -> Response:
    row = await service.deactivate(write.session, caller=caller, terms=request.app.state.leaving_terms)
    return _left(write, row)


@router.delete(
    "/me",
    summary="Delete the own account",
    description=(
        "Closes the account at once: all sessions end. `deletes_at` says when it is deleted for good; until then "
        "`POST /api/v1/auth/reactivate` takes it back. What is left after that is an id without personal data. Needs "
        "a recent login or step-up. `Prefer: return=minimal` gets 204 instead."
    ),
    response_model=Envelope[UserOut],
    responses={
        200: example(DELETING_EXAMPLE, description="The account is closed, and will be deleted at `deletes_at`."),
        204: {"description": "Closed; asked for with `Prefer: return=minimal`."},
        **errors(StepUpRequired, LastAdmin, stale(UserVersionConflict, USER_EXAMPLE), IfMatchMalformed),
    },
)
@session_only("an account is its owner's, not a program's")
async def delete(
    request: Request, caller: RecentlyProven, write: Writing, version: ExpectedVersion, minimal: WantsMinimal
) -> Response:
    terms = request.app.state.leaving_terms
    row = await service.schedule_deletion(write.session, caller=caller, terms=terms, expected_version=version)
    return write.no_content(NO_STORE) if minimal else _left(write, row)


@reactivation.post(
    "/reactivate",
    summary="Take an account back",
    description=(
        "Opens an account again that its owner has deactivated, or deleted less than the grace ago, and logs in. The "
        "same answers as of a login; for an open account it is one. An account with a second factor needs `otp` "
        "here, or a passkey in answer to the challenge of `MFA_REQUIRED`, whose `mfa_token` opens no closed account."
    ),
    response_model=Envelope[TokensOut],
    responses={
        200: example(TOKENS_EXAMPLE, description="The account is open; the tokens of a new session."),
        **errors(*LOGIN_REFUSALS, PasskeyRefused),
    },
)
@public("an account that is closed has no identity to show")
async def reactivate(request: Request, body: Reactivation, session: WriteSession) -> Response:
    state = request.app.state
    grant = await service.reactivate(
        session,
        attempt=Attempt(body.email, body.password, body.otp),
        primary=state.database.primary,
        hasher=state.passwords,
        terms=state.leaving_terms,
        passkey=_passkey_of(body),
        passkey_terms=state.passkey_terms,
    )
    return reply(await tokens_of(request, session, grant), headers=NO_STORE)


def _passkey_of(body: Reactivation) -> GivenPasskey | None:
    if body.credential is None:
        return None
    return GivenPasskey(body.challenge_id, body.credential, "second_factor")


def _left(write: Write, row: RowMapping) -> Response:
    return write.reply(UserOut.of(row), headers={**NO_STORE, "etag": etag(row["version"])})
