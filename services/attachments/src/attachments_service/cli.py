"""The command `attachments-service`: every role of the service."""

import asyncio
from collections.abc import Sequence

from chassis.background import Background, background_roles
from chassis.db.base import table_of
from chassis.db.batches import go_through
from chassis.db.engine import open_database
from chassis.db.migrations import current_schema_check
from chassis.roles import api_roles, run_role
from chassis.settings import DatabaseSettings

from attachments_service import settings
from attachments_service.attachments.service import tell_files
from attachments_service.db import ROOT, SCHEMA, Inbox
from attachments_service.relay import OUTBOX
from attachments_service.scheduler import jobs
from attachments_service.settings import Settings
from attachments_service.storage.store import ObstoreStorage
from attachments_service.worker import CONSUMERS

SERVICE = "attachments"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one role; see `attachments-service --help`."""
    roles = {
        **api_roles("attachments_service.main"),
        "tell-attachments": tell_attachments,
        **background_roles(open_background, root=ROOT, queues=[one.queue for one in CONSUMERS]),
    }
    return run_role(SERVICE, roles, argv)


def open_background() -> tuple[Settings, Background]:
    """Say what there is to do beside the API."""
    loaded = settings.load()
    background = Background(
        service=SERVICE,
        inbox=table_of(Inbox),
        consumers=CONSUMERS,
        sources=(OUTBOX,),
        jobs=jobs(ObstoreStorage(loaded.storage.url)),
        checks=lambda database: {"database": current_schema_check(database, schema=SCHEMA, root=ROOT)},
    )
    return loaded, background


def tell_attachments(_arguments: Sequence[str]) -> int:
    """Tell other services again of every file, as one does that began to listen later; it may be repeated."""
    asyncio.run(_tell_attachments(settings.load().database))
    return 0


async def _tell_attachments(database_settings: DatabaseSettings) -> None:
    database = open_database(database_settings, application_name="attachments-tell-attachments")
    try:
        await go_through(database, tell_files)
    finally:
        await database.close()
