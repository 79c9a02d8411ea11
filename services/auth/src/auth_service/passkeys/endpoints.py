from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import public, session_only
from fastapi import Request, Response

from auth_service.passkeys import repository, service
from auth_service.passkeys.errors import (
    LastCredential,
    PasskeyNotAccepted,
    PasskeyNotFound,
    PasskeyRefused,
    PasskeyTaken,
    TooManyPasskeys,
)
from auth_service.passkeys.schemas import (
    CREATION_EXAMPLE,
    PASSKEY_EXAMPLE,
    REQUEST_EXAMPLE,
    ChallengeOut,
    NothingMore,
    PasskeyLogin,
    PasskeyOut,
    PasskeyPatch,
    PasskeyRegistration,
)
from auth_service.path_ids import PasskeyId
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.endpoints import tokens_of
from auth_service.sessions.errors import StepUpRequired
from auth_service.sessions.schemas import TOKENS_EXAMPLE, TokensOut
from auth_service.users.errors import ACCOUNT_REFUSALS

router = APIRouter(prefix="/api/v1/auth/passkeys", tags=["passkeys"])

OWNERS = "passkeys are their owner's affair"


@router.get(
    "",
    summary="List the own passkeys",
    description="The newest first; there are at most 20.",
    response_model=Envelope[list[PasskeyOut]],
    responses={200: example([PASSKEY_EXAMPLE], description="The passkeys.")},
)
@session_only(OWNERS)
async def list_passkeys(caller: CurrentPrincipal, connection: PrimaryConnection) -> Response:
    rows = await repository.list_of(connection, caller.user_id)
    return reply([PasskeyOut.model_validate(dict(row)) for row in rows])


@router.post(
    "/register/options",
    summary="Begin to register a passkey",
    description="Options for `navigator.credentials.create()`, whose challenge works once and for five minutes.",
    response_model=Envelope[ChallengeOut],
    responses={
        200: example(CREATION_EXAMPLE, description="The options."),
        **errors(StepUpRequired, TooManyPasskeys),
    },
)
@session_only(OWNERS)
async def begin_registration(request: Request, caller: RecentlyProven, write: Writing) -> Response:
    begun = await service.begin_registration(write.session, caller=caller, terms=request.app.state.passkey_terms)
    return write.reply(begun, headers=NO_STORE)


@router.post(
    "/register",
    status_code=201,
    summary="Register a passkey",
    description=(
        "From now on it can be logged in with, and logins by password need a second factor. All other sessions end."
    ),
    response_model=Envelope[PasskeyOut],
    responses={
        201: example(PASSKEY_EXAMPLE, description="The passkey.", headers={"Location": "Path of the passkey."}),
        **errors(StepUpRequired, PasskeyNotAccepted, PasskeyTaken, TooManyPasskeys),
    },
)
@session_only(OWNERS)
async def register_passkey(
    request: Request, body: PasskeyRegistration, caller: RecentlyProven, write: Writing
) -> Response:
    terms = request.app.state.passkey_terms
    row = await service.register(write.session, caller=caller, wanted=body, terms=terms)
    passkey = PasskeyOut.model_validate(dict(row))
    headers = {**NO_STORE, "location": f"{router.prefix}/{passkey.id}"}
    return write.reply(passkey, status=201, headers=headers)


@router.post(
    "/login/options",
    summary="Begin a login by passkey",
    description=(
        "Options for `navigator.credentials.get()`, whose challenge works once and for five minutes. No account is "
        "named: the authenticator offers the passkeys that it has."
    ),
    response_model=Envelope[ChallengeOut],
    responses={200: example(REQUEST_EXAMPLE, description="The options.")},
)
@public("this is how an identity is obtained")
async def begin_passkey_login(request: Request, _body: NothingMore, session: WriteSession) -> Response:
    return reply(await service.begin_login(session, terms=request.app.state.passkey_terms), headers=NO_STORE)


@router.post(
    "/login",
    summary="Log in by passkey",
    description="Starts a session without a password. The authenticator must have verified its user.",
    response_model=Envelope[TokensOut],
    responses={
        200: example(TOKENS_EXAMPLE, description="The tokens of the new session."),
        **errors(PasskeyRefused, *ACCOUNT_REFUSALS),
    },
)
@public("this is how an identity is obtained")
async def log_in_by_passkey(request: Request, body: PasskeyLogin, session: WriteSession) -> Response:
    state = request.app.state
    grant = await service.log_in(
        session,
        challenge_id=body.challenge_id,
        credential=body.credential,
        terms=state.passkey_terms,
        rules=state.session_terms,
    )
    return reply(await tokens_of(request, session, grant), headers=NO_STORE)


@router.patch(
    "/{passkey_id}",
    summary="Rename a passkey",
    description="A JSON merge patch: `{}` changes nothing.",
    response_model=Envelope[PasskeyOut],
    responses={200: example(PASSKEY_EXAMPLE, description="The passkey."), **errors(PasskeyNotFound)},
)
@session_only(OWNERS)
async def rename_passkey(
    passkey_id: PasskeyId, body: PasskeyPatch, caller: CurrentPrincipal, write: Writing
) -> Response:
    if body.model_fields_set:
        row = await service.rename(write.session, caller=caller, passkey_id=passkey_id, name=body.name)
    else:
        row = await service.find(write.session, caller=caller, passkey_id=passkey_id)
    return write.reply(PasskeyOut.model_validate(dict(row)))


@router.delete(
    "/{passkey_id}",
    summary="Remove a passkey",
    description="All other sessions end. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The passkey is removed."),
        204: {"description": "Removed; asked for with `Prefer: return=minimal`."},
        **errors(StepUpRequired, PasskeyNotFound, LastCredential),
    },
)
@session_only(OWNERS)
async def remove_passkey(
    request: Request, passkey_id: PasskeyId, caller: RecentlyProven, write: Writing, minimal: WantsMinimal
) -> Response:
    state = request.app.state
    await service.remove(
        write.session,
        caller=caller,
        passkey_id=passkey_id,
        providers=state.identity_providers.configs,
        terms=state.passkey_terms,
    )
    return write.no_content(NO_STORE) if minimal else write.reply(None, headers=NO_STORE)
