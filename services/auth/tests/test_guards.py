"""What must hold for every route and every table."""

import re
from datetime import timedelta

import fastapi
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from auth_service.main import ROUTERS, openapi_document
from auth_service.models import METADATA
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.tokens import IdentitySigner
from chassis.web.app import UnguardedRoute, is_guarded, refuse_unguarded_routes
from chassis.web.handlers import api_routes
from chassis.web.validation import invalid_body
from testkit.explained import unexplained
from testkit.identities import TestGateway
from testkit.lax import lax_inputs

PUBLIC = {
    "ask_for_reset",
    "begin_passkey_login",
    "complete_flow",
    "complete_login",
    "list_providers",
    "log_in",
    "log_in_by_passkey",
    "log_in_by_form",
    "read_verification_link",
    "reactivate",
    "read_jwks",
    "read_reset_link",
    "refresh_tokens",
    "register",
    "resend_verification",
    "reset_password",
    "start_flow",
    "verify_email",
}


def test_every_route_says_who_may_call_it_and_none_is_missed():
    refuse_unguarded_routes(ROUTERS)
    operations = sum(len(item) for item in openapi_document()["paths"].values())
    assert sum(len(route.methods) for route in api_routes(ROUTERS)) == operations == 66
    assert {route.name for route in api_routes(ROUTERS) if not is_guarded(route)} == PUBLIC


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


@pytest.mark.parametrize(
    "route", [route for route in api_routes(ROUTERS) if is_guarded(route)], ids=lambda route: route.name
)
async def test_r21_no_guarded_route_answers_without_the_gateways_word(api, account, route):
    """An access token, a made-up identity and a claim of one's own are nobody's."""
    (method,) = route.methods
    path = re.sub(r"\{\w+\}", str(account.id), route.path)
    forms = [
        {},
        {"authorization": "Bearer x", "x-user-id": str(account.id)},
        {"x-taskloom-identity": "garbage"},
        {"x-taskloom-identity": ""},
    ]
    for headers in forms:
        answer = await api.request(method, path, headers=headers)
        codes = [error["code"] for error in answer.json()["errors"]]
        assert (answer.status_code, codes) == (401, ["UNAUTHENTICATED"])
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_r21_an_identity_that_is_not_the_gateways_or_not_of_now_is_401(api, account, login, test_gateway):
    signer = IdentitySigner(test_gateway.private_key)
    principal = Principal(account.id, login.session_id)
    now = utcnow()
    good = signer.sign(principal, now=now)
    identities = {
        "an access token": login.tokens["access_token"],
        "expired": signer.sign(principal, now=now - timedelta(seconds=61)),
        "of the future": signer.sign(principal, now=now + timedelta(seconds=120)),
        "signed by somebody else": IdentitySigner(TestGateway().private_key).sign(principal, now=now),
        "without its signature": good.rpartition(".")[0] + ".",
        "changed": good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:],
        "longer than 4 KiB": good + "A" * 4096,
    }
    for name, identity in identities.items():
        answer = await api.get("/api/v1/users/me", headers={"x-taskloom-identity": identity})
        codes = [error["code"] for error in answer.json()["errors"]]
        assert (answer.status_code, codes) == (401, ["UNAUTHENTICATED"]), name
    assert (await api.get("/api/v1/users/me", headers={"x-taskloom-identity": good})).status_code == 200


async def test_models_and_migrations_agree(database):
    def compare(connection):
        options = {"include_schemas": True, "include_name": only_ours, "version_table_schema": "auth"}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    def only_ours(name, kind, _parents):
        return name == "auth" if kind == "schema" else name != "schema_version"

    async with database.writer.connect() as connection:
        assert await connection.run_sync(compare) == []
