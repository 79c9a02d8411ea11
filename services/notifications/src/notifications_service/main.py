"""The API process of the notifications service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import current_schema_check
from chassis.db.sealed import check_sealed
from chassis.db.transactions import transaction
from chassis.egress.client import Egress
from chassis.process import run_process
from chassis.tokens import IdentityVerifier
from chassis.web.app import create_app as create_service_app
from chassis.web.health import Health
from chassis.web.identity import IdentityCache
from fastapi import FastAPI

from notifications_service import settings as settings_module
from notifications_service.chat import endpoints as chat
from notifications_service.chat.sender import ChatDriver
from notifications_service.db import ROOT, SCHEMA, IdempotencyKey
from notifications_service.deliveries import endpoints as deliveries
from notifications_service.devices import endpoints as devices
from notifications_service.emails import endpoints as emails
from notifications_service.inbox import endpoints as inbox
from notifications_service.preferences import endpoints as preferences
from notifications_service.realtime import endpoints as realtime
from notifications_service.realtime.hub import Hub, Limits
from notifications_service.realtime.service import TasksClient
from notifications_service.realtime.streaming import OpenStreams
from notifications_service.recording import endpoints as recording
from notifications_service.recording.sender import RecordingDriver
from notifications_service.registry import EVENTS
from notifications_service.sealed import SEALED
from notifications_service.settings import ApiSettings, egress_rules
from notifications_service.sight.access import sees_shown
from notifications_service.terms import ChannelTerms
from notifications_service.wake_ups import open_redis
from notifications_service.webhook_deliveries import endpoints as webhook_deliveries
from notifications_service.webhooks import endpoints as webhooks

ROUTERS = (
    realtime.router,  # the first that is looked at, since thousands of sockets come at once when they come again
    inbox.router,
    preferences.router,
    emails.channels,
    emails.unsubscribing,
    deliveries.router,
    devices.router,
    chat.router,
    recording.router,
    webhooks.router,
    webhook_deliveries.router,
    realtime.streams,
)
TITLE = "Taskloom notifications"
FIELD_CODES = {
    "SCOPE_ID": "A workspace or project needs its id, and `all` has none.",
    "DIGEST_IS_MAIL": "A digest comes by `email` alone.",
    "QUIET_HOURS_EMPTY": "Quiet hours begin and end at different times.",
    "KINDS_OR_EVENTS": "Your own connection has kinds, and one of a workspace or project events.",
    "TOKEN_OR_SUBSCRIPTION": "`webpush` has a subscription, and the others a token.",
    "INVALID_KEY": "This is no key of a subscription to Web Push.",
    "UNKNOWN_SCOPE": "A scope is me, workspace:<id>, project:<id> or task:<id>; several are joined by commas.",
    "ONE_SCOPE": "Name one of workspace, project, task and me.",
    "REPEATED_PREFERENCE": "There are two lines for one kind, channel and scope.",
}


def create_app(settings: ApiSettings, *, database: Database, health: Health) -> FastAPI:
    """Make the app with everything that its sockets need; the hub runs as long as the app."""
    own = settings.notifications
    server = open_redis(settings.redis.url.get_secret_value())
    egress = Egress(egress_rules(settings))
    hub = Hub(database, server, Limits(own.max_sockets, own.max_sockets_per_user))
    streams = OpenStreams(health, beat_seconds=own.beat_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with transaction(database) as session:
            await check_sealed(session, SEALED, ring=settings.sealing.ring())
        stop = asyncio.Event()
        running = [asyncio.create_task(one.run(stop)) for one in (hub, streams)]
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
            app.state.tasks = TasksClient(session, own.tasks_url)
            yield
        stop.set()
        await asyncio.gather(*running)
        await egress.close()
        await server.aclose()

    return create_service_app(
        title=TITLE,
        routers=ROUTERS,
        field_codes=FIELD_CODES,
        events=EVENTS,
        health=health,
        lifespan=lifespan,
        state={
            "database": database,
            "identities": IdentityCache(IdentityVerifier(settings.identity.verify_key.get_secret_value())),
            "cursors": CursorSigner(settings.cursors.secret.get_secret_value()),
            "hub": hub,
            "streams": streams,
            "idempotency_table": table_of(IdempotencyKey),
            "sees_workspaces": sees_shown,
            "blocked_seconds": own.blocked_seconds,
            "channels": channel_terms(settings, database, egress),
        },
    )


def channel_terms(settings: ApiSettings, database: Database, egress: Egress) -> ChannelTerms:
    """Return how channels are set up."""
    own, ring = settings.channels, settings.sealing.ring()
    posting = ChatDriver(ring, egress)
    return ChannelTerms(
        ring=ring,
        egress=egress,
        rules=egress_rules(settings),
        chat=RecordingDriver(database, posting) if own.records else posting,
        devices=own.devices,
        vapid_public_key=own.vapid_public_key,
        records=own.records,
    )


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, which needs no settings."""
    return create_service_app(
        title=TITLE, routers=ROUTERS, field_codes=FIELD_CODES, health=Health(), state={}
    ).openapi()


def run_api(_arguments: Sequence[str]) -> int:
    """Serve the API until told to stop."""
    settings = settings_module.load_api()
    database = open_database(settings.database, application_name="notifications-api")
    health = Health(required={"database": current_schema_check(database, schema=SCHEMA, root=ROOT)})
    app = create_app(settings, database=database, health=health)
    return run_process(
        service="notifications", settings=settings.process, health=health, app=app, closing=[database.close]
    )
