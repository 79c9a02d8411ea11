from uuid import UUID

from chassis.errors import NotFound
from chassis.paging import Paging
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Write, WriteSession, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CallingService, CurrentPrincipal
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import session_only
from fastapi import Request, Response
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from auth_service.api_tokens import repository, service
from auth_service.api_tokens.errors import (
    ApiTokenNotFound,
    InvalidExpiry,
    InvalidScope,
    ScopeNotConfined,
    TokenLimitReached,
)
from auth_service.api_tokens.schemas import (
    ACTIVE_EXAMPLE,
    NEW_TOKEN_EXAMPLE,
    TOKEN_EXAMPLE,
    ActiveToken,
    InactiveToken,
    NewTokenOut,
    TokenAnswer,
    TokenCreate,
    TokenOut,
    TokenQuestion,
)
from auth_service.api_tokens.service import NewToken
from auth_service.path_ids import TokenId
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.errors import StepUpRequired

router = APIRouter(prefix="/api/v1/auth/tokens", tags=["auth"])
internal = APIRouter(prefix="/internal/api-tokens", tags=["internal"])


@router.post(
    "",
    status_code=201,
    summary="Make an API token",
    description=(
        "A credential for a program that acts for you, with fewer rights. Its secret is in this answer and in none "
        "after it: the replay of an idempotency key has null in its place. It needs a session whose owner has just "
        "proved to be it. Workspace and projects are not looked up, since they only narrow what the token sees. A new "
        "password does not end tokens, but for a reset that is the first to prove the account's address; a disabled "
        "or deactivated account's tokens do nothing."
    ),
    response_model=Envelope[NewTokenOut],
    responses={
        201: example(NEW_TOKEN_EXAMPLE, description="The token.", headers={"Location": "Path of the token."}),
        **errors(InvalidScope, InvalidExpiry, ScopeNotConfined, StepUpRequired, TokenLimitReached),
    },
)
@session_only("a token must not make others")
async def create_token(request: Request, body: TokenCreate, caller: RecentlyProven, write: Writing) -> Response:
    new = await service.create_token(
        write.session,
        owner_id=caller.user_id,
        caller=caller,
        wanted=body,
        workspace_id=body.workspace_id,
        terms=request.app.state.api_token_terms,
    )
    return told_once(write, new, collection=router.prefix)


@router.get(
    "",
    summary="List the own API tokens",
    description="All that were not revoked, the newest first. Expired ones are shown for 30 days.",
    response_model=PageEnvelope[TokenOut],
    responses={
        200: page_example(TOKEN_EXAMPLE, description="One page of tokens."),
        **errors(PageTooDeep),
    },
)
@session_only("a token must not learn of others")
async def list_tokens(
    request: Request, caller: CurrentPrincipal, connection: PrimaryConnection, paging: PagesQuery
) -> Response:
    return await token_page(request, connection, caller.user_id, paging)


@router.get(
    "/{token_id}",
    summary="Read one of the own API tokens",
    description="All but its secret.",
    response_model=Envelope[TokenOut],
    responses={
        200: example(TOKEN_EXAMPLE, description="The token."),
        **errors(ApiTokenNotFound),
    },
)
@session_only("a token must not learn of others")
async def read_token(token_id: TokenId, caller: CurrentPrincipal, connection: PrimaryConnection) -> Response:
    row = await repository.find(connection, caller.user_id, token_id)
    if row is None:
        raise ApiTokenNotFound
    return reply(TokenOut.of(row))


@router.delete(
    "/{token_id}",
    summary="Revoke one of the own API tokens",
    description="It stops working everywhere within two seconds. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The token is revoked."),
        204: {"description": "Revoked; asked for with `Prefer: return=minimal`."},
        **errors(ApiTokenNotFound),
    },
)
@session_only("a token must not end others")
async def revoke_token(token_id: TokenId, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal) -> Response:
    await service.revoke_token(write.session, owner_id=caller.user_id, token_id=token_id, caller=caller)
    if minimal:
        return write.no_content(NO_STORE)
    return write.reply(None, headers=NO_STORE)


@internal.post(
    "/resolve",
    summary="Tell the gateway what an API token may do",
    description=(
        "As new as the primary; the use is noted, at most once a minute. A token that is presented from an address "
        "beyond its list is told too: the gateway refuses it, on every request."
    ),
    response_model=TokenAnswer,
    responses={
        200: {
            "description": "What the token may do now.",
            "content": {
                "application/json": {
                    "examples": {"active": {"value": ACTIVE_EXAMPLE}, "inactive": {"value": {"active": False}}}
                }
            },
        },
        **errors(NotFound),
    },
)
async def resolve_token(
    request: Request, body: TokenQuestion, _caller: CallingService, session: WriteSession
) -> ActiveToken | InactiveToken:
    found = await service.resolve(
        session, sha256=bytes.fromhex(body.digest), address=body.address, terms=request.app.state.api_token_terms
    )
    return InactiveToken(active=False) if found is None else _active(found)


def _active(found: RowMapping) -> ActiveToken:
    return ActiveToken(
        active=True,
        token_id=found["id"],
        user_id=found["account_id"],
        kind="service_account" if found["kind"] == "service" else "user",
        roles=found["roles"],
        scopes=found["scopes"],
        workspace_id=found["workspace_id"],
        project_ids=found["project_ids"],
        ip_allowlist=found["ip_allowlist"],
        read_only=found["read_only"],
        expires_at=found["expires_at"],
    )


def told_once(write: Write, new: NewToken, *, collection: str) -> Response:
    """Answer with a new token of a collection and its secret, which no replay shows again."""
    headers = {**NO_STORE, "location": f"{collection}/{new.row['id']}"}
    shown, kept = (NewTokenOut.with_secret(new.row, text) for text in (new.text, None))
    return write.reply(shown, status=201, headers=headers, kept=kept)


async def token_page(request: Request, connection: AsyncConnection, owner_id: UUID, paging: Paging) -> Response:
    """Answer with a page of the tokens of an account."""
    rows, total = await repository.list_of(connection, owner_id, limit=paging.per_page, offset=paging.offset)
    return page_reply(request, [TokenOut.of(row) for row in rows], paging, total)
