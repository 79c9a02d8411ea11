from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, WriteSession, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import public, session_only
from fastapi import Request, Response

from auth_service.oidc import repository, service
from auth_service.oidc.access import KnownProvider, ProviderOfCaller, ReachedProvider
from auth_service.oidc.errors import (
    IdentityNotFound,
    IdentityProviderUnavailable,
    LastWayIn,
    OidcEmailTaken,
    OidcEmailUnverified,
    OidcIdentityLimit,
    OidcIdentityTaken,
    OidcIdentityUnlinked,
    OidcRefused,
    OidcSignUpClosed,
    ProviderNotFound,
    RedirectUriUnknown,
)
from auth_service.oidc.schemas import (
    FLOW_EXAMPLE,
    IDENTITY_EXAMPLE,
    PROVIDER_EXAMPLE,
    FlowCompletion,
    FlowOut,
    IdentityOut,
    ProviderOut,
)
from auth_service.path_ids import IdentityId
from auth_service.proofs.errors import MfaRequired
from auth_service.sessions.access import RecentlyProven
from auth_service.sessions.endpoints import tokens_of
from auth_service.sessions.errors import StepUpRequired
from auth_service.sessions.schemas import TOKENS_EXAMPLE, TokensOut
from auth_service.sessions.service import Grant
from auth_service.users.errors import ACCOUNT_REFUSALS

router = APIRouter(prefix="/api/v1/auth/oidc", tags=["single sign-on"])

COMPLETED = example(TOKENS_EXAMPLE, description="The tokens of the new session; of a linking flow, the identity.")
COMPLETED["content"]["application/json"] = {
    "examples": {
        "login": {"value": COMPLETED["content"]["application/json"]["example"]},
        "link": {"value": example(IDENTITY_EXAMPLE, description="")["content"]["application/json"]["example"]},
    }
}


@router.get(
    "/providers",
    summary="List the identity providers",
    description="Those that one may log in with here, in the order in which they are configured.",
    response_model=Envelope[list[ProviderOut]],
    responses={200: example([PROVIDER_EXAMPLE], description="The providers; perhaps none.")},
)
@public("nobody is logged in before logging in")
async def list_providers(request: Request) -> Response:
    configs = request.app.state.identity_providers.configs.values()
    return reply([ProviderOut(id=one.id, name=one.name) for one in configs])


@router.get(
    "/identities",
    summary="List the own linked identities",
    description="What opens this account beside a password, the oldest first. There are at most 20.",
    response_model=Envelope[list[IdentityOut]],
    responses={200: example([IDENTITY_EXAMPLE], description="The identities.")},
)
@session_only("an account is its owner's, not a program's")
async def list_identities(caller: CurrentPrincipal, connection: PrimaryConnection) -> Response:
    rows = await repository.list_of(connection, caller.user_id)
    return reply([IdentityOut.of(row) for row in rows])


@router.delete(
    "/identities/{identity_id}",
    summary="Unlink an identity",
    description=(
        "It opens the account no more, also not by its address, until it is linked again; sessions that it opened go "
        "on. Needs a recent proof. The last way into an account can't be removed. `Prefer: return=minimal` gets 204 "
        "instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The identity has been unlinked."),
        204: {"description": "Unlinked; asked for with `Prefer: return=minimal`."},
        **errors(IdentityNotFound, LastWayIn, StepUpRequired),
    },
)
@session_only("an account is its owner's, not a program's")
async def unlink_identity(
    request: Request, identity_id: IdentityId, caller: RecentlyProven, write: Writing, minimal: WantsMinimal
) -> Response:
    state = request.app.state
    await service.unlink(
        write.session,
        identity_id=identity_id,
        caller=caller,
        providers=state.identity_providers.configs,
        mail_ring=state.mail_ring,
    )
    if minimal:
        return write.no_content(NO_STORE)
    return write.reply(None, headers=NO_STORE)


@router.post(
    "/{provider}/start",
    status_code=201,
    summary="Begin a login at an identity provider",
    description=(
        "Gives the address to send the browser to. It comes back to `redirect_uri` with `code` and `state`, which "
        "complete the login together with `flow_token`: within ten minutes, once, and by whoever began it."
    ),
    response_model=Envelope[FlowOut],
    responses={
        201: example(FLOW_EXAMPLE, description="The flow that has begun."),
        **errors(ProviderNotFound, RedirectUriUnknown, IdentityProviderUnavailable),
    },
)
@public("this is how an identity is obtained")
async def start_flow(request: Request, reached: ReachedProvider, session: WriteSession) -> Response:
    flow = await service.begin_flow(
        session,
        config=reached.config,
        authorization_endpoint=reached.authorization_endpoint,
        redirect_uri=reached.redirect_uri,
        terms=request.app.state.oidc_terms,
    )
    return reply(flow, status=201, headers=NO_STORE)


@router.post(
    "/{provider}/link",
    status_code=201,
    summary="Begin to link an identity",
    description=(
        "As a login there begins, but for the account that is logged in: completing the flow links whoever logs in at "
        "the provider, and answers the identity instead of tokens. Needs a recent proof, and the session has to last "
        "until then."
    ),
    response_model=Envelope[FlowOut],
    responses={
        201: example(FLOW_EXAMPLE, description="The flow that has begun."),
        **errors(ProviderNotFound, RedirectUriUnknown, IdentityProviderUnavailable, StepUpRequired),
    },
)
@session_only("an account is its owner's, not a program's")
async def start_link(request: Request, reached: ProviderOfCaller, caller: RecentlyProven, write: Writing) -> Response:
    flow = await service.begin_flow(
        write.session,
        config=reached.config,
        authorization_endpoint=reached.authorization_endpoint,
        redirect_uri=reached.redirect_uri,
        terms=request.app.state.oidc_terms,
        caller=caller,
    )
    kept = flow.model_copy(update={"flow_token": None})
    return write.reply(flow, status=201, headers=NO_STORE, kept=kept)


@router.post(
    "/{provider}/complete",
    summary="Complete a login or a link",
    description=(
        "Exchanges the code, and logs in as whom the provider proves. A new identity opens the account whose address "
        "is confirmed here and by the provider, or a new one. A second factor may be needed, too. Whatever the "
        "outcome, the flow has been used up."
    ),
    response_model=Envelope[TokensOut | IdentityOut],
    responses={
        200: COMPLETED,
        **errors(
            OidcRefused,
            OidcEmailUnverified,
            OidcSignUpClosed,
            MfaRequired,
            *ACCOUNT_REFUSALS,
            ProviderNotFound,
            OidcEmailTaken,
            OidcIdentityTaken,
            OidcIdentityUnlinked,
            OidcIdentityLimit,
            IdentityProviderUnavailable,
        ),
    },
)
@public("the code and the flow's token are the credentials")
async def complete_flow(
    request: Request, provider: KnownProvider, body: FlowCompletion, session: WriteSession
) -> Response:
    state = request.app.state
    outcome = await service.complete_flow(
        session, body=body, provider=provider, primary=state.database.primary, terms=state.oidc_terms
    )
    if isinstance(outcome, Grant):
        return reply(await tokens_of(request, session, outcome), headers=NO_STORE)
    return reply(IdentityOut.of(outcome), headers=NO_STORE)
