"""A service on its port, by the byte: answers that are there as a whole, streams, and how connections go on."""

import asyncio

import httpx2
import pytest
from chassis.errors import NotFound
from chassis.process import make_server
from chassis.settings import ProcessSettings
from chassis.web.answers import BODY_FOLLOWS
from chassis.web.app import APIRouter, create_app
from chassis.web.health import Health
from chassis.web.replies import reply, unless_unchanged
from chassis.web.routing import public
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from testkit.raw_http import raw_connection
from testkit.servers import free_port
from testkit.waiting import eventually

router = APIRouter(prefix="/things", tags=["things"])


class Thing(BaseModel):
    name: str


@router.get("/{name}")
@public("a sample")
async def read_thing(request: Request, name: str) -> Response:
    if name == "nothing":
        raise NotFound
    return unless_unchanged(request, reply(Thing(name=name), headers={"etag": '"1"'}))


@router.post("")
@public("a sample")
async def create_thing(thing: Thing) -> Response:
    return reply(thing, status=201)


@router.delete("/{name}")
@public("a sample")
async def tell_of_thing(name: str) -> Response:
    return reply(None, headers={"x-name": name.encode().decode("unicode_escape")})


@router.get("/{name}/parts")
@public("a sample")
async def read_parts(request: Request, name: str) -> Response:
    async def parts():
        await request.app.state.go.wait()
        yield name.encode()
        yield b"!"

    return StreamingResponse(parts(), media_type="text/plain", headers={"content-length": str(len(name) + 1)})


@pytest.fixture
def things():
    return create_app(title="Things", routers=(router,), health=Health(), state={"go": asyncio.Event()})


@pytest.fixture
async def port(things):
    """Where the service is served as by a process."""
    chosen = free_port()
    server = make_server(things, ProcessSettings(environment="test", shutdown_seconds=1), chosen)
    running = asyncio.create_task(server.serve())

    async def started():
        return server.started

    await eventually(started)
    yield chosen
    things.state.go.set()
    server.should_exit = True
    await running


@pytest.fixture
async def raw(port):
    """A connection to the service."""
    async with raw_connection(port) as connection:
        yield connection


async def head_of(raw):
    """What comes before the body."""
    async with asyncio.timeout(10):
        return await raw.reader.readuntil(b"\r\n\r\n")


def request(line, *fields, body=b""):
    return b"\r\n".join([line.encode(), b"host: things", *fields, b"", body])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/things/a", {}, 200),
        ("GET", "/things/a", {"if-none-match": '"1"'}, 304),
        ("GET", "/things/nothing", {}, 404),
        ("POST", "/things", {}, 422),
        ("PUT", "/things", {}, 405),
    ],
)
async def test_whole_answers_say_so(things, method, path, headers, status):
    starts = []

    async def noting(scope, receive, send):
        async def noted(message):
            starts.extend([message] if message["type"] == "http.response.start" else [])
            await send(message)

        await things(scope, receive, noted)

    transport = httpx2.ASGITransport(noting)
    async with httpx2.AsyncClient(transport=transport, base_url="http://things") as client:
        assert (await client.request(method, path, headers=headers)).status_code == status
    assert [start[BODY_FOLLOWS] for start in starts] == [True]


async def test_answers_follow_each_other_on_one_connection(raw):
    await raw.send(
        request("GET /things/a HTTP/1.1")
        + request("GET /things/nothing HTTP/1.1")
        + request("HEAD /things/a HTTP/1.1")
        + request("GET /things/a HTTP/1.1", b'if-none-match: "1"')
        + request(
            "POST /things HTTP/1.1", b"content-type: application/json", b"content-length: 12", body=b'{"name":"b"}'
        )
    )
    first, second = await raw.answer(), await raw.answer()
    third, fourth = await raw.answer(head=True), await raw.answer()
    fifth = await raw.answer()
    assert [answer.status for answer in (first, second, third, fourth, fifth)] == [200, 404, 200, 304, 201]
    assert b'"name":"a"' in first.body
    assert third.headers["content-length"] == first.headers["content-length"]
    assert "content-length" not in fourth.headers
    assert b'"name":"b"' in fifth.body
    assert {"date", "x-request-id", "server-timing"} <= first.headers.keys()


@pytest.mark.parametrize(("version", "field"), [("1.0", b"x-a: b"), ("1.1", b"connection: close")])
async def test_a_connection_ends_with_its_last_answer(raw, version, field):
    await raw.send(request(f"GET /things/a HTTP/{version}", field))
    answer = await raw.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert b'"name":"a"' in answer.body
    assert await raw.is_closed()


async def test_a_body_that_waits_to_be_asked_for_is_asked_for(raw):
    head = request(
        "POST /things HTTP/1.1",
        b"content-type: application/json",
        b"content-length: 12",
        b"expect: 100-continue",
    )
    await raw.send(head)
    assert (await raw.answer()).status == 100
    await raw.send(b'{"name":"b"}')
    assert (await raw.answer()).status == 201


async def test_the_head_of_a_stream_does_not_wait_for_its_body(things, raw):
    await raw.send(request("GET /things/abc/parts HTTP/1.1"))
    head = await head_of(raw)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 4\r\n" in head
    things.state.go.set()
    assert await raw.reader.readexactly(4) == b"abc!"
    await raw.send(request("GET /things/a HTTP/1.1"))
    assert (await raw.answer()).status == 200


async def test_a_client_that_leaves_is_no_harm_to_others(things, port, raw):
    async with raw_connection(port) as leaving:
        await leaving.send(request("GET /things/abc/parts HTTP/1.1"))
        await head_of(leaving)
    things.state.go.set()
    await raw.send(request("GET /things/a HTTP/1.1"))
    assert (await raw.answer()).status == 200


@pytest.mark.parametrize("name", ["a%5Cr%5Cnx-added:%201", "a%5Cn", "a%5Cx00", "a%5Cx7f"])
async def test_r20_a_field_that_is_none_is_never_written(raw, name):
    await raw.send(request(f"DELETE /things/{name} HTTP/1.1"))
    answer = await raw.answer()
    assert (answer.status, answer.code) == (500, "INTERNAL_ERROR")
    assert "x-added" not in answer.headers
    assert answer.headers["x-request-id"]
    await raw.send(request("GET /things/a HTTP/1.1"))
    assert (await raw.answer()).status == 200
