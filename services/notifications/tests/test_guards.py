"""What must hold for every route, every table, and every event of the producer."""

from pathlib import Path

import fastapi
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.web.app import UnguardedRoute, refuse_unguarded_routes
from chassis.web.handlers import api_routes
from notifications_service import registry
from notifications_service.live.consumers import LIVE
from notifications_service.main import ROUTERS, openapi_document
from notifications_service.models import METADATA
from starlette.routing import WebSocketRoute
from testkit.explained import unexplained
from testkit.lax import lax_inputs
from testkit.topics import matches

EVENTS = Path(__file__).parents[3] / "contracts" / "events" / "tasks"
# A stream of its own each: no number of a workspace is theirs.
NOT_COUNTED = {"invitation_mail.requested.v1"}


def test_every_route_says_who_may_call_it_and_none_is_missed():
    refuse_unguarded_routes(ROUTERS)
    operations = sum(len(item) for item in openapi_document()["paths"].values())
    assert sum(len(route.methods) for route in api_routes(ROUTERS)) == operations
    sockets = [route.path for router in ROUTERS for route in router.routes if isinstance(route, WebSocketRoute)]
    assert sockets == ["/api/v1/ws"]


def test_every_operation_is_described_and_shown_with_examples_that_are_true():
    assert unexplained(openapi_document()) == []


def test_r30_no_body_and_no_flag_takes_what_only_looks_right():
    assert lax_inputs(ROUTERS) == []


def test_a_route_without_a_guard_stops_the_service():
    router = fastapi.APIRouter()

    @router.get("/open")
    async def forgotten() -> None: ...

    with pytest.raises(UnguardedRoute, match="/open"):
        refuse_unguarded_routes((*ROUTERS, router))


def test_every_change_of_a_workspace_is_consumed():
    """The numbers of a workspace count all its changes: one that nobody takes in would hold it back for good."""
    types = {path.name.removesuffix(".schema.json") for path in EVENTS.glob("*.schema.json")}
    assert len(types) >= 56
    assert {one for one in types if not any(matches(pattern, one) for pattern in LIVE.patterns)} == NOT_COUNTED


def test_what_is_told_to_a_user_may_interest_nobody_else():
    """An event that waited for a consumer would fill the outbox, since nobody has to consume any of them."""
    assert [one.type for one in registry.EVENTS if not one.optional] == []


async def test_models_and_migrations_agree(database):
    def compare(connection):
        options = {"include_schemas": True, "include_name": only_ours, "version_table_schema": "notifications"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    def only_ours(name, kind, _parents):
        return name == "notifications" if kind == "schema" else name != "schema_version"

    async with database.writer.connect() as connection:
        assert await connection.run_sync(compare) == []
