"""Use cases of single sign-on: begin a flow, complete it, link and unlink."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog
from chassis.clock import utcnow
from chassis.errors import AppError
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing, SealError
from chassis.secret_tokens import token_digest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.oidc import repository
from auth_service.oidc.errors import (
    IdentityNotFound,
    LastWayIn,
    OidcEmailTaken,
    OidcEmailUnverified,
    OidcIdentityLimit,
    OidcIdentityTaken,
    OidcIdentityUnlinked,
    OidcRefused,
    OidcSignUpClosed,
)
from auth_service.oidc.rules import (
    FLOW_LIFETIME,
    MAX_IDENTITIES,
    NotProven,
    Person,
    authorization_url,
    challenge_of,
)
from auth_service.oidc.schemas import FlowCompletion, FlowOut
from auth_service.passkeys import service as passkeys
from auth_service.passkeys.service import PasskeyTerms
from auth_service.proofs import service as proofs
from auth_service.provider_settings import ProviderConfig
from auth_service.second_factors.service import FactorTerms
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Grant, Proof, SessionTerms
from auth_service.users import repository as users
from auth_service.users import service as accounts
from auth_service.users.policies import refusal_of

log = structlog.get_logger()

FIRST = Proof(("oidc",))
HINT = "Log in, and call POST /api/v1/auth/oidc/{provider}/link."


class Provider(Protocol):
    """Proves people; see identity_providers."""

    @property
    def config(self) -> ProviderConfig: ...

    async def prove(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, named_issuer: str | None
    ) -> Person: ...


@dataclass(frozen=True, slots=True)
class OidcTerms:
    """What single sign-on needs of the service: `ring` seals what a flow keeps, `mail_ring` mails."""

    ring: KeyRing
    mail_ring: KeyRing
    sessions: SessionTerms
    factors: FactorTerms
    passkeys: PasskeyTerms


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn at random for a flow: nobody can guess it."""

    state: str
    nonce: str
    verifier: str
    flow_token: str


async def begin_flow(
    session: AsyncSession,
    *,
    config: ProviderConfig,
    authorization_endpoint: str,
    redirect_uri: str,
    terms: OidcTerms,
    caller: Principal | None = None,
) -> FlowOut:
    """Begin a login, or a link for `caller`; the redirect address is one of those that are configured.

    The state and the flow's token are kept by their SHA-256, what is sent with the code sealed.
    """
    drawn, now = Drawn(*(secrets.token_urlsafe(32) for _ in range(4))), utcnow()
    values = {
        **_kept(drawn, terms.ring),
        "provider": config.id,
        "redirect_uri": redirect_uri,
        "account_id": caller.user_id if caller else None,
        "session_id": caller.session_id if caller else None,
        "created_at": now,
        "expires_at": now + FLOW_LIFETIME,
    }
    await repository.add_flow(session, values)
    return FlowOut(
        authorization_url=authorization_url(authorization_endpoint, _asked(drawn, config, redirect_uri)),
        state=drawn.state,
        flow_token=drawn.flow_token,
        expires_at=now + FLOW_LIFETIME,
    )


async def complete_flow(
    session: AsyncSession, *, body: FlowCompletion, provider: Provider, primary: AsyncEngine, terms: OidcTerms
) -> Grant | RowMapping:
    """Return the session of a login, or the identity that a linking flow has linked.

    The flow is used up first, in a transaction of its own: whatever comes of it, it is not tried twice, and no
    connection is held while the provider is asked. Raises OidcRefused for what proves nothing,
    IdentityProviderUnavailable, and what `_log_in` and `_link` raise.
    """
    flow: RowMapping | None = None
    try:
        flow = await _take_flow(primary, body.state)
        _check_flow(flow, body, provider.config.id)
        person = await provider.prove(
            code=body.code,
            verifier=_open(terms.ring, flow, "verifier_sealed"),
            nonce=_open(terms.ring, flow, "nonce_sealed"),
            redirect_uri=flow["redirect_uri"],
            named_issuer=body.iss,
        )
        await repository.lock_subject(session, **_subject(provider.config, person))
        if flow["account_id"] is not None:
            return await _link(session, flow=flow, config=provider.config, person=person, terms=terms)
    except NotProven as error:
        await _note_refusal(session, provider.config, str(error), account_id=flow["account_id"] if flow else None)
        raise OidcRefused(log_detail=str(error)) from None
    return await _log_in(session, config=provider.config, person=person, terms=terms)


async def unlink(
    session: AsyncSession,
    *,
    identity_id: UUID,
    caller: Principal,
    providers: Mapping[str, ProviderConfig],
    mail_ring: KeyRing,
) -> None:
    """Remove an identity of the caller's. Raises IdentityNotFound, or LastWayIn when nobody could log in any more.

    `providers` are those that there are: an identity of one that has gone opens nothing.
    """
    account = await sessions.lock_caller(session, caller)
    gone = await repository.remove(session, account_id=caller.user_id, identity_id=identity_id)
    if gone is None:
        raise IdentityNotFound
    if not await passkeys.has_way_in(session, account, providers=providers):
        raise LastWayIn
    await repository.shut_out(session, gone=gone, now=utcnow())
    await proofs.void_tickets(session, user_id=caller.user_id, method="oidc")
    details = {"provider": gone["provider"], "identity_id": str(identity_id)}
    await audit.record(session, AuditAction.OIDC_UNLINKED, subject_id=caller.user_id, actor=caller, details=details)
    config = providers.get(gone["provider"])
    named = {"provider": config.name if config else gone["provider"]}
    await request_mail(session, ring=mail_ring, kind=MailKind.SSO_UNLINKED, account=account, details=named)


async def count_identities(session: AsyncSession, *, account_id: UUID) -> int:
    """Return how many identities an account has."""
    return await repository.count_of(session, account_id)


async def unlink_all(session: AsyncSession, *, account_id: UUID) -> None:
    """Take all identities from a locked account."""
    await repository.remove_all(session, account_id)


def _kept(drawn: Drawn, ring: KeyRing) -> dict[str, Any]:
    """Return what is stored of what was drawn for a flow."""
    flow_id = uuid7()
    return {
        "id": flow_id,
        "state_hash": token_digest(drawn.state),
        "flow_token_hash": token_digest(drawn.flow_token),
        "verifier_sealed": ring.seal(drawn.verifier.encode(), place=_place("verifier_sealed", flow_id)),
        "nonce_sealed": ring.seal(drawn.nonce.encode(), place=_place("nonce_sealed", flow_id)),
    }


def _asked(drawn: Drawn, config: ProviderConfig, redirect_uri: str) -> dict[str, str]:
    """Return what the browser asks the provider (OpenID Connect Core, section 3.1.2.1, and RFC 7636)."""
    return {
        "response_type": "code",
        "client_id": config.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(config.scopes),
        "state": drawn.state,
        "nonce": drawn.nonce,
        "code_challenge": challenge_of(drawn.verifier),
        "code_challenge_method": "S256",
    }


async def _take_flow(primary: AsyncEngine, state: str) -> RowMapping:
    """Use a flow up, and return it. Raises NotProven when there is none to use."""
    async with primary.begin() as connection:
        flow = await repository.take_flow(connection, token_digest(state), now=utcnow())
    if flow is None:
        raise NotProven("the state is unknown, used or expired")
    return flow


def _check_flow(flow: RowMapping, body: FlowCompletion, provider_id: str) -> None:
    """Raise NotProven unless the flow is one at this provider, and of whoever completes it."""
    if flow["provider"] != provider_id:
        raise NotProven("the state is of a flow at another provider")
    if not hmac.compare_digest(flow["flow_token_hash"], token_digest(body.flow_token)):
        raise NotProven("the flow was begun by somebody else")


async def _log_in(session: AsyncSession, *, config: ProviderConfig, person: Person, terms: OidcTerms) -> Grant:
    """Start a session of the account that a proved person may enter, perhaps a new one.

    An account that is new to the identity is linked only when its owner has come in: not before a second factor, so
    that then there is no link. Raises what users.policies has against the account, MfaRequired, and what
    `_account_for` and `_add_identity` raise.
    """
    identity, is_new = await repository.find_subject(session, **_subject(config, person)), False
    if identity is not None:
        account_id = identity["account_id"]
    else:
        account_id, is_new = await _account_for(session, config, person)
    account = await sessions.admit(session, account_id=account_id, proof=FIRST, terms=terms.sessions)
    if identity is not None and await repository.find_subject(session, **_subject(config, person)) is None:
        unlinked = OidcRefused(log_detail="the identity was unlinked meanwhile")
        raise await _refused(session, config, unlinked, account=account)
    proof = await _prove_factor(session, account, person, terms)
    if identity is not None:
        await repository.note_use(session, identity["id"], email=_shown(person), now=utcnow())
    else:
        await _add_identity(session, account=account, config=config, person=person, used=True)
        if not is_new:
            await _tell_link(session, account, config, terms)
    return await sessions.start_session(session, account=account, proof=proof, terms=terms.sessions)


async def _account_for(session: AsyncSession, config: ProviderConfig, person: Person) -> tuple[UUID, bool]:
    """Return the account for somebody whose identity is new here, and whether it was made just now.

    By an address that the provider vouches for, and only where its owner confirmed it here, too: who has merely
    signed up with it may be waiting for its owner to come. Raises OidcEmailUnverified, OidcEmailTaken,
    OidcIdentityUnlinked, OidcSignUpClosed.
    """
    if person.address is None or not person.address_verified:
        raise await _refused(session, config, OidcEmailUnverified())
    account = await users.lock_by_email(session, person.address.canonical)
    if account is None:
        if not config.allow_sign_up:
            raise await _refused(session, config, OidcSignUpClosed())
        created = await accounts.register_proven(session, address=person.address, display_name=person.display_name)
        if created is not None:
            return created["id"], True
        account = await users.lock_by_email(session, person.address.canonical)
    if account is None or account["email_verified_at"] is None:
        refusal = OidcEmailTaken(hint=HINT)
        raise await _refused(session, config, refusal, account=account)
    if await repository.is_shut_out(session, account_id=account["id"], **_subject(config, person)):
        raise await _refused(session, config, OidcIdentityUnlinked(hint=HINT), account=account)
    return account["id"], False


async def _link(
    session: AsyncSession, *, flow: RowMapping, config: ProviderConfig, person: Person, terms: OidcTerms
) -> RowMapping:
    """Link a proved person to the account that began the flow, while the session that did so lasts.

    Whoever holds the flow's token is that session's holder: it was given to nobody else. Raises NotProven,
    OidcIdentityTaken, OidcIdentityLimit.
    """
    account = await users.lock(session, flow["account_id"])
    starter = Principal(flow["account_id"], flow["session_id"])
    within = terms.sessions.step_up + FLOW_LIFETIME
    if account is None or refusal_of(account, verification_required=False) is not None:
        raise NotProven("the account that began to link may have no session any more")
    if not await sessions.is_recently_proven(session, caller=starter, within=within):
        raise NotProven("the session that began to link has ended")
    identity = await repository.find_subject(session, **_subject(config, person))
    if identity is not None:
        if identity["account_id"] != account["id"]:
            raise await _refused(session, config, OidcIdentityTaken(), account=account)
        return identity
    added = await _add_identity(session, account=account, config=config, person=person, used=False)
    await repository.let_in(session, account_id=account["id"], **_subject(config, person))
    await _tell_link(session, account, config, terms)
    return added


async def _add_identity(
    session: AsyncSession, *, account: RowMapping, config: ProviderConfig, person: Person, used: bool
) -> RowMapping:
    """Link an identity, which nobody has, to a locked account. Raises OidcIdentityLimit."""
    if await repository.count_of(session, account["id"]) >= MAX_IDENTITIES:
        raise await _refused(session, config, OidcIdentityLimit(), account=account)
    now = utcnow()
    identity = await repository.add_identity(
        session,
        {
            "id": uuid7(),
            "account_id": account["id"],
            **_subject(config, person),
            "shown_email": _shown(person),
            "created_at": now,
            "last_used_at": now if used else None,
        },
    )
    details = {"provider": config.id, "identity_id": str(identity["id"])}
    await audit.record(
        session, AuditAction.OIDC_LINKED, subject_id=account["id"], actor_id=account["id"], details=details
    )
    return identity


async def _prove_factor(session: AsyncSession, account: RowMapping, person: Person, terms: OidcTerms) -> Proof:
    """Return the proof of somebody who may enter. Raises MfaRequired unless the provider has asked (`amr`)."""
    if person.second_factor:
        return Proof(FIRST.methods, second_factor=True)
    return await proofs.prove_second_factor(
        session, account=account, otp=None, factor_terms=terms.factors, passkey_terms=terms.passkeys, first=FIRST
    )


async def _tell_link(session: AsyncSession, account: RowMapping, config: ProviderConfig, terms: OidcTerms) -> None:
    details = {"provider": config.name}
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.SSO_LINKED, account=account, details=details)


async def _refused(
    session: AsyncSession, config: ProviderConfig, refusal: AppError, *, account: RowMapping | None = None
) -> AppError:
    """Note a refusal, and return it to be raised."""
    await _note_refusal(session, config, refusal.code, account_id=account["id"] if account else None)
    return refusal


async def _note_refusal(
    session: AsyncSession, config: ProviderConfig, reason: str, *, account_id: UUID | None = None
) -> None:
    log.info("oidc.refused", provider=config.id, reason=reason)
    details = {"provider": config.id, "reason": reason}
    await audit.record(session, AuditAction.OIDC_REFUSED, subject_id=account_id, outcome="refused", details=details)


def _subject(config: ProviderConfig, person: Person) -> dict[str, str]:
    return {"provider": config.id, "issuer": config.issuer, "subject": person.subject}


def _shown(person: Person) -> str | None:
    return person.address.display if person.address else None


def _place(column: str, flow_id: UUID) -> str:
    return f"oidc_flow|{column}|{flow_id}"


def _open(ring: KeyRing, flow: RowMapping, column: str) -> str:
    try:
        return ring.open(flow[column], place=_place(column, flow["id"])).decode()
    except SealError:
        raise NotProven("what the flow keeps can't be opened") from None
