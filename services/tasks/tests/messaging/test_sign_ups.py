"""From auth's event to a personal workspace, over a real transport; and from a change to the wire."""

import asyncio
import json
from pathlib import Path

from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message, Queue
from chassis.broker.relay import OutboxRelay
from chassis.broker.streams import StreamsTransport
from chassis.db.base import table_of
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from jsonschema import Draft202012Validator
from tasks_service.db import Inbox
from tasks_service.relay import CHANGE_LOG
from tasks_service.workspaces.consumers import on_user_registered
from testkit.waiting import eventually

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events"


def registration(user_id):
    example = json.loads((CONTRACTS / "auth" / "user.registered.v1.example.json").read_bytes())
    example["id"] = str(uuid7())
    example["data"]["resource"]["id"] = str(user_id)
    return json.dumps(example).encode()


async def test_a_sign_up_makes_a_workspace_once_and_every_change_reaches_the_wire(
    api, database, rows, valkey_url, test_gateway
):
    # What other tests have written would go out first.
    await rows("UPDATE tasks.change SET state = 'sent' WHERE state = 'new'")
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    stop, user_id, seen = asyncio.Event(), uuid7(), []
    everything = Queue("all", ("#",))
    await transport.declare(everything)

    async def take(message):
        seen.append(EventEnvelope.from_json(message.body))

    tasks = [
        asyncio.create_task(work)
        for work in (
            transport.consume(everything, take, prefetch=8),
            ConsumerRunner(database, table_of(Inbox), transport, on_user_registered).run(stop),
            OutboxRelay(database, CHANGE_LOG, transport).run(stop),
        )
    ]
    await transport.declare(on_user_registered.queue)
    body = registration(user_id)
    await transport.publish([Message(str(uuid7()), "user.registered.v1", "k", body)] * 2)

    async def made():
        return await rows("SELECT id FROM tasks.workspace WHERE personal_owner_id = :u", u=user_id)

    ((workspace,),) = await eventually(made)
    created = await api.post("/api/v1/tasks", json={"title": "a"}, headers=test_gateway.headers(user_id))
    assert str(workspace) == created.json()["data"]["workspace_id"]

    async def all_out():
        mine = [event for event in seen if event.stream_id == workspace]
        return mine if len(mine) == 4 else None

    events = await eventually(all_out)
    kinds = ["workspace.created.v1", "member.added.v1", "project.created.v1", "task.created.v1"]
    assert [event.type for event in events] == kinds
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    for event in events:
        schema = json.loads((CONTRACTS / "tasks" / f"{event.type}.schema.json").read_bytes())
        Draft202012Validator(schema).validate(json.loads(event.to_json()))
        assert event.data["audience"] == [str(user_id)]
    assert events[3].data["resource"] == created.json()["data"]
    assert events[3].data["request_id"] == created.headers["x-request-id"]
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await transport.close()
