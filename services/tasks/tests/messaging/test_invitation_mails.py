"""From an invitation to a request for mail on the wire, as the contract says, and with a token that opens."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

from chassis.broker.port import Queue
from chassis.broker.relay import OutboxRelay
from chassis.broker.streams import StreamsTransport
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox import purging
from chassis.outbox.envelope import EventEnvelope
from jsonschema import Draft202012Validator
from tasks_service.cli import open_background
from tasks_service.db import Outbox
from tasks_service.invitations.jobs import purge_invitations
from tasks_service.invitations.rules import token_place
from tasks_service.relay import CHANGE_LOG, OUTBOX
from tasks_service.scheduler import JOBS
from tasks_service.workspaces.service import create_workspace
from testkit.waiting import eventually

SCHEMA = Path(__file__).parents[4] / "contracts" / "events" / "tasks" / "invitation_mail.requested.v1.schema.json"


async def test_n3_a_request_for_mail_reaches_the_wire(api, database, rows, valkey_url, test_gateway, settings):
    owner, email = uuid7(), f"{uuid7().hex}@example.com"
    async with transaction(database) as session:
        workspace, _ = await create_workspace(
            session, owner=Principal(owner, uuid7()), name="Team", members=(), projects_named=[]
        )
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    stop, seen = asyncio.Event(), []
    mails = Queue("mails", ("invitation_mail.requested.v1",))
    await transport.declare(mails)

    async def take(message):
        seen.append(EventEnvelope.from_json(message.body))

    tasks = [
        asyncio.create_task(transport.consume(mails, take, prefetch=8)),
        asyncio.create_task(OutboxRelay(database, OUTBOX, transport).run(stop)),
    ]
    path = f"/api/v1/workspaces/{workspace}/invitations"
    answer = await api.post(path, json={"email": email}, headers=test_gateway.headers(owner))
    assert answer.status_code == 201

    async def come():
        return [one for one in seen if one.data["resource"]["to"] == email]

    (event,) = await eventually(come)
    Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(json.loads(event.to_json()))
    resource = event.data["resource"]
    assert resource["expires_at"] == answer.json()["data"]["expires_at"]
    assert event.data["request_id"] == answer.headers["x-request-id"]
    place = token_place(UUID(resource["id"]))
    assert len(settings.mail_sealing.ring().open(resource["token_sealed"], place=place)) == 43
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await transport.close()


async def test_n3_the_relay_sends_both_and_the_scheduler_forgets(monkeypatch, settings, database, rows):
    environment = {
        "DATABASE_URL": settings.database.url.get_secret_value(),
        "BROKER_URL": settings.broker.url.get_secret_value(),
        "IDENTITY_VERIFY_KEY": settings.identity.verify_key.get_secret_value(),
        "CURSOR_SECRET": settings.cursors.secret.get_secret_value(),
        "MAIL_SEALING_KEYS": settings.mail_sealing.keys.get_secret_value(),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _, background = open_background()
    assert background.sources == (CHANGE_LOG, OUTBOX)
    assert {"purge-outbox", "purge-invitations"} <= {job.name for job in JOBS}
    owner = uuid7()
    async with transaction(database) as session:
        workspace, _ = await create_workspace(
            session, owner=Principal(owner, uuid7()), name="Team", members=(), projects_named=[]
        )
    for days in (29, 31):
        await rows(
            "INSERT INTO tasks.invitation (id, workspace_id, email, email_canonical, role, projects, token_hash, state,"
            " invited_by, version, created_at, updated_at, expires_at) VALUES (uuidv7(), :w, :e, :e, 'member', '[]',"
            " uuid_send(uuidv7()), 'pending', :o, 1, now(), now(), now() - make_interval(days => :days))",
            w=workspace,
            e=f"{days}@x.example",
            o=owner,
            days=days,
        )
    async with transaction(database) as session:
        await purge_invitations(session)
        await purging.purge(session, table_of(Outbox))
    assert await rows("SELECT email FROM tasks.invitation WHERE workspace_id = :w", w=workspace) == [("29@x.example",)]
