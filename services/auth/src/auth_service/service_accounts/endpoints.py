from chassis.errors import Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example, stale
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed, WantsMinimal
from chassis.web.replies import NO_STORE, etag, reply, unless_unchanged
from chassis.web.routing import session_only
from fastapi import Request, Response

from auth_service.api_tokens import service as api_tokens
from auth_service.api_tokens.endpoints import token_page, told_once
from auth_service.api_tokens.errors import (
    ApiTokenNotFound,
    InvalidExpiry,
    InvalidScope,
    OwnerNotActive,
    ScopeNotConfined,
    TokenLimitReached,
)
from auth_service.api_tokens.schemas import (
    NEW_TOKEN_EXAMPLE,
    TOKEN_EXAMPLE,
    BotTokenCreate,
    NewTokenOut,
    TokenOut,
)
from auth_service.path_ids import TokenId
from auth_service.service_accounts import repository, service
from auth_service.service_accounts.access import AdministeredAccount, AdministeredWorkspace, AllowedAccount
from auth_service.service_accounts.errors import (
    ServiceAccountLimitReached,
    ServiceAccountNotFound,
    ServiceAccountVersionConflict,
    TasksUnanswered,
)
from auth_service.service_accounts.schemas import (
    SERVICE_ACCOUNT_EXAMPLE,
    ServiceAccountOut,
    ServiceAccountPatch,
)
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.errors import StepUpRequired

router = APIRouter(prefix="/api/v1/service-accounts", tags=["service accounts"])

ETAG = {"ETag": "The account's version, in quotes."}
REFUSALS = (ServiceAccountNotFound, Forbidden, TasksUnanswered)
WORKSPACE_EXAMPLE = SERVICE_ACCOUNT_EXAMPLE["workspace_id"]
BOT_TOKEN_EXAMPLE = {**TOKEN_EXAMPLE, "workspace_id": WORKSPACE_EXAMPLE}


@router.post(
    "",
    status_code=201,
    summary="Make a service account",
    description=(
        "An account for a program, as a member of a workspace whose owners and admins manage it. It has no address and "
        "no password: it acts by API tokens alone. It stays when its creator goes. A workspace may have 50."
    ),
    response_model=Envelope[ServiceAccountOut],
    responses={
        201: example(
            SERVICE_ACCOUNT_EXAMPLE, description="The account.", headers={**ETAG, "Location": "Path of the account."}
        ),
        **errors(*REFUSALS, StepUpRequired, ServiceAccountLimitReached),
    },
)
@session_only("a token must not make accounts")
async def create_service_account(wanted: AllowedAccount, caller: RecentlyProven, write: Writing) -> Response:
    row = await service.create_account(write.session, wanted=wanted, caller=caller)
    headers = {"location": f"{router.prefix}/{row['account_id']}", "etag": etag(row["version"])}
    return write.reply(ServiceAccountOut.of(row), status=201, headers=headers)


@router.get(
    "",
    summary="List a workspace's service accounts",
    description="For its owners and admins, the newest first.",
    response_model=PageEnvelope[ServiceAccountOut],
    responses={
        200: page_example(SERVICE_ACCOUNT_EXAMPLE, description="One page of accounts."),
        **errors(*REFUSALS, PageTooDeep),
    },
)
@session_only("service accounts are managed by people")
async def list_service_accounts(
    request: Request, workspace_id: AdministeredWorkspace, connection: PrimaryConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of(connection, workspace_id, limit=paging.per_page, offset=paging.offset)
    accounts = [ServiceAccountOut.of(row) for row in rows]
    return page_reply(request, accounts, paging, total)


@router.get(
    "/{account_id}",
    summary="Read a service account",
    description="For the owners and admins of its workspace.",
    response_model=Envelope[ServiceAccountOut],
    responses={
        200: example(SERVICE_ACCOUNT_EXAMPLE, description="The account.", headers=ETAG),
        304: {"description": "The account is still at the version in If-None-Match."},
        **errors(*REFUSALS),
    },
)
@session_only("service accounts are managed by people")
async def read_service_account(request: Request, account: AdministeredAccount) -> Response:
    found = ServiceAccountOut.of(account)
    return unless_unchanged(request, reply(found, headers={"etag": etag(found.version)}))


@router.patch(
    "/{account_id}",
    summary="Change a service account",
    description="A JSON merge patch of name and role: absent fields keep their value, `{}` changes nothing.",
    response_model=Envelope[ServiceAccountOut],
    responses={
        200: example(
            {**SERVICE_ACCOUNT_EXAMPLE, "role": "guest", "version": 2}, description="The account now.", headers=ETAG
        ),
        **errors(*REFUSALS, stale(ServiceAccountVersionConflict, SERVICE_ACCOUNT_EXAMPLE), IfMatchMalformed),
    },
)
@session_only("service accounts are managed by people")
async def update_service_account(
    body: ServiceAccountPatch,
    account: AdministeredAccount,
    caller: CurrentPrincipal,
    write: Writing,
    version: ExpectedVersion,
) -> Response:
    row = await service.update_account(
        write.session, account_id=account["account_id"], patch=body, expected_version=version, caller=caller
    )
    return write.reply(ServiceAccountOut.of(row), headers={"etag": etag(row["version"])})


@router.delete(
    "/{account_id}",
    summary="Delete a service account",
    description="Its tokens stop working everywhere within two seconds. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The account has ended."),
        204: {"description": "Ended; asked for with `Prefer: return=minimal`."},
        **errors(*REFUSALS),
    },
)
@session_only("service accounts are managed by people")
async def delete_service_account(
    account: AdministeredAccount, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal
) -> Response:
    await service.delete_account(write.session, account_id=account["account_id"], caller=caller)
    return write.no_content(NO_STORE) if minimal else write.reply(None, headers=NO_STORE)


@router.post(
    "/{account_id}/tokens",
    status_code=201,
    summary="Make an API token of a service account",
    description=(
        "As `POST /api/v1/auth/tokens` does, but for the account's workspace and no other. Its secret is in this "
        "answer and in none after it: the replay of an idempotency key has null in its place."
    ),
    response_model=Envelope[NewTokenOut],
    responses={
        201: example(
            {**NEW_TOKEN_EXAMPLE, "workspace_id": WORKSPACE_EXAMPLE},
            description="The token.",
            headers={"Location": "Path of the token."},
        ),
        **errors(
            *REFUSALS,
            InvalidScope,
            InvalidExpiry,
            ScopeNotConfined,
            StepUpRequired,
            TokenLimitReached,
            OwnerNotActive,
        ),
    },
)
@session_only("a token must not make others")
async def create_service_account_token(
    request: Request, body: BotTokenCreate, account: AdministeredAccount, caller: RecentlyProven, write: Writing
) -> Response:
    account_id = account["account_id"]
    new = await api_tokens.create_token(
        write.session,
        owner_id=account_id,
        caller=caller,
        wanted=body,
        workspace_id=account["workspace_id"],
        terms=request.app.state.api_token_terms,
    )
    return told_once(write, new, collection=f"{router.prefix}/{account_id}/tokens")


@router.get(
    "/{account_id}/tokens",
    summary="List the API tokens of a service account",
    description="All that were not revoked, the newest first. Expired ones are shown for 30 days.",
    response_model=PageEnvelope[TokenOut],
    responses={
        200: page_example(BOT_TOKEN_EXAMPLE, description="One page of tokens."),
        **errors(*REFUSALS, PageTooDeep),
    },
)
@session_only("a token must not learn of others")
async def list_service_account_tokens(
    request: Request, account: AdministeredAccount, connection: PrimaryConnection, paging: PagesQuery
) -> Response:
    return await token_page(request, connection, account["account_id"], paging)


@router.delete(
    "/{account_id}/tokens/{token_id}",
    summary="Revoke an API token of a service account",
    description="It stops working everywhere within two seconds. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The token is revoked."),
        204: {"description": "Revoked; asked for with `Prefer: return=minimal`."},
        **errors(*REFUSALS, ApiTokenNotFound),
    },
)
@session_only("a token must not end others")
async def revoke_service_account_token(
    token_id: TokenId, account: AdministeredAccount, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal
) -> Response:
    await api_tokens.revoke_token(write.session, owner_id=account["account_id"], token_id=token_id, caller=caller)
    return write.no_content(NO_STORE) if minimal else write.reply(None, headers=NO_STORE)
