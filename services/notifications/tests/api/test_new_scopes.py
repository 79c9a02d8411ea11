"""Workspaces and projects that were made a moment ago: something can be set up for them before their events came."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.contract import contract_client
from testkit.waiting import eventually

URL = "http://127.0.0.1:1999/hook"
PREFERENCE = {"kind": "*", "channel": "inbox", "mode": "off"}


def requests(scope):
    """Return what can be set up for a scope: method, path and body."""
    return {
        "webhook": ("POST", "/api/v1/webhooks", {"url": URL, "scope": scope}),
        "chat": ("POST", "/api/v1/chat-connections", {"url": URL, "kind": "generic", "scope": scope}),
        "preferences": (
            "PUT",
            "/api/v1/users/me/notification-preferences",
            {"preferences": [{**PREFERENCE, "scope": scope}]},
        ),
    }


@pytest.fixture
async def api(service, contract):
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}") as found:
        yield found


@pytest.fixture
def me():
    return uuid7()


@pytest.fixture
def ask(api, test_gateway, me):
    async def ask(what, kind, scope_id):
        method, path, body = requests({"type": kind, "id": str(scope_id)})[what]
        return await api.request(method, path, json=body, headers=test_gateway.headers(me))

    return ask


@pytest.mark.parametrize("kind", ["workspace", "project"])
@pytest.mark.parametrize("what", ["webhook", "chat", "preferences"])
async def test_k6_what_was_made_a_moment_ago_can_be_set_up_for_at_once(ask, me, world, feed, tasks_api, what, kind):
    """Its maker has its id from the answer to its making, and the events come a moment later."""
    project = uuid7()
    tasks_api.joined[me] = {world.id: 1}
    tasks_api.shows(me, project, workspace_id=world.id, project_id=project)
    asking = asyncio.create_task(ask(what, kind, world.id if kind == "workspace" else project))

    async def is_asked():
        return tasks_api.calls

    await eventually(is_asked)
    assert not asking.done()
    await feed.keep(world.joins(me, role="owner"), world.project(project))
    answer = await asking
    assert answer.status_code == (200 if what == "preferences" else 201)
    assert tasks_api.calls == [me]


@pytest.mark.parametrize("kind", ["workspace", "project"])
@pytest.mark.parametrize("what", ["webhook", "chat", "preferences"])
async def test_k6_what_the_tasks_service_does_not_show_is_refused_at_once(ask, me, tasks_api, what, kind):
    answer = await ask(what, kind, uuid7())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] in {"SCOPE_NOT_FOUND", f"{kind.upper()}_NOT_FOUND"}
    assert tasks_api.calls == [me]


async def test_k6_what_never_comes_is_refused_in_the_end(ask, me, tasks_api):
    workspace = uuid7()
    tasks_api.joined[me] = {workspace: 1}
    answer = await ask("webhook", "workspace", workspace)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "SCOPE_NOT_FOUND")
    assert tasks_api.calls == [me]
