"""The API process of the auth service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
from auth_service.revocations import endpoints as revocations
from auth_service.second_factors import endpoints as second_factors
from auth_service.second_factors.service import FactorTerms, check_seeds
from auth_service.service_accounts import endpoints as service_accounts
from auth_service.sessions import endpoints as sessions
from auth_service.sessions.service import Lifetimes, SessionTerms
from auth_service.settings import AuthSettings, Settings
from auth_service.tasks_client import TasksClient
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
TITLE = "Taskloom auth"


def create_app(settings: Settings, *, database: Database, health: Health) -> FastAPI:
    """Make the app with everything that its requests need. Its start makes and opens the signing keys."""
    ring = KeyRing.parse(settings.auth.encryption_keys.get_secret_value())
    terms = AccessTokenTerms(settings.tokens.issuer, settings.tokens.audience)
    access_tokens = AccessTokenIssuer(ring, terms)
    hasher = PasswordHasher()
    identity_providers = IdentityProviders(settings.oidc.oidc_providers)
    mail_ring = settings.mail_sealing.ring()
    sessions_terms = session_terms(settings.auth)

    factor_terms = FactorTerms(ring, mail_ring, sessions_terms.lifetimes)
    passkey_terms = PasskeyTerms(settings.passkeys.party(), mail_ring, sessions_terms.lifetimes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with transaction(database) as session:
            await ensure_keys(session, ring)
            await check_seeds(session, ring)
            await access_tokens.current_key(session)
        await identity_providers.open()
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as client:
            app.state.tasks = TasksClient(client, settings.auth.tasks_url)
            yield
        await identity_providers.close()
        hasher.close()

    return create_service_app(
        title=TITLE,
        routers=ROUTERS,
        health=health,
        lifespan=lifespan,
        state={
            "database": database,
            "identities": IdentityCache(IdentityVerifier(settings.identity.verify_key.get_secret_value())),
            "idempotency_table": table_of(IdempotencyKey),
            "passwords": hasher,
            "password_min_length": settings.auth.password_min_length,
            "session_terms": sessions_terms,
            "access_tokens": access_tokens,
            "sees_workspaces": sees_workspaces,
            "api_token_terms": api_token_terms(settings.auth, ring),
            "leaving_terms": leaving_terms(settings, factor_terms),
            "mail_ring": mail_ring,
            "identity_providers": identity_providers,
            "oidc_terms": OidcTerms(ring, mail_ring, sessions_terms, factor_terms, passkey_terms),
            "factor_terms": factor_terms,
            "administration_terms": administration_terms(settings),
            "cursors": CursorSigner(settings.cursors.secret.get_secret_value()),
            "passkey_terms": passkey_terms,
        },
    )


def session_terms(settings: AuthSettings) -> SessionTerms:
    """Return what holds for all sessions."""
    return SessionTerms(
        lifetimes=Lifetimes(
            timedelta(seconds=settings.access_token_ttl),
            timedelta(seconds=settings.refresh_idle_ttl),
            timedelta(seconds=settings.refresh_absolute_ttl),
        ),
        verification_required=settings.email_verification == "required",
        step_up=timedelta(seconds=settings.step_up_seconds),
    )


def api_token_terms(settings: AuthSettings, ring: KeyRing) -> TokenTerms:
    """Return what holds for all API tokens."""
    return TokenTerms(
        peppers=Peppers.of(ring),
        longest=timedelta(days=settings.api_token_max_days),
        verification_required=settings.email_verification == "required",
    )


def leaving_terms(settings: Settings, factors: FactorTerms) -> LeavingTerms:
    """Return what holds for all who leave."""
    grace = timedelta(days=settings.auth.deletion_grace_days)
    return LeavingTerms(session_terms(settings.auth), grace, settings.mail_sealing.ring(), factors)


def administration_terms(settings: Settings) -> AdministrationTerms:
    """Return what holds for all that administrators do."""
    return AdministrationTerms(session_terms(settings.auth).lifetimes, settings.mail_sealing.ring())


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, which needs no settings."""
    return create_service_app(title=TITLE, routers=ROUTERS, health=Health(), state={}).openapi()


def run_api(_arguments: Sequence[str]) -> int:
    """Serve the API until told to stop."""
    settings = settings_module.load()
    database = open_database(settings.database, application_name="auth-api")
    health = Health(required={"database": current_schema_check(database, schema=SCHEMA, root=ROOT)})
    app = create_app(settings, database=database, health=health)
    return run_process(service="auth", settings=settings.process, health=health, app=app, closing=[database.close])
