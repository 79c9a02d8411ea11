"""The API process of the attachments service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import current_schema_check
from chassis.process import run_process
from chassis.tokens import IdentityVerifier
from chassis.web.app import create_app as create_service_app
from chassis.web.health import Health
from chassis.web.identity import IdentityCache
from fastapi import FastAPI

from attachments_service import settings as settings_module
from attachments_service.attachments import endpoints as attachments
from attachments_service.db import ROOT, SCHEMA, IdempotencyKey
from attachments_service.locations.service import Locations
from attachments_service.registry import EVENTS
from attachments_service.settings import Settings
from attachments_service.storage.port import Storage
from attachments_service.storage.store import ObstoreStorage

ROUTERS = (attachments.of_task, attachments.router)
TITLE = "Taskloom attachments"


def create_app(settings: Settings, *, database: Database, storage: Storage, health: Health) -> FastAPI:
    """Make the app with everything that its requests need."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
            app.state.locations = Locations(database, session, settings.attachments.tasks_url)
            yield

    return create_service_app(
        title=TITLE,
        routers=ROUTERS,
        events=EVENTS,
        health=health,
        lifespan=lifespan,
        state={
            "database": database,
            "identities": IdentityCache(IdentityVerifier(settings.identity.verify_key.get_secret_value())),
            "idempotency_table": table_of(IdempotencyKey),
            "storage": storage,
            "max_bytes": settings.attachments.max_bytes,
            "max_per_task": settings.attachments.max_per_task,
        },
    )


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, which needs no settings."""
    return create_service_app(title=TITLE, routers=ROUTERS, health=Health(), state={}).openapi()


def run_api(_arguments: Sequence[str]) -> int:
    """Serve the API until told to stop."""
    settings = settings_module.load()
    database = open_database(settings.database, application_name="attachments-api")
    storage = ObstoreStorage(settings.storage.url)
    schema = current_schema_check(database, schema=SCHEMA, root=ROOT)
    health = Health(required={"database": schema, "storage": storage.check}, reported=database.reported)
    app = create_app(settings, database=database, storage=storage, health=health)
    return run_process(
        service="attachments",
        settings=settings.process,
        health=health,
        app=app,
        work=[database.watch_replica],
        closing=[database.close],
    )
