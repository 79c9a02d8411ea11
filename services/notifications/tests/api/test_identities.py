"""By whom a socket asks others: it lives longer than the identity that it was opened with, and is told new ones."""

import json

import pytest
from chassis.ids import uuid7

HEADER = "x-taskloom-identity"


async def identify(reader, identity):
    await reader.socket.send(json.dumps({"type": "identity", "identity": identity}))


async def test_j1_others_are_asked_by_the_last_identity(service, world, team, tasks_api, test_gateway):
    """Of what has not come here yet: a project and a task of a moment ago, on a socket of an hour ago."""
    (ann, _), session, project = team, uuid7(), uuid7()
    task = uuid7()
    for name in (project, task):
        tasks_api.shows(ann, name, workspace_id=world.id, project_id=project)
    first = test_gateway.headers(ann, session_id=session)
    renewed = test_gateway.headers(ann, session_id=session, roles=["user"])[HEADER]
    async with service.reading(ann, headers=first) as reader:
        tasks_api.reset()
        for name in (project, task):
            tasks_api.shows(ann, name, workspace_id=world.id, project_id=project)
        assert (await reader.ask({"type": "subscribe", "project": str(project)}))["type"] == "subscribed"
        await identify(reader, renewed)
        assert (await reader.ask({"type": "subscribe", "task": str(task)}))["type"] == "subscribed"
        assert tasks_api.identities == [first[HEADER], renewed]


async def test_r54_the_gateways_words_are_not_counted(service, test_gateway):
    user, session = uuid7(), uuid7()
    headers = test_gateway.headers(user, session_id=session)
    async with service.reading(user, headers=headers) as reader:
        for _ in range(19):
            await identify(reader, headers[HEADER])
            assert await reader.is_idle()


@pytest.mark.parametrize(
    "which", ["another user's", "another session's", "garbage", "empty", "a number", "a service's"]
)
async def test_r21_an_identity_that_is_not_the_callers_is_none(service, test_gateway, which):
    user, session = uuid7(), uuid7()
    told = {
        "another user's": test_gateway.headers(uuid7(), session_id=session)[HEADER],
        "another session's": test_gateway.headers(user)[HEADER],
        "garbage": "abc",
        "empty": "",
        "a number": 1,
        "a service's": test_gateway.service_headers()[HEADER],
    }[which]
    async with service.reading(user, headers=test_gateway.headers(user, session_id=session)) as reader:
        answer = await reader.ask({"type": "identity", "identity": told})
        assert (answer["type"], answer["code"]) == ("error", "UNKNOWN_MESSAGE")
        assert await reader.is_idle()
