"""What is said of events holds on the wire: the list, the schemas, AsyncAPI, the page (K7, O2)."""

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
import websockets
from jsonschema import Draft202012Validator
from testkit.waiting import eventually

PUBLIC = Path(__file__).parents[2] / "contracts" / "events" / "public"
ABSENT = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02"


@pytest.fixture
async def asyncapi(api):
    """The document, once every service has told of its events."""
    known = {path.name.removesuffix(".schema.json") for path in PUBLIC.glob("*.schema.json")}

    async def complete():
        document = (await api.get("/asyncapi.json")).json()
        return document if known <= document["components"]["messages"].keys() else None

    return await eventually(complete)


async def test_k7_the_running_services_tell_of_what_is_committed(api, asyncapi):
    known = {
        path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in PUBLIC.glob("*.schema.json")
    }
    listed = {event["type"]: event for event in (await api.get("/api/v1/meta/events")).json()["data"]}
    assert listed.keys() == known.keys()
    for name, event in listed.items():
        answer = await api.get(httpx2.URL(event["schema_url"]).raw_path.decode())
        assert answer.json() == known[name]
    page = await api.get("/docs/events")
    assert all(f'id="{name}"' in page.text for name in known)


async def test_o2_the_messages_of_a_socket_are_those_of_the_document(api, base_url, sign_up, asyncapi):
    user = await sign_up()
    workspaces = (await api.get("/api/v1/workspaces", headers=user.headers)).json()["data"]
    messages = asyncapi["components"]["messages"]

    def check(message, name):
        schema = {"components": asyncapi["components"], **messages[name]["payload"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(message)] == [], name

    said = (
        ({"type": "ping"}, "pong"),
        ({"type": "subscribe", "id": "mine", "workspace": workspaces[0]["id"]}, "subscribed"),
        ({"type": "subscribe", "me": True, "filter": "priority = high", "tz": "Europe/Berlin"}, "subscribed"),
        ({"type": "subscribe", "id": "other", "project": ABSENT}, "error"),
        ({"type": "subscribe", "me": True, "filter": "colour = red"}, "error"),
        ({"type": "unsubscribe", "me": True}, "unsubscribed"),
        ({"type": "refresh", "access_token": "none"}, "error"),
        ({"type": "dance"}, "error"),
    )
    address = f"{base_url.replace('http', 'ws', 1)}/api/v1/ws"
    async with websockets.connect(address, additional_headers=user.headers) as socket:

        async def heard():
            """Return the next answer; events that come meanwhile are looked at, too."""
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), 30))
                if "event_id" not in message or message["type"] == "task.created":
                    return message
                check(message, message["type"])

        check(await heard(), "ready")
        for message, answer in said:
            if message["type"] in messages and answer != "error":
                check(message, message["type"])
            await socket.send(json.dumps(message))
            got = await heard()
            assert got["type"] == answer, (message, got)
            check(got, answer)
        await api.post("/api/v1/tasks", json={"title": "Dig"}, headers=user.headers)
        event = await heard()
        assert (event["type"], event["subscriptions"]) == ("task.created", ["mine"])
        check(event, "task.created")
