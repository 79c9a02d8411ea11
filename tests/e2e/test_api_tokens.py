"""API tokens and service accounts on their whole way: made by a person, used by a program, gone when revoked."""

import asyncio
import json
import time

import pytest
import websockets
from testkit.waiting import eventually

PATH = "/api/v1/auth/tokens"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def workspace_of(api, user):
    """The personal workspace, which comes by an event."""

    async def found():
        listed = (await api.get("/api/v1/workspaces", headers=user.headers)).json()["data"]
        return listed[0]["id"] if listed else None

    return await eventually(found)


async def test_a7_a_token_does_what_its_scopes_say_until_it_is_revoked_within_two_seconds(api, base_url, sign_up):
    user = await sign_up()
    await workspace_of(api, user)
    made = await api.post(PATH, json={"name": "CI", "scopes": ["tasks:read"]}, headers=user.headers)
    token = made.json()["data"]["token"]
    assert (await api.get("/api/v1/tasks", headers=bearer(token))).status_code == 200
    lacking = await api.post("/api/v1/tasks", json={"title": "Buy milk"}, headers=bearer(token))
    assert (lacking.status_code, lacking.json()["errors"][0]["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert 'scope="tasks:write"' in lacking.headers["www-authenticate"]
    other = await api.post(PATH, json={"name": "CI", "scopes": ["tasks:read"]}, headers=bearer(token))
    assert (other.status_code, other.json()["errors"][0]["code"]) == (403, "SESSION_REQUIRED")
    url = base_url.replace("http", "ws", 1) + "/api/v1/ws"
    async with websockets.connect(url, additional_headers=bearer(token)) as socket:
        assert json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] == "ready"
        began = time.monotonic()
        assert (await api.delete(made.headers["location"], headers=user.headers)).status_code == 200

        async def refused():
            return (await api.get("/api/v1/tasks", headers=bearer(token))).status_code == 401

        await eventually(refused)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 5)
        assert time.monotonic() - began < 2
        assert closed.value.rcvd.code == 4401


async def test_a9_a_service_account_acts_by_its_token_until_it_is_ended(api, sign_up):
    user, stranger = await sign_up(), await sign_up()
    workspace = await workspace_of(api, user)
    body = {"workspace_id": workspace, "name": "Importer"}
    refused = await api.post("/api/v1/service-accounts", json=body, headers=stranger.headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
    made = await api.post("/api/v1/service-accounts", json=body, headers=user.headers)
    account = made.json()["data"]
    assert (made.status_code, account["role"]) == (201, "member")
    tokens = f"{made.headers['location']}/tokens"
    answer = await api.post(tokens, json={"name": "CI", "scopes": ["tasks:read"]}, headers=user.headers)
    token = answer.json()["data"]["token"]
    profile = (await api.get("/api/v1/users/me", headers=bearer(token))).json()["data"]
    assert profile.items() >= {"id": account["id"], "email": None, "display_name": "Importer"}.items()

    async def seen_workspaces():
        listed = await api.get("/api/v1/workspaces", headers=bearer(token))
        return [(one["id"], one["role"]) for one in listed.json()["data"]]

    assert await eventually(seen_workspaces) == [(workspace, "member")]
    task = (await api.post("/api/v1/tasks", json={"title": "Import"}, headers=user.headers)).json()["data"]
    listed = (await api.get("/api/v1/tasks", headers=bearer(token))).json()["data"]
    assert [one["id"] for one in listed] == [task["id"]]
    assert (await api.delete(made.headers["location"], headers=user.headers)).status_code == 200

    async def ended():
        return (await api.get("/api/v1/users/me", headers=bearer(token))).status_code == 401

    await eventually(ended, seconds=2)
