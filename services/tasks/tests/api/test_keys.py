"""Keys such as PROJ-12 (B4): each is one task's, and names it wherever its id would."""

import asyncio
from contextlib import AsyncExitStack

import httpx2
import pytest
from chassis.db.engine import open_database
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.web.health import Health
from tasks_service.main import create_app
from tasks_service.workspaces.service import create_workspace
from testkit.contract import contract_client


@pytest.fixture
async def owner(api, user):
    headers = user()
    made = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    return headers, made.json()["data"]


def rename(rows, task, prefix):
    return rows("UPDATE tasks.project SET prefix = :prefix WHERE id = :id", prefix=prefix, id=task["project_id"])


async def keep_former(rows, task, key):
    """Note a key that the task had, as a move or another prefix does."""
    await rows(
        "INSERT INTO tasks.task_key_alias VALUES (:workspace, :key, :task, now())",
        workspace=task["workspace_id"],
        key=key,
        task=task["id"],
    )


async def test_b4_a_key_names_a_task_in_any_case_and_in_every_operation(api, owner):
    headers, task = owner
    assert task["key"] == "INBOX-1"
    for name in ("INBOX-1", "inbox-1", "Inbox-1", task["id"], task["id"].upper()):
        answer = await api.get(f"/api/v1/tasks/{name}", headers=headers)
        assert (answer.status_code, answer.json()["data"]) == (200, task)
        assert "moved_from" not in answer.json()["meta"]
    changed = await api.patch("/api/v1/tasks/inbox-1", json={"title": "b"}, headers=headers)
    assert (changed.status_code, changed.json()["data"]["id"]) == (200, task["id"])
    located = await api.get("/internal/tasks/INBOX-1", headers=headers)
    assert located.json()["task_id"] == task["id"]
    gone = await api.delete("/api/v1/tasks/INBOX-1", headers=headers)
    assert (gone.status_code, gone.json()["data"]["id"]) == (200, task["id"])
    assert (await api.get("/api/v1/tasks/INBOX-1", headers=headers)).status_code == 404


@pytest.mark.parametrize("name", ["INBOX-2", "OTHER-1", "INBOX-0", "INBOX-01", "INBOX-", "-1", "INBOX-9999999999", "x"])
async def test_b4_what_is_no_key_of_mine_is_absent(api, owner, user, name):
    headers, _ = owner
    fixed = {"x-request-id": "the-same"}
    absent = await api.get(f"/api/v1/tasks/{uuid7()}", headers={**headers, **fixed})
    answer = await api.get(f"/api/v1/tasks/{name}", headers={**headers, **fixed})
    assert (answer.status_code, answer.content) == (404, absent.content)


async def test_b4_a_key_of_others_is_absent(api, owner, user):
    stranger = {**user(), "x-request-id": "the-same"}
    answers = [await api.get(f"/api/v1/tasks/{name}", headers=stranger) for name in ("INBOX-1", uuid7())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


async def test_b4_a_former_key_still_names_the_task_and_says_so(api, owner, rows):
    headers, task = owner
    await rename(rows, task, "HOME")
    await keep_former(rows, task, "INBOX-1")
    answer = await api.get("/api/v1/tasks/inbox-1", headers=headers)
    assert (answer.status_code, answer.json()["data"]["key"]) == (200, "HOME-1")
    assert answer.json()["meta"]["moved_from"] == "INBOX-1"
    changed = await api.patch("/api/v1/tasks/INBOX-1", json={"title": "b"}, headers=headers)
    assert (changed.status_code, changed.json()["meta"]["moved_from"]) == (200, "INBOX-1")
    assert "moved_from" not in (await api.get("/api/v1/tasks/HOME-1", headers=headers)).json()["meta"]


async def test_b4_the_key_that_a_task_has_now_comes_before_what_another_had(api, owner, rows):
    headers, task = owner
    other = (await api.post("/api/v1/tasks", json={"title": "b"}, headers=headers)).json()["data"]
    await keep_former(rows, other, "INBOX-1")
    answer = await api.get("/api/v1/tasks/INBOX-1", headers=headers)
    assert (answer.json()["data"]["id"], "moved_from" in answer.json()["meta"]) == (task["id"], False)


async def test_b4_a_key_of_two_workspaces_needs_the_workspace(api, database, test_gateway):
    me = uuid7()
    headers = test_gateway.headers(me)
    made = []
    for name in ("One", "Two"):
        async with transaction(database) as session:
            _, projects = await create_workspace(
                session, owner=Principal(me, uuid7()), name=name, members=(), projects_named=["Shop"]
            )
        body = {"title": name, "project_id": str(projects["Shop"])}
        made.append((await api.post("/api/v1/tasks", json=body, headers=headers)).json()["data"])
    for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
        answer = await api.request(method, "/api/v1/tasks/SHOP-1", json=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "AMBIGUOUS_KEY")
        assert answer.json()["errors"][0]["field"] == "workspace_id"
        assert answer.json()["data"] == {"task_ids": sorted(task["id"] for task in made)}
    for task in made:
        narrowed = await api.get(f"/api/v1/tasks/shop-1?workspace_id={task['workspace_id']}", headers=headers)
        assert narrowed.json()["data"] == task
    assert (await api.get(f"/api/v1/tasks/shop-1?workspace_id={uuid7()}", headers=headers)).status_code == 404


async def test_b4_fifty_tasks_at_once_over_three_processes_have_fifty_numbers(
    owner, api, rows, settings, database_settings, contract
):
    headers, task = owner
    async with AsyncExitStack() as stack:
        clients = []
        waiting = database_settings.model_copy(update={"pool_size": 2, "write_wait_seconds": 60.0})
        for n in range(3):
            database = open_database(waiting, application_name=f"tasks-{n}")
            stack.push_async_callback(database.close)
            transport = httpx2.ASGITransport(app=create_app(settings, database=database, health=Health()))
            client = contract_client(contract, transport=transport, base_url="http://tasks")
            clients.append(await stack.enter_async_context(client))
        body = {"title": "b", "project_id": task["project_id"]}
        answers = await asyncio.gather(
            *(clients[n % 3].post("/api/v1/tasks", json=body, headers=headers) for n in range(50))
        )
    assert [answer.status_code for answer in answers] == [201] * 50
    keys = {answer.json()["data"]["key"] for answer in answers}
    assert keys == {f"INBOX-{number}" for number in range(2, 52)}
    assert len({answer.json()["data"]["position"] for answer in answers}) == 50
    found = [await api.get(f"/api/v1/tasks/{key}", headers=headers) for key in sorted(keys)]
    made = {answer.json()["data"]["key"]: answer.json()["data"]["id"] for answer in answers}
    assert [answer.json()["data"]["id"] for answer in found] == [made[key] for key in sorted(keys)]
    log = await rows(
        "SELECT seq, type, entity_id::text FROM tasks.change WHERE workspace_id = :w ORDER BY seq",
        w=task["workspace_id"],
    )
    assert [seq for seq, _, _ in log] == list(range(1, len(log) + 1))
    assert sorted(one for _, kind, one in log if kind == "task.created.v1") == sorted([task["id"], *made.values()])
