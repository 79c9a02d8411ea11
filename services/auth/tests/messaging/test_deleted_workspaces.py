"""A9: with a workspace its service accounts end, and their tokens at once; none is made for it afterwards."""

import asyncio
import json
from pathlib import Path

import pytest
from auth_service.db import Inbox
from auth_service.service_accounts.consumers import on_workspace_deleted
from auth_service.worker import CONSUMERS
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message
from chassis.broker.streams import StreamsTransport
from chassis.db.base import table_of
from chassis.ids import uuid7

EXAMPLE = Path(__file__).parents[4] / "contracts" / "events" / "tasks" / "workspace.deleted.v1.example.json"
PATH = "/api/v1/service-accounts"
TOKEN = {"name": "CI", "scopes": ["tasks:read"]}
STATE = (
    "SELECT a.status, count(t.id) FILTER (WHERE t.revoked_at IS NULL), count(t.id)"
    " FROM auth.account a LEFT JOIN auth.api_token t ON t.account_id = a.id WHERE a.id = :id GROUP BY a.status"
)
EVENTS = "SELECT type, data->'actor'->>'id' FROM auth.outbox WHERE stream_id = :id ORDER BY sequence"


@pytest.fixture
def take(database, valkey_url):
    """Takes in that a workspace is gone, as the worker does."""
    transport = StreamsTransport(valkey_url, prefix="unused")
    runner = ConsumerRunner(database, table_of(Inbox), transport, on_workspace_deleted)

    async def take(workspace, *, by):
        event = json.loads(EXAMPLE.read_bytes())
        event |= {"id": str(uuid7()), "subject": str(workspace)}
        event["data"]["resource"]["id"] = str(workspace)
        event["data"]["actor"]["id"] = str(by)
        for _ in range(2):
            await runner.handle(Message(event["id"], event["type"], str(workspace), json.dumps(event).encode()))

    return take


@pytest.fixture
def workspace_of(tasks_api, account):
    def workspace_of():
        workspace = uuid7()
        tasks_api.join(account.id, workspace, "owner")
        return workspace

    return workspace_of


@pytest.fixture
def create(api, login):
    async def create(workspace, *, status=201):
        body = {"workspace_id": str(workspace), "name": "Importer"}
        answer = await api.post(PATH, json=body, headers=login.headers)
        assert answer.status_code == status, answer.text
        return answer.json()["data"]

    return create


def test_the_worker_has_a_queue_for_them():
    assert (on_workspace_deleted,) == CONSUMERS
    assert on_workspace_deleted.queue.patterns == ("workspace.deleted.v1",)


async def test_a9_service_accounts_end_with_their_workspace_and_no_others_do(
    api, login, account, take, create, workspace_of, rows
):
    gone, other = workspace_of(), workspace_of()
    ended, going_on = [await create(gone) for _ in range(2)], await create(other)
    for made in (*ended, going_on):
        answer = await api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers)
        assert answer.status_code == 201, answer.text
    await take(gone, by=account.id)
    for made in ended:
        assert await rows(STATE, id=made["id"]) == [("deleted", 0, 1)]
        ((kind, actor),) = (await rows(EVENTS, id=made["id"]))[-1:]
        assert (kind, actor) == ("service_account.deleted.v1", str(account.id))
        assert await rows("SELECT 1 FROM auth.service_account WHERE account_id = :id", id=made["id"]) == []
        marks = "SELECT kind FROM auth.revocation r JOIN auth.api_token t ON t.id = r.subject WHERE t.account_id = :id"
        assert await rows(marks, id=made["id"]) == [("session",)]
    assert await rows(STATE, id=going_on["id"]) == [("active", 1, 1)]


async def test_a9_none_is_made_for_a_workspace_that_is_gone(account, take, create, workspace_of, rows):
    gone = workspace_of()
    await take(gone, by=account.id)
    await create(gone, status=404)
    assert await rows("SELECT 1 FROM auth.service_account WHERE workspace_id = :id", id=gone) == []


async def test_a9_of_one_that_is_made_meanwhile_nothing_is_left(api, login, account, take, workspace_of, rows):
    for _ in range(3):
        gone = workspace_of()
        body = {"workspace_id": str(gone), "name": "Importer"}
        making = (api.post(PATH, json=body, headers=login.headers) for _ in range(5))
        await asyncio.gather(take(gone, by=account.id), *making)
        assert await rows("SELECT 1 FROM auth.service_account WHERE workspace_id = :id", id=gone) == []
