"""Trees of tasks (B6): where a task may be, how far its parent is, and what completing and deleting do below it."""

import asyncio

import pytest
from chassis.ids import uuid7

LOG = "SELECT type, version, changes FROM tasks.change WHERE entity_id = :id ORDER BY seq"
COUNT = "SELECT count(*) FROM tasks.change WHERE workspace_id = :id AND entity_type = 'task'"


@pytest.fixture
def owner(user):
    return user()


@pytest.fixture
def make(api, owner):
    """Makes a task, below a parent if one is given."""

    async def make(title, parent=None, **fields):
        body = {"title": title, **({} if parent is None else {"parent_id": parent["id"]}), **fields}
        answer = await api.post("/api/v1/tasks", json=body, headers=owner)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    return make


@pytest.fixture
def change(api, owner):
    async def change(task, query="", **fields):
        return await api.patch(f"/api/v1/tasks/{task['id']}{query}", json=fields, headers=owner)

    return change


@pytest.fixture
def read(api, owner):
    async def read(task):
        return (await api.get(f"/api/v1/tasks/{task['id']}", headers=owner)).json()["data"]

    return read


def code(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def chain_of(make, length):
    tasks = [await make("0")]
    for n in range(1, length):
        tasks.append(await make(str(n), tasks[-1]))
    return tasks


async def test_b6_progress_follows_the_subtasks_and_hides_what_is_cancelled(make, change, read, api, owner, rows):
    root = await make("root")
    one, two, three = [await make(title, root) for title in ("one", "two", "three")]
    assert one["parent_id"] == root["id"]
    assert (await read(root))["progress"] == {"done": 0, "total": 3}
    steps = [
        (one, {"status": "done"}, (1, 3)),
        (two, {"status": "cancelled"}, (1, 2)),
        (two, {"status": "done"}, (2, 3)),
        (one, {"status": "in_progress"}, (1, 3)),
        (three, {"parent_id": None}, (1, 2)),
        (three, {"parent_id": root["id"]}, (1, 3)),
        (three, {"title": "renamed"}, (1, 3)),
    ]
    for task, fields, (done, total) in steps:
        assert (await change(task, **fields)).status_code == 200
        assert (await read(root))["progress"] == {"done": done, "total": total}, fields
    await api.delete(f"/api/v1/tasks/{three['id']}", headers=owner)
    after = await read(root)
    assert after["progress"] == {"done": 1, "total": 2}
    log = await rows(LOG, id=root["id"])
    assert [version for _, version, _ in log] == list(range(1, 12)) == list(range(1, after["version"] + 1))
    assert {change["field"] for _, _, changes in log[1:] for change in changes} == {"progress"}


async def test_b6_a_change_of_the_progress_is_no_conflict(make, change, api, owner):
    root = await make("root")
    await change(await make("one", root), status="done")
    stale = {**owner, "if-match": '"1"'}
    answer = await api.patch(f"/api/v1/tasks/{root['id']}", json={"title": "b"}, headers=stale)
    assert (answer.status_code, answer.json()["data"]["progress"]) == (200, {"done": 1, "total": 1})


async def test_b6_five_levels_below_a_task_and_no_more(make, change, api, owner):
    tasks = await chain_of(make, 6)
    deeper = await api.post("/api/v1/tasks", json={"title": "6", "parent_id": tasks[5]["id"]}, headers=owner)
    assert code(deeper) == (422, "TOO_DEEP")
    branch = await chain_of(make, 3)
    assert code(await change(branch[0], parent_id=tasks[3]["id"])) == (422, "TOO_DEEP")
    assert (await change(branch[0], parent_id=tasks[2]["id"])).status_code == 200


async def test_b6_no_task_is_below_itself(make, change):
    tasks = await chain_of(make, 4)
    for below in tasks:
        assert code(await change(tasks[0], parent_id=below["id"])) == (422, "CYCLE")
    assert (await change(tasks[3], parent_id=tasks[1]["id"])).status_code == 200


async def test_b6_a_parent_is_of_the_same_project_and_seen(make, change, api, owner, user, rows):
    task = await make("a")
    foreign = (await api.post("/api/v1/tasks", json={"title": "x"}, headers=user())).json()["data"]
    gone = await make("gone")
    await api.delete(f"/api/v1/tasks/{gone['id']}", headers=owner)
    fixed = {**owner, "x-request-id": "the-same-for-all"}
    answers = [
        await api.patch(f"/api/v1/tasks/{task['id']}", json={"parent_id": str(one)}, headers=fixed)
        for one in (uuid7(), foreign["id"], gone["id"])
    ]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert code(answers[0]) == (422, "PARENT_NOT_FOUND")
    ((elsewhere,),) = await rows(
        "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)"
        " VALUES (uuidv7(), :workspace, 'P', false, :by, 1, now(), now()) RETURNING id",
        workspace=task["workspace_id"],
        by=task["created_by"],
    )
    other = await make("of another project", project_id=str(elsewhere))
    assert code(await change(task, parent_id=other["id"])) == (422, "PARENT_NOT_FOUND")
    made = await api.post("/api/v1/tasks", json={"title": "b", "parent_id": foreign["id"]}, headers=owner)
    assert code(made) == (422, "PARENT_NOT_FOUND")


async def test_b6_a_subtask_is_in_the_project_of_its_parent_without_naming_it(api, owner, make, user):
    project = (await api.post("/api/v1/projects", json={"name": "Garden"}, headers=owner)).json()["data"]
    parent = await make("a", project_id=project["id"])
    child = await make("b", parent)
    assert (child["project_id"], child["parent_id"]) == (project["id"], parent["id"])
    path = "/api/v1/tasks/by-external/x/1"
    put = await api.put(path, json={"title": "c", "parent_id": parent["id"]}, headers=owner)
    assert put.json()["data"]["project_id"] == project["id"]
    for hidden in (parent["id"], str(uuid7())):
        refused = await api.post("/api/v1/tasks", json={"title": "d", "parent_id": hidden}, headers=user())
        assert code(refused) == (422, "PARENT_NOT_FOUND")


async def test_b6_of_two_moves_that_would_make_a_cycle_one_is_refused_fifty_times(make, change, read, rows):
    one, two = await make("one"), await make("two")
    for _ in range(50):
        answers = await asyncio.gather(change(one, parent_id=two["id"]), change(two, parent_id=one["id"]))
        assert sorted(answer.status_code for answer in answers) == [200, 422]
        assert code(max(answers, key=lambda answer: answer.status_code)) == (422, "CYCLE")
        parents = [(await read(task))["parent_id"] for task in (one, two)]
        assert parents.count(None) == 1
        for task in (one, two):
            assert (await change(task, parent_id=None)).status_code == 200
    assert [(await read(task))["progress"] for task in (one, two)] == [{"done": 0, "total": 0}] * 2


async def test_b6_longer_cycles_and_depth_hold_under_many_moves(make, patient_api, owner, rows):
    tasks = [await make(str(n)) for n in range(8)]

    async def move(one, other):
        path = f"/api/v1/tasks/{one['id']}"
        return await patient_api.patch(path, json={"parent_id": other["id"]}, headers=owner)

    pairs = [(one, other) for one in tasks for other in tasks if one is not other][:50]
    answers = await asyncio.gather(*(move(*pair) for pair in pairs))
    assert {answer.status_code for answer in answers} <= {200, 422}
    assert {answer.json()["errors"][0]["code"] for answer in answers if answer.status_code == 422} <= {
        "CYCLE",
        "TOO_DEEP",
    }
    found = dict(await rows("SELECT id, parent_id FROM tasks.task WHERE project_id = :id", id=tasks[0]["project_id"]))
    for one in found:
        above, steps = one, 0
        while found[above] is not None:
            above, steps = found[above], steps + 1
            assert steps <= 5
    counted = await rows(
        "SELECT count(*) FROM tasks.task p WHERE project_id = :id"
        " AND subtasks_total <> (SELECT count(*) FROM tasks.task c WHERE c.parent_id = p.id)",
        id=tasks[0]["project_id"],
    )
    assert counted == [(0,)]


async def test_b6_fifty_subtasks_completed_at_once_are_counted(make, patient_api, owner, read, rows):
    root = await make("root")
    subtasks = [await make(str(n), root) for n in range(25)]
    answers = await asyncio.gather(
        *(
            patient_api.patch(f"/api/v1/tasks/{task['id']}", json={"status": "done"}, headers=owner)
            for task in subtasks
        ),
        *(
            patient_api.patch(f"/api/v1/tasks/{root['id']}", json={"estimate_minutes": n}, headers=owner)
            for n in range(1, 26)
        ),
    )
    assert {answer.status_code for answer in answers} == {200}
    after = await read(root)
    assert after["progress"] == {"done": 25, "total": 25}
    assert after["version"] == 1 + 25 + 25 + 25


async def test_b6_a_parent_with_open_subtasks_is_not_completed_unless_asked(make, change, read, rows):
    root = await make("root")
    middle = await make("middle", root)
    leaf = await make("leaf", middle)
    await make("cancelled", root, status="cancelled")
    before = await rows(COUNT, id=root["workspace_id"])
    refused = await change(root, status="done")
    assert code(refused) == (409, "OPEN_SUBTASKS")
    assert refused.json()["data"] == {"count": 2, "task_ids": [middle["id"], leaf["id"]]}
    assert await rows(COUNT, id=root["workspace_id"]) == before
    left = await change(root, "?children=leave", status="done")
    assert (left.status_code, left.json()["data"]["progress"]) == (200, {"done": 0, "total": 1})
    assert (await read(middle))["status"] == "todo"
    assert (await change(root, status="todo")).status_code == 200
    assert (await change(root, status="cancelled")).status_code == 200
    assert code(await change(root, status="done")) == (409, "OPEN_SUBTASKS")
    assert code(await change(root, "?children=some", status="done")) == (422, "NOT_ALLOWED")


async def test_b6_completing_with_the_subtasks_is_one_change_of_each(make, change, read, rows):
    root = await make("root")
    middle = await make("middle", root)
    leaf = await make("leaf", middle)
    done = await make("done", root, status="done")
    cancelled = await make("cancelled", root, status="cancelled")
    below = await make("below cancelled", cancelled)
    seen = {task["id"]: (await read(task))["version"] for task in (root, middle, leaf, done, cancelled, below)}
    answer = await change(root, "?children=complete", status="done")
    assert (answer.status_code, answer.json()["data"]["progress"]) == (200, {"done": 2, "total": 2})
    after = {task["id"]: await read(task) for task in (root, middle, leaf, done, cancelled, below)}
    statuses = [after[task["id"]]["status"] for task in (root, middle, leaf, done, cancelled, below)]
    assert statuses == ["done", "done", "done", "done", "cancelled", "done"]
    assert all(after[task["id"]]["completed_at"] for task in (root, middle, leaf, below))
    assert after[middle["id"]]["progress"] == after[cancelled["id"]]["progress"] == {"done": 1, "total": 1}
    for task_id, version in seen.items():
        changed = task_id != done["id"]
        assert after[task_id]["version"] == version + changed
        log = await rows(LOG, id=task_id)
        assert [one[1] for one in log] == list(range(1, version + changed + 1))


async def test_b6_a_list_of_subtasks_and_of_others(make, api, owner):
    root = await make("root")
    one = await make("one", root)
    for query, titles in ((f"parent_id={root['id']}", ["one"]), ("parent_id=none", ["root"]), ("", ["one", "root"])):
        answer = (await api.get(f"/api/v1/tasks?{query}", headers=owner)).json()
        assert ([task["title"] for task in answer["data"]], answer["meta"]["total"]) == (titles, len(titles))
    assert (await api.get(f"/api/v1/tasks?parent_id={one['id']}", headers=owner)).json()["data"] == []
    assert code(await api.get("/api/v1/tasks?parent_id=x", headers=owner)) == (422, "VALUE_NOT_ALLOWED")


async def test_b6_a_task_of_another_system_has_a_place_too(make, api, owner, read):
    root = await make("root")
    path = "/api/v1/tasks/by-external/jira/1"
    made = await api.put(path, json={"title": "a", "parent_id": root["id"]}, headers=owner)
    assert (made.status_code, (await read(root))["progress"]) == (201, {"done": 0, "total": 1})
    task = made.json()["data"]
    done = await api.put(path, json={"title": "a", "status": "done"}, headers=owner)
    assert (done.status_code, (await read(root))["progress"]) == (200, {"done": 1, "total": 1})
    itself = await api.put(path, json={"title": "a", "parent_id": task["id"]}, headers=owner)
    assert code(itself) == (422, "CYCLE")
    below = await make("below", task)
    assert code(await api.put(path, json={"title": "a", "parent_id": below["id"]}, headers=owner)) == (422, "CYCLE")
    await api.put(path, json={"title": "a", "status": "todo"}, headers=owner)
    assert code(await api.put(path, json={"title": "a", "status": "done"}, headers=owner)) == (409, "OPEN_SUBTASKS")
    detached = await api.put(path, json={"title": "a", "parent_id": None}, headers=owner)
    assert (detached.json()["data"]["parent_id"], (await read(root))["progress"]["total"]) == (None, 0)


async def test_b6_who_sees_only_the_parent_by_a_share_does_not_change_what_is_below(make, api, rows, test_gateway):
    root = await make("root")
    leaf = await make("leaf", root)
    guest = uuid7()
    place = {"workspace": root["workspace_id"], "user": guest}
    await rows("INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'guest', 1, 1, now())", **place)
    await rows(
        "INSERT INTO tasks.task_share VALUES (uuidv7(), :workspace, :task, :user, 'editor', :user, 1, now())",
        task=root["id"],
        **place,
    )
    headers, path = test_gateway.headers(guest), f"/api/v1/tasks/{root['id']}"
    refused = await api.patch(path, json={"status": "done"}, headers=headers)
    assert (code(refused), refused.json()["data"]) == ((409, "OPEN_SUBTASKS"), {"count": 1, "task_ids": []})
    assert code(await api.patch(f"{path}?children=complete", json={"status": "done"}, headers=headers)) == (
        403,
        "FORBIDDEN",
    )
    assert code(await api.delete(path, headers=headers)) == (403, "FORBIDDEN")
    assert code(await api.patch(path, json={"parent_id": leaf["id"]}, headers=headers)) == (422, "PARENT_NOT_FOUND")
    assert await rows(LOG.replace(", changes", ""), id=leaf["id"]) == [("task.created.v1", 1)]
