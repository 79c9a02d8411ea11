"""The command `tasks-service`: every role of the service."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from uuid import UUID

import orjson
from chassis.background import Background, background_roles, patient
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import current_schema_check
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.roles import api_roles, run_role
from chassis.settings import DatabaseSettings

from tasks_service import settings
from tasks_service.db import ROOT, SCHEMA, Inbox
from tasks_service.relay import CHANGE_LOG, OUTBOX
from tasks_service.scheduler import jobs
from tasks_service.search.errors import UnknownLanguage
from tasks_service.search.service import change_language
from tasks_service.settings import Settings
from tasks_service.worker import CONSUMERS, job_worker
from tasks_service.workspaces.service import create_workspace

SERVICE = "tasks"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one role; see `tasks-service --help`."""
    roles = {
        **api_roles("tasks_service.main"),
        "search-language": change_search_language,
        "seed": seed,
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
        sources=(CHANGE_LOG, OUTBOX),
        jobs=jobs(loaded),
        work=lambda database: [job_worker(loaded, database).run],
        checks=lambda database: {"database": current_schema_check(database, schema=SCHEMA, root=ROOT)},
    )
    return loaded, background


def change_search_language(arguments: Sequence[str]) -> int:
    """Search by the stems of another language; prints how many batches of documents were made again."""
    parser = argparse.ArgumentParser(prog="tasks-service search-language")
    parser.add_argument("language", help="such as english, german, french; one that PostgreSQL has")
    wanted = parser.parse_args(arguments)
    try:
        batches = asyncio.run(_change_search_language(settings.load().database, wanted.language))
    except UnknownLanguage as error:
        parser.error(f"{wanted.language}: {error}")
    sys.stdout.buffer.write(orjson.dumps({"language": wanted.language, "batches": batches}) + b"\n")
    return 0


async def _change_search_language(database_settings: DatabaseSettings, language: str) -> int:
    database = open_database(patient(database_settings), application_name="tasks-search-language")
    try:
        return await change_language(database, name=language)
    finally:
        await database.close()


def seed(arguments: Sequence[str]) -> int:
    """Make a shared workspace; print its id and its projects' ids as JSON."""
    parser = argparse.ArgumentParser(prog="tasks-service seed")
    parser.add_argument("--owner", type=UUID, required=True)
    parser.add_argument("--member", type=UUID, action="append", default=[])
    parser.add_argument("--name", required=True)
    parser.add_argument("--project", action="append", default=[])
    wanted = parser.parse_args(arguments)
    made = asyncio.run(_seed(settings.load().database, wanted))
    sys.stdout.buffer.write(orjson.dumps(made) + b"\n")
    return 0


async def _seed(database_settings: DatabaseSettings, wanted: argparse.Namespace) -> dict[str, object]:
    database: Database = open_database(database_settings, application_name="tasks-seed")
    try:
        async with transaction(database) as session:
            workspace_id, projects = await create_workspace(
                session,
                owner=Principal(user_id=wanted.owner, session_id=uuid7()),
                name=wanted.name,
                members=wanted.member,
                projects_named=wanted.project,
            )
    finally:
        await database.close()
    named = {project: str(project_id) for project, project_id in projects.items()}
    return {"workspace_id": str(workspace_id), "projects": named}
