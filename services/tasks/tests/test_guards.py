"""What must hold for every route and every table."""

import fastapi
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.web.app import UnguardedRoute, refuse_unguarded_routes
from chassis.web.handlers import api_routes
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import policy, scope
from chassis.web.validation import invalid_body
from tasks_service.main import ROUTERS, openapi_document
from tasks_service.models import METADATA
from tasks_service.permissions.rules import RULES
from testkit.explained import unexplained
from testkit.lax import lax_inputs


def test_every_route_says_who_may_call_it_and_none_is_missed():
    refuse_unguarded_routes(ROUTERS, RULES)
    operations = sum(len(item) for item in openapi_document()["paths"].values())
    assert sum(len(route.methods) for route in api_routes(ROUTERS)) == operations


def test_every_operation_is_described_and_shown_with_examples_that_are_true():
    assert unexplained(openapi_document()) == []


def test_whatever_a_resource_shows_and_a_patch_does_not_set_is_told_as_read_only():
    patches = [route for route in api_routes(ROUTERS) if "PATCH" in route.methods]
    assert len(patches) >= 3
    for route in patches:
        shown = set(route.response_model.model_fields["data"].annotation.model_fields)
        assert "id" in shown, route.name
        sent = [{"type": "extra_forbidden", "loc": ("body", name)} for name in sorted(shown)]
        told = {one.field: one.code for one in invalid_body(route, sent).details}
        settable = set(route.body_field.field_info.annotation.model_fields)
        assert told == {name: "UNKNOWN_FIELD" if name in settable else "READ_ONLY_FIELD" for name in shown}, route.name


def test_r30_no_body_and_no_flag_takes_what_only_looks_right():
    assert lax_inputs(ROUTERS) == []


def test_a_route_without_a_guard_stops_the_service():
    router = fastapi.APIRouter()

    @router.get("/open")
    async def forgotten() -> None: ...

    with pytest.raises(UnguardedRoute, match="/open"):
        refuse_unguarded_routes((*ROUTERS, router))


def test_r35_a_route_without_a_policy_stops_the_service():
    router = fastapi.APIRouter()

    @router.get("/undecided")
    @scope("tasks:read")
    async def undecided(_caller: CurrentPrincipal) -> None: ...

    with pytest.raises(UnguardedRoute, match=r"/undecided.*policy"):
        refuse_unguarded_routes((*ROUTERS, router), RULES)


def test_r35_a_policy_that_is_not_in_the_table_stops_the_service():
    router = fastapi.APIRouter()

    @router.get("/invented")
    @scope("tasks:read")
    @policy("task.fly")
    async def invented(_caller: CurrentPrincipal) -> None: ...

    with pytest.raises(UnguardedRoute, match=r"/invented.*policy"):
        refuse_unguarded_routes((*ROUTERS, router), RULES)


def test_every_delete_answers_in_the_envelope_or_with_nothing_when_asked_and_nothing_else_is_without_content():
    answers = {
        operation["operationId"]: (method, operation["responses"], operation.get("parameters", []))
        for item in openapi_document()["paths"].values()
        for method, operation in item.items()
    }
    deleting = {name for name, (method, *_) in answers.items() if method == "delete"}
    assert len(deleting) >= 20
    assert {name for name, (_, responses, _) in answers.items() if "204" in responses} == deleting
    for name in deleting:
        _, responses, parameters = answers[name]
        assert "application/json" in responses["200"]["content"], name
        assert "content" not in responses["204"], name
        assert ("header", "Prefer") in {(one["in"], one["name"]) for one in parameters}, name


async def test_models_and_migrations_agree(database):
    def compare(connection):
        options = {"include_schemas": True, "include_name": only_ours, "version_table_schema": "tasks"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    def only_ours(name, kind, _parents):
        return name == "tasks" if kind == "schema" else name != "schema_version"

    async with database.writer.connect() as connection:
        assert await connection.run_sync(compare) == []
