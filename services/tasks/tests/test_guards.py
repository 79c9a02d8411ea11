"""What must hold for every route and every table."""

import fastapi
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.web.app import UnguardedRoute, refuse_unguarded_routes
from chassis.web.handlers import api_routes
from tasks_service.main import ROUTERS, openapi_document
from tasks_service.models import METADATA


def test_every_route_says_who_may_call_it_and_none_is_missed():
    refuse_unguarded_routes(ROUTERS)
    operations = sum(len(item) for item in openapi_document()["paths"].values())
    assert sum(len(route.methods) for route in api_routes(ROUTERS)) == operations == 10


def test_a_route_without_a_guard_stops_the_service():
    router = fastapi.APIRouter()

    @router.get("/open")
    async def forgotten() -> None: ...

    with pytest.raises(UnguardedRoute, match="/open"):
        refuse_unguarded_routes((*ROUTERS, router))


async def test_models_and_migrations_agree(database):
    def compare(connection):
        options = {"include_schemas": True, "include_name": only_ours, "version_table_schema": "tasks"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    def only_ours(name, kind, _parents):
        return name == "tasks" if kind == "schema" else name != "schema_version"

    async with database.writer.connect() as connection:
        assert await connection.run_sync(compare) == []
