from typing import Annotated

import fastapi
import orjson
from chassis.errors import MalformedRequest
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import bare_example, errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import operation_id, public, session_only
from fastapi import Form, Request, Response

from auth_service.credentials.errors import InvalidCredentials, TooManyFailures
from auth_service.credentials.service import Attempt
from auth_service.oauth_form import OAuthFormRoute
from auth_service.passwords.errors import PasswordWorkFull
from auth_service.path_ids import SessionId
from auth_service.proofs import service as proofs
from auth_service.proofs.errors import MfaRequired
from auth_service.second_factors.errors import InvalidOtp, TooManyOtpTries
from auth_service.sessions import repository, service
from auth_service.sessions.errors import InvalidRefreshToken, RefreshReused, SessionNotFound
from auth_service.sessions.schemas import (
    OAUTH_EXAMPLE,
    SESSION_EXAMPLE,
    TOKENS_EXAMPLE,
    Credentials,
    OAuthTokens,
    RefreshRequest,
    SessionOut,
    TokensOut,
)
from auth_service.sessions.service import Grant
from auth_service.users.errors import ACCOUNT_REFUSALS
from auth_service.users.schemas import UserOut

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])
form_router = fastapi.APIRouter(
    prefix="/api/v1/auth", tags=["auth"], route_class=OAuthFormRoute, generate_unique_id_function=operation_id
)

LOGIN_REFUSALS = (
    InvalidCredentials,
    MfaRequired,
    InvalidOtp,
    TooManyFailures,
    TooManyOtpTries,
    PasswordWorkFull,
    *ACCOUNT_REFUSALS,
)


@router.post(
    "/login",
    summary="Log in",
    description=(
        "Starts a session. The same answer for an unknown address and a wrong password. An account with a second "
        "factor needs `otp` too: without it a right password is answered `MFA_REQUIRED`, with an `mfa_token` for "
        "`POST /api/v1/auth/login/mfa` in `data`. An account has at most 100 sessions: the next login ends the oldest."
    ),
    response_model=Envelope[TokensOut],
    responses={
        200: example(TOKENS_EXAMPLE, description="The tokens of the new session."),
        **errors(*LOGIN_REFUSALS),
    },
)
@public("this is how an identity is obtained")
async def log_in(request: Request, body: Credentials, session: WriteSession) -> Response:
    grant = await _log_in(request, session, Attempt(body.email, body.password, body.otp))
    return reply(await tokens_of(request, session, grant), headers=NO_STORE)


@form_router.post(
    "/token",
    summary="Log in by the OAuth2 password form",
    description=(
        "The same as logging in, in the form of RFC 6749, section 4.3, which API explorers use. A success is not "
        "enveloped; a refusal is the usual envelope with `error` and `error_description` (section 5.2) beside it."
    ),
    response_model=OAuthTokens,
    responses={
        200: bare_example(OAUTH_EXAMPLE, description="The tokens of the new session."),
        **errors(MalformedRequest, *LOGIN_REFUSALS),
    },
)
@public("this is how an identity is obtained")
async def log_in_by_form(
    request: Request,
    session: WriteSession,
    username: Annotated[
        str, Form(max_length=320, description="The address of the account.", examples=["ada@example.com"])
    ],
    password: Annotated[str, Form(max_length=1024, examples=["correct horse battery"])],
    grant_type: Annotated[  # noqa: ARG001 - fixed by the RFC
        str, Form(pattern="^password$", description="Always `password`.", examples=["password"])
    ] = "password",
    scope: Annotated[  # noqa: ARG001 - explorers send it
        str, Form(max_length=500, description="Not read: a login has all that its user may do.")
    ] = "",
    otp: Annotated[
        str | None,
        Form(max_length=64, description="A one-time code or a recovery code, where the account needs one."),
    ] = None,
) -> Response:
    grant = await _log_in(request, session, Attempt(username, password, otp))
    tokens = await tokens_of(request, session, grant)
    body = tokens.model_dump(include={"access_token", "token_type", "expires_in", "refresh_token"})
    return Response(orjson.dumps(body), headers={**NO_STORE, "pragma": "no-cache"}, media_type="application/json")


@router.post(
    "/refresh",
    summary="Refresh the tokens",
    description=(
        "Gives a new pair for the refresh token that was given last; each works once. Within 10 seconds the same "
        "token gets the same successor again, for a caller whose answer was lost. A used one that comes back later "
        "ends the session."
    ),
    response_model=Envelope[TokensOut],
    responses={
        200: example(TOKENS_EXAMPLE, description="The next pair of tokens."),
        **errors(InvalidRefreshToken, RefreshReused),
    },
)
@public("the refresh token is the credential")
async def refresh_tokens(request: Request, body: RefreshRequest, session: WriteSession) -> Response:
    state = request.app.state
    grant = await service.refresh(
        session, presented=body.refresh_token, terms=state.session_terms, mail_ring=state.mail_ring
    )
    return reply(await tokens_of(request, session, grant), headers=NO_STORE)


@router.post(
    "/logout",
    summary="Log out",
    description="Ends this session: its tokens stop working everywhere within two seconds.",
    response_model=Envelope[None],
    responses={200: example(None, description="The session has ended.")},
)
@session_only("sessions are their owner's affair")
async def log_out(request: Request, caller: CurrentPrincipal, write: Writing) -> Response:
    await service.log_out(write.session, caller=caller, lifetimes=request.app.state.session_terms.lifetimes)
    return write.reply(None, headers=NO_STORE)


@router.post(
    "/logout-all",
    summary="Log out everywhere",
    description="Ends all sessions of the user, this one included.",
    response_model=Envelope[None],
    responses={200: example(None, description="All sessions have ended.")},
)
@session_only("sessions are their owner's affair")
async def log_out_everywhere(request: Request, caller: CurrentPrincipal, write: Writing) -> Response:
    await service.log_out_everywhere(write.session, caller=caller, lifetimes=request.app.state.session_terms.lifetimes)
    return write.reply(None, headers=NO_STORE)


@router.get(
    "/sessions",
    summary="List the own sessions",
    description="All logins that are in force, the newest first.",
    response_model=PageEnvelope[SessionOut],
    responses={
        200: page_example(SESSION_EXAMPLE, description="One page of sessions."),
        **errors(PageTooDeep),
    },
)
@session_only("sessions are their owner's affair")
async def list_sessions(
    request: Request, caller: CurrentPrincipal, connection: PrimaryConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of(connection, caller.user_id, limit=paging.per_page, offset=paging.offset)
    sessions = [SessionOut.model_validate({**row, "current": row["id"] == caller.session_id}) for row in rows]
    return page_reply(request, sessions, paging, total)


@router.delete(
    "/sessions/{session_id}",
    summary="End one of the own sessions",
    description="Its tokens stop working everywhere within two seconds. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The session has ended."),
        204: {"description": "Ended; asked for with `Prefer: return=minimal`."},
        **errors(SessionNotFound),
    },
)
@session_only("sessions are their owner's affair")
async def end_session(
    request: Request, session_id: SessionId, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal
) -> Response:
    lifetimes = request.app.state.session_terms.lifetimes
    await service.end_session(write.session, caller=caller, session_id=session_id, lifetimes=lifetimes)
    if minimal:
        return write.no_content(NO_STORE)
    return write.reply(None, headers=NO_STORE)


async def _log_in(request: Request, session: WriteSession, attempt: Attempt) -> Grant:
    state = request.app.state
    return await proofs.log_in(
        session,
        attempt=attempt,
        primary=state.database.primary,
        hasher=state.passwords,
        terms=state.session_terms,
        factor_terms=state.factor_terms,
        passkey_terms=state.passkey_terms,
    )


async def tokens_of(request: Request, session: WriteSession, grant: Grant) -> TokensOut:
    """Return the tokens of a session that has just been started or refreshed."""
    state = request.app.state
    account = grant.account
    # No token outlives its session: after the session's end there would be nothing left to revoke.
    seconds = int(min(state.session_terms.lifetimes.access, grant.refresh_lifetime).total_seconds())
    return TokensOut(
        access_token=await state.access_tokens.issue(
            session, user_id=account["id"], session_id=grant.session_id, roles=account["roles"], seconds=seconds
        ),
        token_type="bearer",  # noqa: S106 - the name of the scheme
        expires_in=seconds,
        refresh_token=grant.refresh_token,
        refresh_expires_in=int(grant.refresh_lifetime.total_seconds()),
        user=UserOut.of(account),
    )
