"""The trash (B13): what goes there, what comes back, and what is gone for good."""

from functools import partial

import pytest
from chassis.ids import uuid7
from tasks_service.scheduler import jobs
from testkit.jobs import run_to_end
from testkit.statements import statements_seen

TRASH = "/api/v1/trash"
LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
REFERENCES = """
    SELECT child.relname, attribute.attname, key.confdeltype::text
    FROM pg_constraint key
    JOIN pg_class child ON child.oid = key.conrelid
    JOIN pg_attribute attribute ON attribute.attrelid = key.conrelid AND attribute.attnum = key.conkey[1]
    WHERE key.contype = 'f' AND key.confrelid = 'tasks.task'::regclass
"""
COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'tasks' AND (column_name = 'task_id' OR column_name LIKE '%\\_task\\_id')
"""


@pytest.fixture
def owner(user):
    return user()


@pytest.fixture
def make(api, owner):
    async def make(title, parent=None, **fields):
        body = {"title": title, **({} if parent is None else {"parent_id": parent["id"]}), **fields}
        answer = await api.post("/api/v1/tasks", json=body, headers=owner)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    return make


@pytest.fixture
def delete(api, owner):
    async def delete(task, query=""):
        answer = await api.delete(f"/api/v1/tasks/{task['id']}{query}", headers=owner)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return delete


@pytest.fixture
def restore(api, owner):
    async def restore(task):
        return await api.post(f"/api/v1/tasks/{task['id']}/restore", headers=owner)

    return restore


@pytest.fixture
def read(api, owner):
    async def read(task):
        return (await api.get(f"/api/v1/tasks/{task['id']}", headers=owner)).json()["data"]

    return read


@pytest.fixture
def listed(api, owner):
    async def listed():
        answer = (await api.get(TRASH, headers=owner)).json()
        assert answer["meta"]["total"] == len(answer["data"])
        return [(one["type"], one["title"]) for one in answer["data"]]

    return listed


@pytest.fixture
def run_job(database, settings):
    return partial(run_to_end, database, jobs(settings))


async def test_b13_a_task_goes_with_all_below_it_and_comes_back_with_that(make, delete, restore, read, listed, rows):
    top = await make("top")
    root = await make("root", top)
    middle = await make("middle", root)
    leaf = await make("leaf", middle, status="done")
    early = await make("early", root)
    await delete(early)
    gone = await delete(root)
    assert gone["deleted_at"] is not None
    assert (await read(top))["progress"] == {"done": 0, "total": 0}
    assert await listed() == [("task", "root"), ("task", "early")]
    assert [await read(task) for task in (root, middle, leaf)] == [None] * 3
    back = await restore(root)
    assert (back.status_code, back.json()["data"]["deleted_at"], "warnings" in back.json()["meta"]) == (
        200,
        None,
        False,
    )
    assert back.headers["etag"] == f'"{back.json()["data"]["version"]}"'
    assert (await read(top))["progress"] == {"done": 0, "total": 1}
    assert (await read(root))["progress"] == {"done": 0, "total": 1}
    assert (await read(middle))["progress"] == {"done": 1, "total": 1}
    assert (await read(leaf))["parent_id"] == middle["id"]
    assert await listed() == [("task", "early")]
    for task in (middle, leaf):
        log = await rows(LOG, id=task["id"])
        assert [type_ for type_, _ in log][-2:] == ["task.deleted.v1", "task.restored.v1"]
        assert [version for _, version in log] == list(range(1, len(log) + 1))
    assert (await restore(root)).status_code == 404


async def test_b13_a_subtask_comes_back_alone_and_has_no_parent_then(make, delete, restore, read):
    root = await make("root")
    middle = await make("middle", root)
    leaf = await make("leaf", middle)
    await delete(root)
    back = await restore(middle)
    assert (back.status_code, back.json()["data"]["parent_id"]) == (200, None)
    assert (await read(leaf))["parent_id"] == middle["id"]
    assert (await read(middle))["progress"] == {"done": 0, "total": 1}
    assert (await restore(root)).json()["data"]["progress"] == {"done": 0, "total": 0}


async def test_b13_assignees_who_may_not_see_it_any_more_are_dropped_and_named(
    api, make, delete, restore, owner, rows, test_gateway
):
    first = await make("first")
    me, guest = first["created_by"], uuid7()
    place = {"workspace": first["workspace_id"], "user": guest}
    await rows("INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())", **place)
    task = await make("a", assignees=[str(guest), me])
    await delete(task)
    await rows("UPDATE tasks.member SET role = 'guest' WHERE workspace_id = :workspace AND user_id = :user", **place)
    back = await restore(task)
    data = back.json()["data"]
    assert (data["assignees"], data["assigned_to"]) == ([me], me)
    assert [(one["code"], one["task_id"], one["user_id"]) for one in back.json()["meta"]["warnings"]] == [
        ("ASSIGNEE_DROPPED", task["id"], str(guest))
    ]
    kept = await rows("SELECT user_id::text FROM tasks.assignee WHERE task_id = :id", id=task["id"])
    assert kept == [(me,)]


async def test_b13_an_external_id_that_is_another_tasks_now_stands_in_the_way(make, delete, restore, listed):
    named = {"external_source": "jira", "external_id": "1"}
    task = await make("a", **named)
    await delete(task)
    other = await make("b", **named)
    refused = await restore(task)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "EXTERNAL_ID_TAKEN")
    assert await listed() == [("task", "a")]
    await delete(other)
    assert (await restore(task)).status_code == 200


async def test_b13_a_task_is_found_in_the_trash_by_its_key(api, make, delete, owner):
    task = await make("a")
    await delete(task)
    back = await api.post(f"/api/v1/tasks/{task['key'].lower()}/restore", headers=owner)
    assert (back.status_code, back.json()["data"]["id"]) == (200, task["id"])


@pytest.mark.parametrize("in_trash", [True, False])
async def test_b13_gone_for_good_with_all_that_hangs_on_it(
    api, make, delete, read, restore, listed, owner, rows, in_trash
):
    top = await make("top")
    root = await make("root", top)
    leaf = await make("leaf", root)
    early = await make("early", leaf)
    await delete(early)
    await api.post(f"/api/v1/tasks/{leaf['id']}/comments", json={"body": "b"}, headers=owner)
    if in_trash:
        await delete(root)
    last = await delete(root, "?permanent=true")
    assert (last["id"], last["deleted_at"] is not None) == (root["id"], in_trash)
    assert (await read(top))["progress"] == {"done": 0, "total": 0}
    assert (await listed(), (await restore(root)).status_code) == ([], 404)
    for task in (root, leaf, early):
        type_, version = (await rows(LOG, id=task["id"]))[-1]
        assert (type_, version) == ("task.purged.v1", len(await rows(LOG, id=task["id"])))
        assert await rows("SELECT 1 FROM tasks.task WHERE id = :id", id=task["id"]) == []
    assert await rows("SELECT 1 FROM tasks.comment WHERE task_id = :id", id=leaf["id"]) == []


async def test_b13_only_managers_delete_for_good(api, make, rows, test_gateway):
    task = await make("a")
    editor = uuid7()
    place = {"workspace": task["workspace_id"], "user": editor}
    await rows("INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())", **place)
    headers, path = test_gateway.headers(editor), f"/api/v1/tasks/{task['id']}"
    for step in ("live", "in the trash"):
        refused = await api.delete(f"{path}?permanent=true", headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "FORBIDDEN"), step
        assert (await api.delete(path, headers=headers)).status_code == (200 if step == "live" else 404)
    assert await rows(LOG, id=task["id"]) == [("task.created.v1", 1), ("task.deleted.v1", 2)]


async def test_b13_deleting_for_good_asks_for_the_state_that_it_is_for(api, make, owner):
    task = await make("a")
    path = f"/api/v1/tasks/{task['id']}"
    await api.patch(path, json={"title": "b"}, headers=owner)
    stale = await api.delete(f"{path}?permanent=true", headers={**owner, "if-match": '"1"'})
    assert (stale.status_code, stale.json()["errors"][0]["field"]) == (412, "title")
    assert (await api.delete(f"{path}?permanent=true", headers={**owner, "if-match": '"2"'})).status_code == 200


async def test_b13_after_thirty_days_the_job_deletes_a_batch_at_a_time(make, delete, listed, rows, run_job):
    root = await make("root")
    leaf = await make("leaf", root)
    kept = await make("kept")
    await delete(root)
    await delete(kept)
    where = {"project": root["project_id"]}
    await rows(
        "INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, created_by, version,"
        " created_at, updated_at, deleted_at)"
        " SELECT uuidv7(), workspace_id, project_id, 'x', 'todo', 'none', created_by, 1, now(), now(), now()"
        " FROM tasks.task, generate_series(1, 600) WHERE id = :id",
        id=root["id"],
    )
    await rows(
        "UPDATE tasks.task SET deleted_at = now() - interval '31 days'"
        " WHERE project_id = :project AND deleted_at IS NOT NULL AND id <> :kept",
        kept=kept["id"],
        **where,
    )
    assert await run_job("purge-trash") >= 3
    assert await listed() == [("task", "kept")]
    for task in (root, leaf):
        assert (await rows(LOG, id=task["id"]))[-1][0] == "task.purged.v1"
    actors = await rows(
        "SELECT DISTINCT actor::text FROM tasks.change WHERE workspace_id = :id AND type = 'task.purged.v1'",
        id=root["workspace_id"],
    )
    assert actors == [("null",)]
    counted = await rows(
        "SELECT count(*) FROM tasks.change WHERE workspace_id = :id AND type = 'task.purged.v1'",
        id=root["workspace_id"],
    )
    assert counted == [(602,)]


async def test_b13_all_that_hangs_on_a_task_goes_with_it(rows):
    """A new table with a task's id either goes with the task, or is the log, which is history."""
    found = {(table, column): action for table, column, action in await rows(REFERENCES)}
    assert found.pop(("task", "parent_id")) == "a"
    assert set(found.values()) == {"c"}
    columns = {(table, column) for table, column in await rows(COLUMNS)}
    assert columns - set(found) == {("change", "task_id"), ("change", "related_task_id")}


async def test_b13_a_hundred_entries_need_as_many_statements_as_one(api, make, delete, owner, database):
    counts = []
    for wanted in (1, 30):
        for n in range(wanted):
            await delete(await make(str(n)))
        with statements_seen(database.reader) as seen:
            answer = await api.get(f"{TRASH}?per_page=100", headers=owner)
        counts.append((len(answer.json()["data"]), len(seen)))
    assert counts == [(1, 2), (31, 2)]


async def test_b13_the_trash_of_others_is_not_seen(api, make, delete, user, listed):
    await delete(await make("a"))
    assert (await api.get(TRASH, headers=user())).json()["data"] == []
    assert await listed() == [("task", "a")]
