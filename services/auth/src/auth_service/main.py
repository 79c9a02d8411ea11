"""The API process of the auth service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import current_schema_check
from chassis.db.transactions import transaction
from chassis.process import run_process
from chassis.sealing import KeyRing
from chassis.tokens import IdentityVerifier
from chassis.web.app import create_app as create_service_app
from chassis.web.health import Health
from chassis.web.identity import IdentityCache
from fastapi import FastAPI

from auth_service import settings as settings_module
from auth_service.administration import endpoints as administration
from auth_service.administration.service import AdministrationTerms
from auth_service.api_tokens import endpoints as api_tokens
from auth_service.api_tokens.access import sees_workspaces
from auth_service.api_tokens.rules import Peppers
from auth_service.api_tokens.service import TokenTerms
from auth_service.audit import endpoints as audit
from auth_service.db import ROOT, SCHEMA, IdempotencyKey
from auth_service.exports import endpoints as exports
from auth_service.identity_providers import IdentityProviders
from auth_service.leaving import endpoints as leaving
from auth_service.leaving.service import LeavingTerms
from auth_service.oidc import endpoints as oidc
from auth_service.oidc.service import OidcTerms
from auth_service.passkeys import endpoints as passkeys
from auth_service.passkeys.service import PasskeyTerms
from auth_service.password_changes import endpoints as password_changes
from auth_service.passwords.service import PasswordHasher
from auth_service.proofs import endpoints as proofs
from auth_service.registry import EVENTS
from auth_service.revocations import endpoints as revocations
from auth_service.second_factors import endpoints as second_factors
from auth_service.second_factors.service import FactorTerms, check_seeds
from auth_service.service_accounts import endpoints as service_accounts
from auth_service.sessions import endpoints as sessions
from auth_service.settings import AuthSettings, Settings
from auth_service.tasks_client import TasksClient
from auth_service.terms import session_terms
from auth_service.tokens import endpoints as tokens
from auth_service.tokens.service import AccessTokenIssuer, AccessTokenTerms, ensure_keys
from auth_service.users import endpoints as users
from auth_service.verification import endpoints as verification

ROUTERS = (
    administration.router,
    audit.own,
    audit.of_all,
    users.registration,
    verification.router,
    password_changes.router,
    sessions.router,
    sessions.form_router,
    proofs.router,
    second_factors.router,
    passkeys.router,
    users.router,
    exports.router,
    leaving.reactivation,
    leaving.router,
    oidc.router,
    tokens.router,
    api_tokens.router,
    api_tokens.internal,
    service_accounts.router,
    revocations.internal,
)
FIELD_CODES = {
    "INVALID_NETWORK": "This is neither an address nor a network in CIDR form.",
    "ONE_PROOF": "Give either otp or credential.",
}
TITLE = "Taskloom auth"


@dataclass(frozen=True, slots=True)
class Opened:
    """What is opened with the app, or works on keys, and is shared by its requests."""

    ring: KeyRing
    mail_ring: KeyRing
    access_tokens: AccessTokenIssuer
    passwords: PasswordHasher
    identity_providers: IdentityProviders


def create_app(
    settings: Settings, *, database: Database, health: Health, passwords: PasswordHasher | None = None
) -> FastAPI:
    """Make the app with everything that its requests need. Its start makes and opens the signing keys."""
    opened = opened_with(settings, passwords or PasswordHasher())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with transaction(database) as session:
            await ensure_keys(session, opened.ring)
            await check_seeds(session, opened.ring)
            await opened.access_tokens.current_key(session)
        await opened.identity_providers.open()
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as client:
            app.state.tasks = TasksClient(client, settings.auth.tasks_url)
            yield
        await opened.identity_providers.close()
        opened.passwords.close()

    state = {"database": database, **shared(settings, opened), **all_terms(settings, opened)}
    return create_service_app(
        title=TITLE,
        routers=ROUTERS,
        field_codes=FIELD_CODES,
        events=EVENTS,
        health=health,
        lifespan=lifespan,
        state=state,
    )


def opened_with(settings: Settings, passwords: PasswordHasher) -> Opened:
    """Return what the app is opened with."""
    ring = KeyRing.parse(settings.auth.encryption_keys.get_secret_value())
    return Opened(
        ring=ring,
        mail_ring=settings.mail_sealing.ring(),
        access_tokens=AccessTokenIssuer(ring, AccessTokenTerms(settings.tokens.issuer, settings.tokens.audience)),
        passwords=passwords,
        identity_providers=IdentityProviders(settings.oidc.oidc_providers),
    )


def shared(settings: Settings, opened: Opened) -> dict[str, Any]:
    """Return what requests find in the app's state to work with."""
    return {
        "identities": IdentityCache(IdentityVerifier(settings.identity.verify_key.get_secret_value())),
        "idempotency_table": table_of(IdempotencyKey),
        "passwords": opened.passwords,
        "password_min_length": settings.auth.password_min_length,
        "access_tokens": opened.access_tokens,
        "sees_workspaces": sees_workspaces,
        "mail_ring": opened.mail_ring,
        "identity_providers": opened.identity_providers,
        "cursors": CursorSigner(settings.cursors.secret.get_secret_value()),
    }


def all_terms(settings: Settings, opened: Opened) -> dict[str, Any]:
    """Return what holds for requests of each kind, as they find it in the app's state."""
    ring, mail_ring, rules = opened.ring, opened.mail_ring, session_terms(settings.auth)
    factor_terms = FactorTerms(ring, mail_ring, rules.lifetimes)
    passkey_terms = PasskeyTerms(settings.passkeys.party(), mail_ring, rules.lifetimes)
    grace = timedelta(days=settings.auth.deletion_grace_days)
    return {
        "session_terms": rules,
        "factor_terms": factor_terms,
        "passkey_terms": passkey_terms,
        "oidc_terms": OidcTerms(ring, mail_ring, rules, factor_terms, passkey_terms),
        "api_token_terms": api_token_terms(settings.auth, ring, mail_ring),
        "leaving_terms": LeavingTerms(rules, grace, mail_ring, factor_terms),
        "administration_terms": AdministrationTerms(rules.lifetimes, mail_ring),
    }


def api_token_terms(settings: AuthSettings, ring: KeyRing, mail_ring: KeyRing) -> TokenTerms:
    """Return what holds for all API tokens."""
    return TokenTerms(
        peppers=Peppers.of(ring),
        mail_ring=mail_ring,
        longest=timedelta(days=settings.api_token_max_days),
        verification_required=settings.email_verification == "required",
    )


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, which needs no settings."""
    return create_service_app(
        title=TITLE, routers=ROUTERS, field_codes=FIELD_CODES, health=Health(), state={}
    ).openapi()


def run_api(_arguments: Sequence[str]) -> int:
    """Serve the API until told to stop."""
    settings = settings_module.load()
    database = open_database(settings.database, application_name="auth-api")
    health = Health(required={"database": current_schema_check(database, schema=SCHEMA, root=ROOT)})
    app = create_app(settings, database=database, health=health)
    return run_process(service="auth", settings=settings.process, health=health, app=app, closing=[database.close])
