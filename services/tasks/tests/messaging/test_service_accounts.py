"""From auth's service accounts to memberships: once, in any order, and never to a personal workspace."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message, Reject
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from tasks_service.db import Inbox
from tasks_service.service_accounts.consumers import on_service_account
from tasks_service.worker import CONSUMERS
from tasks_service.workspaces.consumers import on_user_registered
from tasks_service.workspaces.service import create_workspace
from testkit.waiting import eventually

CREATED, UPDATED, DELETED = (f"service_account.{verb}.v1" for verb in ("created", "updated", "deleted"))
CONTRACTS = Path(__file__).parents[4] / "contracts" / "events"
MEMBERS = "SELECT workspace_id, role, joined_seq FROM tasks.member WHERE user_id = :id"
LOG = "SELECT seq, type, version, actor->>'id', changes FROM tasks.change WHERE resource->>'user_id' = :id ORDER BY seq"


@pytest.fixture
async def team(database):
    """A workspace of a person: its id, the person, and a project."""
    owner = uuid7()
    async with transaction(database) as session:
        workspace, projects = await create_workspace(
            session, owner=Principal(owner, uuid7()), name="Team", members=(), projects_named=["A"]
        )
    return workspace, owner, projects["A"]


def account_event(event_type, account, workspace, owner, *, actor=None, sequence=1, **resource):
    at = utcnow().isoformat()
    shown = {
        "id": str(account),
        "workspace_id": str(workspace),
        "name": "Deploys",
        "role": "member",
        "created_by": str(owner),
        "version": sequence,
        "created_at": at,
        "updated_at": at,
        "added_tomorrow": True,
        **resource,
    }
    return EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source="/taskloom/auth",
        subject=account,
        occurred_at=utcnow(),
        stream_id=account,
        sequence=sequence,
        data={
            "entity_type": "service_account",
            "entity_id": str(account),
            "version": sequence,
            "actor": actor and {"type": "user", "id": str(actor), "via": "session"},
            "changes": [],
            "audience": [],
            "request_id": "r",
            "resource": shown,
        },
    )


def message(event):
    return Message(str(event.event_id), event.type, str(event.stream_id), event.to_json())


@pytest.fixture
def take(database, valkey_url):
    """Takes events in, one after the other, as the worker does."""

    async def take(*events, consumer=on_service_account):
        runner = ConsumerRunner(database, table_of(Inbox), StreamsTransport(valkey_url, prefix="unused"), consumer)
        for event in events:
            await runner.handle(message(event))

    return take


async def test_a9_a_service_account_is_a_member_from_then_on(team, take, rows, api, test_gateway):
    workspace, owner, project = team
    account, admin = uuid7(), uuid7()
    created = account_event(CREATED, account, workspace, owner, actor=admin)
    again = account_event(CREATED, account, workspace, owner)
    await take(created, created, again)
    assert await rows(MEMBERS, id=account) == [(workspace, "member", 4)]
    assert [row[:4] for row in await rows(LOG, id=str(account))] == [(4, "member.added.v1", 1, str(admin))]
    headers = test_gateway.token_headers(account, "tasks:read", "tasks:write", bot=True)
    made = await api.post("/api/v1/tasks", json={"title": "a", "project_id": str(project)}, headers=headers)
    assert made.status_code == 201
    assert [one["id"] for one in (await api.get("/api/v1/workspaces", headers=headers)).json()["data"]] == [
        str(workspace)
    ]


async def test_a9_a_guest_sees_the_projects_that_it_is_a_member_of(team, take, api, test_gateway, rows):
    workspace, owner, project = team
    account = uuid7()
    await take(account_event(CREATED, account, workspace, owner, role="guest"))
    headers = test_gateway.token_headers(account, "tasks:read", "tasks:write", bot=True)
    body = {"title": "a", "project_id": str(project)}
    assert (await api.get("/api/v1/projects", headers=headers)).json()["meta"]["total"] == 0
    assert (await api.post("/api/v1/tasks", json=body, headers=headers)).status_code == 422
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'viewer', 1, now())",
        workspace=workspace,
        project=project,
        user=account,
    )
    assert (await api.post("/api/v1/tasks", json=body, headers=headers)).status_code == 403
    assert (await api.get("/api/v1/projects", headers=headers)).json()["meta"]["total"] == 1


async def test_a9_a_new_role_counts_and_an_older_state_does_not(team, take, rows, api, test_gateway):
    workspace, owner, project = team
    account = uuid7()
    states = [
        account_event(CREATED, account, workspace, owner),
        account_event(UPDATED, account, workspace, owner, sequence=3, role="guest"),
        account_event(UPDATED, account, workspace, owner, sequence=2, role="member"),
        account_event(UPDATED, account, workspace, owner, sequence=4, role="guest", name="Only its name"),
    ]
    await take(*states)
    assert await rows(MEMBERS, id=account) == [(workspace, "guest", 4)]
    added, updated = await rows(LOG, id=str(account))
    assert (added[:3], updated[:3]) == ((4, "member.added.v1", 1), (5, "member.updated.v1", 2))
    assert updated[4] == [{"field": "role", "old": "member", "new": "guest"}]
    headers = test_gateway.token_headers(account, "tasks:write", bot=True)
    body = {"title": "a", "project_id": str(project)}
    assert (await api.post("/api/v1/tasks", json=body, headers=headers)).status_code == 422
    await take(account_event(UPDATED, account, workspace, owner, sequence=5))
    assert (await api.post("/api/v1/tasks", json=body, headers=headers)).status_code == 201


async def test_a9_a_creation_that_comes_after_a_change_takes_nothing_back(team, take, rows):
    workspace, owner, _ = team
    account = uuid7()
    changed = account_event(UPDATED, account, workspace, owner, sequence=2, role="guest")
    await take(changed, account_event(CREATED, account, workspace, owner))
    assert await rows(MEMBERS, id=account) == [(workspace, "guest", 4)]
    assert [row[1] for row in await rows(LOG, id=str(account))] == ["member.added.v1"]


@pytest.mark.parametrize("event_type", [CREATED, UPDATED, DELETED])
async def test_a9_the_producers_examples_are_understood(team, take, rows, event_type):
    workspace, owner, _ = team
    account = uuid7()
    if event_type != CREATED:
        await take(account_event(CREATED, account, workspace, owner, sequence=0))
    example = json.loads((CONTRACTS / "auth" / f"{event_type}.example.json").read_bytes())
    example["id"] = str(uuid7())
    example["data"]["resource"] |= {"id": str(account), "workspace_id": str(workspace)}
    await take(EventEnvelope.from_json(json.dumps(example).encode()))
    assert await rows(MEMBERS, id=account) == ([] if event_type == DELETED else [(workspace, "member", 4)])


async def test_a9_a_deleted_service_account_is_no_member(team, take, rows, api, test_gateway):
    workspace, owner, _ = team
    account, admin = uuid7(), uuid7()
    created = account_event(CREATED, account, workspace, owner)
    deleted = account_event(DELETED, account, workspace, owner, actor=admin, sequence=2)
    await take(created, deleted, deleted, account_event(DELETED, account, workspace, owner, sequence=2))
    assert await rows(MEMBERS, id=account) == []
    added, removed = await rows(LOG, id=str(account))
    assert (added[:4], removed[:4]) == (
        (4, "member.added.v1", 1, str(owner)),
        (5, "member.removed.v1", 2, str(admin)),
    )
    assert removed[4] == [{"field": "role", "old": "member", "new": None}]
    headers = test_gateway.token_headers(account, "tasks:read", bot=True)
    assert (await api.get("/api/v1/projects", headers=headers)).json()["meta"]["total"] == 0


async def test_a9_a_creation_that_comes_after_the_deletion_adds_nobody(team, take, rows):
    workspace, owner, _ = team
    account = uuid7()
    created, deleted = (account_event(one, account, workspace, owner) for one in (CREATED, DELETED))
    await take(deleted, created)
    assert await rows(MEMBERS, id=account) == []
    assert await rows(LOG, id=str(account)) == []


async def test_a9_a_wrong_workspace_is_ignored_with_a_log(team, take, rows, database):
    workspace, owner, _ = team
    async with transaction(database) as session:
        other, _ = await create_workspace(
            session, owner=Principal(uuid7(), uuid7()), name="Other", members=(), projects_named=[]
        )
    account, unknown = uuid7(), uuid7()
    with structlog.testing.capture_logs() as lines:
        await take(
            account_event(CREATED, unknown, uuid7(), owner),
            account_event(CREATED, account, workspace, owner),
            account_event(CREATED, account, other, owner),
            account_event(DELETED, account, other, owner),
            account_event(DELETED, account, uuid7(), owner),
        )
    ignored = [line["type"] for line in lines if line["event"] == "service_account.ignored"]
    assert ignored == [CREATED, CREATED, DELETED, DELETED]
    assert await rows(MEMBERS, id=account) == [(workspace, "member", 4)]
    assert await rows(MEMBERS, id=unknown) == []
    assert len(await rows(LOG, id=str(account))) == 1
    # What was wrong stands in the way of nothing.
    await take(account_event(CREATED, unknown, workspace, owner), account_event(DELETED, account, workspace, owner))
    assert await rows(MEMBERS, id=unknown) == [(workspace, "member", 5)]
    assert await rows(MEMBERS, id=account) == []


async def test_a9_a_role_that_machines_do_not_have_is_rejected(team, take, rows):
    workspace, owner, _ = team
    account = uuid7()
    for role in ("owner", "admin", "king", None):
        with pytest.raises(Reject):
            await take(account_event(CREATED, account, workspace, owner, role=role))
    assert await rows(MEMBERS, id=account) == []


async def test_a9_many_at_once_are_numbered_without_gaps(team, take, rows):
    workspace, owner, _ = team
    accounts = [uuid7() for _ in range(8)]
    await asyncio.gather(*(take(account_event(CREATED, one, workspace, owner)) for one in accounts))
    joined = [await rows(MEMBERS, id=one) for one in accounts]
    assert sorted(seq for ((_, _, seq),) in joined) == list(range(4, 12))
    for account, ((_, _, seq),) in zip(accounts, joined, strict=True):
        assert [row[0] for row in await rows(LOG, id=str(account))] == [seq]


@pytest.mark.parametrize("how", ["by its kind", "as one that is known", "as one that was deleted"])
async def test_a9_a_machine_gets_no_personal_workspace(team, take, rows, how):
    workspace, owner, _ = team
    account = uuid7()
    if how == "as one that is known":
        await take(account_event(CREATED, account, workspace, owner))
    if how == "as one that was deleted":
        await take(account_event(DELETED, account, workspace, owner))
    kind = {"kind": "service"} if how == "by its kind" else {}
    await take(account_event("user.registered.v1", account, workspace, owner, **kind), consumer=on_user_registered)
    assert await rows("SELECT id FROM tasks.workspace WHERE personal_owner_id = :id", id=account) == []
    person = uuid7()
    await take(account_event("user.registered.v1", person, workspace, owner, kind="human"), consumer=on_user_registered)
    assert len(await rows("SELECT id FROM tasks.workspace WHERE personal_owner_id = :id", id=person)) == 1


async def test_a9_the_worker_has_a_queue_for_them(team, rows, database, valkey_url):
    """It is declared with all others by migrate, so that no event is without a consumer."""
    assert on_service_account in CONSUMERS
    assert on_service_account.queue.patterns == ("service_account.*.v1",)
    workspace, owner, _ = team
    account = uuid7()
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    await transport.declare(on_service_account.queue)
    stop = asyncio.Event()
    running = asyncio.create_task(ConsumerRunner(database, table_of(Inbox), transport, on_service_account).run(stop))
    assert await transport.publish([message(account_event(CREATED, account, workspace, owner))]) == [None]

    async def joined():
        return await rows(MEMBERS, id=account)

    ((where, _, _),) = await eventually(joined)
    assert UUID(str(where)) == workspace
    stop.set()
    await running
    await transport.close()


async def test_f6_a_service_account_that_is_deleted_is_taken_off_its_tasks(team, take, rows, api, test_gateway):
    workspace, owner, project = team
    account = uuid7()
    await take(account_event(CREATED, account, workspace, owner))
    headers = test_gateway.headers(owner)
    body = {"title": "a", "project_id": str(project)}
    task = (await api.post("/api/v1/tasks", json=body, headers=headers)).json()["data"]
    path = f"/api/v1/tasks/{task['id']}"
    given = await api.post(f"{path}/assignees", json={"user_id": str(account)}, headers=headers)
    assert given.status_code < 300
    assert (await api.get(path, headers=headers)).json()["data"]["assigned_to"] == str(account)
    await take(account_event(DELETED, account, workspace, owner, sequence=2))
    assert (await api.get(path, headers=headers)).json()["data"]["assignees"] == []
    for table in ("assignee", "watcher", "member"):
        count = "SELECT count(*) FROM tasks.{} WHERE user_id = :id"
        assert await rows(count.format(table), id=account) == [(0,)]
