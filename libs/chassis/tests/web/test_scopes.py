"""API tokens do what their scopes say, and sessions whatever their user may."""

from typing import Annotated
from uuid import UUID

import fastapi
import pytest
from chassis.ids import uuid7
from chassis.web.app import APIRouter, ThreadedDependency, UnguardedRoute, refuse_threads, refuse_unguarded_routes
from chassis.web.identity import CallingService, CurrentPrincipal
from chassis.web.routing import public, scope

NOTES = "/api/v1/notes"
WRITE = {"title": "milk"}


def codes(answer):
    return [error["code"] for error in answer.json()["errors"]]


async def test_a_missing_scope_is_403_that_names_it(api, test_gateway, rows):
    answer = await api.post(NOTES, json=WRITE, headers=test_gateway.token_headers(uuid7(), "notes:read"))
    assert (answer.status_code, codes(answer)) == (403, ["INSUFFICIENT_SCOPE"])
    assert answer.json()["errors"][0]["allowed"] == ["notes:write"]
    assert "notes:write" in answer.json()["message"]
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="notes:write"'
    assert await rows("SELECT 1 FROM notes.note") == []


@pytest.mark.parametrize(
    ("scopes", "read_only", "status"),
    [
        (("notes:write",), False, 201),
        (("notes:read", "notes:write"), False, 201),
        (("notes:delete",), False, 403),
        (("notes:writes", "note:write", "*", "notes:*"), False, 403),
        ((), False, 403),
        (("notes:write",), True, 403),
    ],
)
async def test_a_token_writes_with_the_very_scope(api, test_gateway, scopes, read_only, status):
    headers = test_gateway.token_headers(uuid7(), *scopes, read_only=read_only)
    assert (await api.post(NOTES, json=WRITE, headers=headers)).status_code == status


async def test_a_read_only_token_reads_and_does_no_more(api, test_gateway):
    headers = test_gateway.token_headers(uuid7(), "notes:read", "notes:write", read_only=True)
    assert (await api.get(NOTES, headers=headers)).status_code == 200
    answer = await api.post(NOTES, json=WRITE, headers=headers)
    assert (answer.status_code, codes(answer)) == (403, ["TOKEN_READ_ONLY"])


async def test_a_read_only_token_reads_by_get_whatever_the_scope_is_called(api, test_gateway):
    headers = test_gateway.token_headers(uuid7(), "notes:*", read_only=True)
    assert (await api.get("/api/v1/all-notes", headers=headers)).status_code == 200
    assert (await api.head("/api/v1/all-notes", headers=headers)).status_code == 200
    answer = await api.post("/api/v1/all-notes", headers=headers)
    assert (answer.status_code, codes(answer)) == (403, ["TOKEN_READ_ONLY"])


@pytest.mark.parametrize("bounds", [{"workspace_id": UUID(int=1)}, {"project_ids": [UUID(int=2)]}], ids=str)
async def test_a_token_for_a_part_does_nothing_with_the_whole(api, test_gateway, bounds):
    headers = test_gateway.token_headers(uuid7(), "notes:*", "notes:read", **bounds)
    for method in ("GET", "POST"):
        answer = await api.request(method, "/api/v1/all-notes", headers=headers)
        assert (answer.status_code, codes(answer)) == (403, ["TOKEN_RESTRICTED"])
    assert (await api.get(NOTES, headers=headers)).status_code == 200


async def test_what_is_for_sessions_takes_no_token_and_what_is_for_all_takes_any(api, test_gateway, rows):
    token = test_gateway.token_headers(uuid7(), "notes:read", "notes:write", "admin:*")
    answer = await api.post("/api/v1/shared-notes", json=WRITE, headers=token)
    assert (answer.status_code, codes(answer)) == (403, ["SESSION_REQUIRED"])
    assert await rows("SELECT 1 FROM notes.note") == []
    bot = test_gateway.token_headers(uuid7(), bot=True)
    assert (await api.post("/api/v1/forgetful-notes", json=WRITE, headers=bot)).status_code == 200


async def test_a_session_has_every_scope(api):
    assert (await api.post(NOTES, json=WRITE)).status_code == 201
    assert (await api.post("/api/v1/shared-notes", json={"title": "bread"})).status_code == 201


def test_the_document_says_what_each_operation_asks_of_a_token(app):
    paths = app.openapi()["paths"]
    said = {
        (path, method): (operation["security"], operation["x-api-tokens"])
        for path, item in paths.items()
        for method, operation in item.items()
    }
    assert said[NOTES, "post"] == ([{"bearer": ["notes:write"]}], "notes:write")
    assert said["/api/v1/shared-notes", "post"] == ([{"bearer": []}], "none")
    assert said["/api/v1/forgetful-notes", "post"] == ([{"bearer": []}], "any")
    assert said["/api/v1/attempts", "post"] == ([], "none")
    refusals = paths[NOTES]["post"]["responses"]["403"]["content"]["application/json"]["examples"]
    assert {"INSUFFICIENT_SCOPE", "TOKEN_READ_ONLY"} <= refusals.keys()


async def forgotten(caller: CurrentPrincipal) -> None: ...


@scope("notes:read")
async def for_services(caller: CallingService) -> None: ...


@public("anybody")
@scope("notes:read")
async def for_anybody() -> None: ...


@pytest.mark.parametrize("endpoint", [forgotten, for_services, for_anybody], ids=lambda endpoint: endpoint.__name__)
def test_a_route_that_does_not_fit_its_scope_stops_the_service(endpoint):
    router: fastapi.APIRouter = APIRouter(prefix="/api/v1", tags=["t"])
    router.get("/notes-of-a-kind")(endpoint)
    with pytest.raises(UnguardedRoute, match="/notes-of-a-kind"):
        refuse_unguarded_routes((router,))


@pytest.mark.parametrize("name", ["", "read", "notes:", ":read", "Notes:read", "notes:read write", "notes:**"])
def test_a_scope_has_a_noun_and_a_verb(name):
    with pytest.raises(ValueError, match="noun"):
        scope(name)


@pytest.mark.parametrize("is_inner", [False, True], ids=["endpoint", "dependency of a dependency"])
def test_a_call_that_a_thread_would_have_to_make_stops_the_service(is_inner):
    router = fastapi.APIRouter()

    def of_a_thread() -> int:
        return 1

    async def outer(number: Annotated[int, fastapi.Depends(of_a_thread)]) -> int:
        return number

    async def endpoint(_number: Annotated[int, fastapi.Depends(outer)]) -> None: ...

    router.get("/notes-of-a-thread")(endpoint if is_inner else of_a_thread)
    with pytest.raises(ThreadedDependency, match="/notes-of-a-thread"):
        refuse_threads((router,))
