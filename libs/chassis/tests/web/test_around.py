"""What is around every request of a service, whether a shortcut or a route answers it."""

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from chassis.errors import NotFound
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.tokens import IdentityVerifier
from chassis.web.app import APIRouter, create_app
from chassis.web.health import Health
from chassis.web.identity import CurrentPrincipal, IdentityCache
from chassis.web.replies import reply
from chassis.web.routing import scope
from chassis.web.shortcuts import Shortcut
from fastapi import Request, Response
from structlog.testing import capture_logs

THINGS = "/api/v1/things"
ROUTE = f"{THINGS}/{{thing_id}}"
KNOWN, CRASHING, ROUTED, CUT = (UUID(int=number) for number in range(1, 5))
IDS = {"x-request-id": "my-request-1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}

router = APIRouter(prefix=THINGS, tags=["things"])


class Cut(Response):
    """Crashes within its body."""

    async def __call__(self, _scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise ValueError("in the middle")


@router.get("/{thing_id}")
@scope("things:read")
async def read_thing(request: Request, thing_id: UUID, principal: CurrentPrincipal) -> Response:
    if thing_id == ROUTED:
        raise ValueError("by the route")
    raise NotFound


async def thing_by_shortcut(request: Request, principal: Principal, thing_id: UUID) -> Response | None:
    if thing_id == CRASHING:
        raise ValueError("by the shortcut")
    if thing_id == CUT:
        return Cut()
    return reply(None, meta={"title": request.app.title}) if thing_id == KNOWN else None


@pytest.fixture
def things(test_gateway):
    """A service with a shortcut."""
    return create_app(
        title="Things",
        routers=(router,),
        health=Health(),
        state={"identities": IdentityCache(IdentityVerifier(test_gateway.verify_key))},
        shortcuts=[Shortcut(read_thing, thing_by_shortcut)],
    )


@pytest.fixture
async def ask(things, test_gateway):
    """Asks for something as a user."""
    headers = test_gateway.headers(uuid7()) | IDS
    transport = httpx2.ASGITransport(things, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://things", headers=headers) as client:

        async def ask(thing, *, method="GET"):
            return await client.request(method, f"{THINGS}/{thing}")

        yield ask


@pytest.mark.parametrize(("thing", "status"), [(KNOWN, 200), (CRASHING, 500), (ROUTED, 500), (UUID(int=9), 404)])
async def test_every_answer_has_the_same_around_it(ask, thing, status):
    with capture_logs() as logs:
        answer = await ask(thing)
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == answer.json()["meta"]["request_id"] == IDS["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["server-timing"].startswith("app;dur=")
    served = [line for line in logs if line["event"] == "request.served"]
    assert [(line["method"], line["status"]) for line in served] == [("GET", status)]


async def test_a_shortcut_knows_the_app(ask):
    assert (await ask(KNOWN)).json()["meta"]["title"] == "Things"


@pytest.mark.parametrize("thing", [CRASHING, ROUTED])
async def test_r27_a_crash_is_told_once_and_answered_by_us(ask, thing):
    with capture_logs() as logs:
        answer = await ask(thing)
    assert answer.json()["errors"][0]["code"] == "INTERNAL_ERROR"
    assert answer.headers["cache-control"] == "no-store"
    assert [line["event"] for line in logs] == ["request.crashed", "request.served"]
    assert logs[0]["path"] == f"{THINGS}/{thing}"


async def test_r27_a_crash_within_a_body_is_told_once_and_adds_nothing(things, test_gateway):
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in test_gateway.headers(uuid7()).items()]
    asked = {"type": "http", "method": "GET", "path": f"{THINGS}/{CUT}", "query_string": b"", "headers": headers}
    with capture_logs() as logs:
        for _ in range(2):  # before and after the app is put together
            await things({**asked, "root_path": ""}, None, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"] * 2
    assert [line["event"] for line in logs] == ["request.crashed", "request.served"] * 2


class Crossing:
    """A middleware that crashes, before or after the app has answered."""

    def __init__(self, app, *, answers):
        self._app, self._answers = app, answers

    async def __call__(self, scope, receive, send):
        if self._answers:
            await self._app(scope, receive, send)
        raise ValueError("around the routes")


@pytest.mark.parametrize(("answers", "status"), [(False, 500), (True, 404)])
async def test_r27_a_crash_around_the_routes_is_told_once_and_answered_by_us(things, ask, answers, status):
    things.add_middleware(Crossing, answers=answers)
    with capture_logs() as logs:
        answer = await ask(UUID(int=9))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == answer.json()["meta"]["request_id"] == IDS["x-request-id"]
    assert [line["event"] for line in logs] == ["request.crashed", "request.served"]


async def test_r27_a_handler_of_errors_that_crashes_is_told_once_and_answered_by_us(things, ask):
    def crash(_request, _error):
        raise ValueError("in the handler")

    things.add_exception_handler(NotFound, crash)
    with capture_logs() as logs:
        answer = await ask(UUID(int=9))
    assert answer.json()["errors"][0]["code"] == "INTERNAL_ERROR"
    assert [line["event"] for line in logs] == ["request.crashed", "request.served"]


class Sender:
    """Knows its request, as a server does."""

    def __init__(self, request):
        self.request = request

    async def __call__(self, message):
        """Send nothing."""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nothing_of_a_request_waits_for_a_collection(things, test_gateway, method):
    headers = [(name.lower().encode(), value.encode()) for name, value in test_gateway.headers(uuid7()).items()]
    asked = {"type": "http", "method": method, "path": f"{THINGS}/{KNOWN}", "query_string": b"", "headers": headers}
    sender = Sender({**asked, "root_path": "", "server": ("things", 80), "scheme": "http"})
    gone = weakref.ref(sender)
    gc.disable()
    try:
        await things(sender.request, None, sender)
        del sender
        assert gone() is None
    finally:
        gc.enable()


async def test_head_goes_to_the_route(ask):
    answer = await ask(ROUTED, method="HEAD")
    assert (answer.status_code, answer.content) == (500, b"")
    assert (await ask(KNOWN, method="HEAD")).status_code == 404


async def test_the_caller_of_a_shortcut_is_checked(things):
    transport = httpx2.ASGITransport(things)
    async with httpx2.AsyncClient(transport=transport, base_url="http://things") as client:
        assert (await client.get(f"{THINGS}/{KNOWN}")).status_code == 401


@pytest.fixture
def traced():
    """Three requests with their spans: by a shortcut, by a route, and one that crashes."""
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    command = [sys.executable, Path(__file__).with_name("traced_things.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_what_a_request_does_belongs_to_its_span_where_spans_are_exported(traced):
    assert [one["status"] for one in traced] == [200, 200, 500]
    assert [one["within"] for one in traced] == [traced[0]["span"], traced[1]["span"], None]
    assert {one["parent"] for one in traced} == {"00f067aa0ba902b7"}
    assert {one["span"][:35] for one in traced} == {"00-4bf92f3577b34da6a3ce929d0e0e4736"}
    assert [one["attributes"]["http.response.status_code"] for one in traced] == [200, 200, 500]
    assert traced[2]["attributes"]["error.type"] == "500"
