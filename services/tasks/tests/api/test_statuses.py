"""Statuses of projects, and the tasks that have them."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
FIRST = [("todo", "todo"), ("in_progress", "in_progress"), ("done", "done"), ("cancelled", "cancelled")]


def codes(answer):
    return answer.status_code, [(one["code"], one["field"]) for one in answer.json()["errors"]]


@pytest.fixture
async def board(api, make_team):
    """A project with what to do with its statuses."""
    place = await make_team()
    project = await place.project()

    class Board:
        path = f"/api/v1/projects/{project['id']}/statuses"

        def __init__(self):
            self.place, self.project = place, project

        async def all(self):
            return (await api.get(self.path, headers=place.headers("owner"))).json()["data"]

        async def id_of(self, key):
            return next(one["id"] for one in await self.all() if one["key"] == key)

        async def add(self, by="owner", **body):
            return await api.post(self.path, json=body, headers=place.headers(by))

        async def change(self, key, /, by="owner", headers=(), **body):
            path = f"{self.path}/{await self.id_of(key)}"
            return await api.patch(path, json=body, headers={**place.headers(by), **dict(headers)})

        async def delete(self, key, /, move_to=None, headers=()):
            query = "" if move_to is None else f"?move_to={move_to}"
            path = f"{self.path}/{await self.id_of(key)}{query}"
            return await api.delete(path, headers={**place.headers("owner"), **dict(headers)})

        async def task(self, **fields):
            return await place.task(project, **fields)

        async def read(self, task):
            return (await api.get(f"/api/v1/tasks/{task['id']}", headers=place.headers("owner"))).json()["data"]

    return Board()


async def test_b5_statuses_are_added_changed_and_sorted(board, rows):
    assert [(one["key"], one["category"]) for one in await board.all()] == FIRST
    made = await board.add(name="In review", category="in_progress")
    assert (made.status_code, made.headers["etag"], bool(made.headers["x-cursor"])) == (201, '"1"', True)
    status = made.json()["data"]
    assert (status["key"], status["name"], status["position"]) == ("in_review", "In review", "a5")
    assert [one["key"] for one in await board.all()][-1] == "in_review"
    again = await board.add(name="In Review", category="todo")
    assert again.json()["data"]["key"] == "in_review_2"
    assert codes(await board.add(name="x", category="todo", key="done")) == (409, [("STATUS_EXISTS", "key")])
    assert codes(await board.change("todo", key="done")) == (409, [("STATUS_EXISTS", "key")])
    moved = await board.change("in_review", position="Zz", name="Review")
    assert (moved.status_code, moved.json()["data"]["version"]) == (200, 2)
    assert (await board.all())[0]["key"] == "in_review"
    assert (await board.task())["status"] == "in_review"
    same = await board.change("in_review", name="Review")
    assert (same.status_code, same.headers["etag"]) == (200, '"2"')
    assert await rows(LOG, id=status["id"]) == [("status.created.v1", 1), ("status.updated.v1", 2)]
    for body in (
        {"name": ""},
        {"category": "later"},
        {"key": "A"},
        {"position": "zzz"},
        {"position": "!"},
        {"id": "x"},
    ):
        assert (await board.change("todo", **body)).status_code == 422, body
    assert (await board.change("todo", headers={"if-match": '"7"'}, name="x")).status_code == 412


async def test_r35_who_does_not_manage_the_project_changes_no_status(api, board, user):
    assert (await board.add(by="ann", name="x", category="todo")).status_code == 403
    assert (await board.change("todo", by="ann", name="x")).status_code == 403
    assert (await board.add(by="guest", name="x", category="todo")).status_code == 404
    headers = user()
    mine = (await api.post("/api/v1/projects", json={"name": "mine"}, headers=headers)).json()["data"]
    elsewhere = f"/api/v1/projects/{mine['id']}/statuses/{await board.id_of('todo')}"
    assert (await api.patch(elsewhere, json={"name": "x"}, headers=headers)).status_code == 404
    assert (await api.delete(elsewhere, headers=headers)).status_code == 404


async def test_b5_a_status_in_use_goes_with_its_tasks_moved_to_another(api, board, rows):
    owner = str(board.place.users["owner"])
    parent = await board.task(status="in_progress")
    child = await board.task(parent_id=parent["id"])
    trashed = await board.task()
    await api.delete(f"/api/v1/tasks/{trashed['id']}", headers=board.place.headers("owner"))
    refused = await board.delete("todo")
    assert codes(refused) == (409, [("STATUS_IN_USE", None)])
    assert refused.json()["data"] == {"tasks": 2}
    for target in ("nothing", "todo", str(uuid7()), await board.id_of("todo")):
        assert codes(await board.delete("todo", target)) == (422, [("STATUS_NOT_FOUND", "move_to")])
    gone = await board.delete("todo", "done")
    assert (gone.status_code, gone.json()["data"], bool(gone.headers["x-cursor"])) == (200, None, True)
    assert [one["key"] for one in await board.all()] == ["in_progress", "done", "cancelled"]
    done = await board.read(child)
    assert (done["status"], done["status_category"], done["completed_by"]) == ("done", "done", owner)
    assert done["completed_at"] is not None
    assert (await board.read(parent))["progress"] == {"done": 1, "total": 1}
    in_trash = "SELECT status, version, completed_at IS NOT NULL FROM tasks.task WHERE id = :id"
    assert await rows(in_trash, id=trashed["id"]) == [("done", 3, True)]
    assert await rows(LOG, id=child["id"]) == [("task.created.v1", 1), ("task.updated.v1", 2)]
    assert await rows(LOG, id=trashed["id"]) == [
        ("task.created.v1", 1),
        ("task.deleted.v1", 2),
        ("task.updated.v1", 3),
    ]
    await board.add(name="Finished", category="done")
    back = await board.delete("done", await board.id_of("in_progress"))
    assert back.status_code == 200
    opened = await board.read(child)
    assert (opened["status"], opened["completed_at"], opened["completed_by"]) == ("in_progress", None, None)
    assert (await board.read(parent))["progress"] == {"done": 0, "total": 1}


async def test_b5_the_last_open_status_stays_and_the_last_that_completes_tasks(board, rows):
    task = await board.task(status="done")
    minimal = {"prefer": "return=minimal"}
    assert (await board.delete("todo", headers=minimal)).status_code == 204
    before = await board.all()
    for key, others in (("in_progress", ("done", "cancelled")), ("done", ("in_progress", "cancelled"))):
        for category in others:
            assert codes(await board.change(key, category=category)) == (409, [("LAST_STATUS", None)])
        for target in (None, "cancelled"):
            assert codes(await board.delete(key, target)) == (409, [("LAST_STATUS", None)])
    assert (await board.all(), (await board.read(task))["version"]) == (before, 1)
    assert (await board.change("done", name="Finished", key="finished")).status_code == 200
    assert (await board.change("in_progress", category="backlog")).status_code == 200
    assert (await board.delete("cancelled")).status_code == 200
    assert codes(await board.delete("finished", "in_progress")) == (409, [("LAST_STATUS", None)])
    await board.add(name="Done", category="done", key="done")
    assert (await board.delete("finished", "done")).status_code == 200
    assert (await board.read(task))["status"] == "done"
    of_project = "SELECT type FROM tasks.change WHERE entity_type = 'status' AND project_id = :id ORDER BY seq"
    assert [kind for (kind,) in await rows(of_project, id=board.project["id"])] == [
        "status.deleted.v1",
        "status.updated.v1",
        "status.updated.v1",
        "status.deleted.v1",
        "status.created.v1",
        "status.deleted.v1",
    ]


async def test_h5_making_a_status_is_not_undone_when_it_is_the_last_that_completes_tasks(api, board):
    headers = {**board.place.headers("owner"), "x-request-id": "made-finished"}
    made = await api.post(board.path, json={"name": "Finished", "category": "done"}, headers=headers)
    assert (made.status_code, (await board.delete("done")).status_code) == (201, 200)
    undone = await api.post("/api/v1/operations/made-finished/undo", headers=board.place.headers("owner"))
    assert codes(undone) == (409, [("LAST_STATUS", None)])
    assert [one["key"] for one in await board.all()] == ["todo", "in_progress", "cancelled", "finished"]


async def test_b5_a_project_that_can_complete_nothing_any_more_is_not_held_up(board, rows):
    """An earlier release let its last such status go."""
    await rows("DELETE FROM tasks.status WHERE project_id = :id AND category = 'done'", id=board.project["id"])
    for key in ("cancelled", "todo"):
        assert (await board.delete(key)).status_code == 200
    assert codes(await board.delete("in_progress")) == (409, [("LAST_STATUS", None)])
    assert (await board.change("in_progress", category="todo")).status_code == 200


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
@pytest.mark.parametrize("category", ["done", "backlog"])
async def test_b5_of_the_last_twenty_of_a_kind_that_go_at_once_one_stays(api, board, method, category):
    kinds = {"done"} if category == "done" else {"backlog", "todo", "in_progress"}
    for _ in range(19 if category == "done" else 18):
        await board.add(name="x", category=category)
    paths = [f"{board.path}/{one['id']}" for one in await board.all() if one["category"] in kinds]
    body = {"category": "cancelled"} if method == "PATCH" else None
    headers = board.place.headers("owner")
    answers = await asyncio.gather(*(api.request(method, path, json=body, headers=headers) for path in paths))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [409]
    assert [codes(one)[1] for one in answers if one.status_code == 409] == [[("LAST_STATUS", None)]]
    assert len([one for one in await board.all() if one["category"] in kinds]) == 1


async def test_b5_of_the_last_two_whose_tasks_get_the_other_one_stays_with_the_tasks(api, board):
    headers = board.place.headers("owner")
    for _ in range(10):
        made = (await board.add(name="Finished", category="done")).json()["data"]
        there = next(one for one in await board.all() if one["category"] == "done" and one["id"] != made["id"])
        tasks = [await board.task(status=one["key"]) for one in (made, there)]
        answers = await asyncio.gather(
            *(
                api.delete(f"{board.path}/{gone['id']}?move_to={kept['id']}", headers=headers)
                for gone, kept in ((made, there), (there, made))
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        [left] = [one["key"] for one in await board.all() if one["category"] == "done"]
        assert {(await board.read(task))["status"] for task in tasks} == {left}


async def test_b5_tasks_follow_the_category_and_the_key_of_their_status(board, rows):
    parent = await board.task(status="in_progress")
    task = await board.task(parent_id=parent["id"])
    answer = await board.change("todo", category="done", key="finished", name="Finished")
    assert (answer.status_code, answer.json()["data"]["version"]) == (200, 2)
    done = await board.read(task)
    assert (done["status"], done["status_category"], done["version"]) == ("finished", "done", 2)
    assert done["completed_by"] == str(board.place.users["owner"])
    assert (await board.read(parent))["progress"] == {"done": 1, "total": 1}
    await board.change("finished", category="backlog")
    opened = await board.read(task)
    assert (opened["status_category"], opened["completed_at"], opened["version"]) == ("backlog", None, 3)
    changes = "SELECT changes FROM tasks.change WHERE entity_id = :id ORDER BY seq"
    second = (await rows(changes, id=task["id"]))[1][0]
    assert [one["field"] for one in second] == ["status", "status_category", "completed_at", "completed_by"]
    status = answer.json()["data"]["id"]
    assert await rows(LOG, id=status) == [("status.updated.v1", 2), ("status.updated.v1", 3)]
    assert await rows(LOG, id=task["id"]) == [
        ("task.created.v1", 1),
        ("task.updated.v1", 2),
        ("task.updated.v1", 3),
    ]


RACED = """
    SELECT task.status, task.status_category, status.category, task.completed_at IS NOT NULL
    FROM tasks.task LEFT JOIN tasks.status ON status.project_id = task.project_id AND status.key = task.status
    WHERE task.project_id = :id
"""


async def test_b5_a_task_that_is_made_while_its_status_goes_has_one_that_is_there(api, board, rows):
    headers = board.place.headers("owner")
    for n in range(5):
        key = f"s{n}"
        await board.add(name="x", category="todo", key=key)
        body = {"title": "t", "project_id": board.project["id"], "status": key}
        other = await board.task()
        gone, *answers = await asyncio.gather(
            board.delete(key, "done"),
            *(api.post("/api/v1/tasks", json=body, headers=headers) for _ in range(12)),
            *(
                api.patch(f"/api/v1/tasks/{other['id']}", json={"status": status}, headers=headers)
                for status in (key, "in_progress")
            ),
        )
        assert gone.status_code == 200
        assert {answer.status_code for answer in answers} <= {200, 201, 422}, [one.text for one in answers]
    found = await rows(RACED, id=board.project["id"])
    assert all(category == of_status and done is (category == "done") for _, category, of_status, done in found)


async def test_b5_a_task_that_is_made_while_its_status_changes_category_has_the_new_one(api, board, rows):
    headers = board.place.headers("owner")
    body = {"title": "t", "project_id": board.project["id"], "status": "todo"}
    for category in ("in_progress", "backlog", "todo", "in_progress", "todo"):
        changed, *_ = await asyncio.gather(
            board.change("todo", category=category),
            *(api.post("/api/v1/tasks", json=body, headers=headers) for _ in range(12)),
        )
        assert changed.status_code == 200
    found = await rows(RACED, id=board.project["id"])
    assert len(found) == 60
    assert {(category, of_status) for _, category, of_status, _ in found} == {("todo", "todo")}


async def test_b5_of_twenty_that_add_one_key_at_once_one_does_and_there_are_fifty_at_most(board):
    answers = await asyncio.gather(*(board.add(name="x", category="todo", key="x") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    for _ in range(40):
        assert (await board.add(name="y", category="todo")).status_code == 201
    answers = await asyncio.gather(*(board.add(name="z", category="todo") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 5
    assert codes(max(answers, key=lambda one: one.status_code)) == (409, [("STATUS_LIMIT_REACHED", None)])
    assert len(await board.all()) == 50


async def test_b5_moving_a_thousand_tasks_asks_as_often_as_moving_one(board, rows, database):
    counts = []
    for key, number in (("a", 1), ("b", 1000)):
        await board.add(name="x", category="todo", key=key)
        await rows(
            "INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, created_by, version,"
            " created_at, updated_at) SELECT uuidv7(), :w, :p, 't', :key, 'none', :u, 1, now(), now()"
            " FROM generate_series(1, :number)",
            w=board.place.id,
            p=board.project["id"],
            u=board.place.users["owner"],
            key=key,
            number=number,
        )
        with statements_seen(database.writer) as seen:
            assert (await board.delete(key, "in_progress")).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]
    moved = "SELECT count(*) FROM tasks.task WHERE project_id = :id AND status = 'in_progress' AND version = 2"
    assert await rows(moved, id=board.project["id"]) == [(1001,)]
    told = "SELECT count(*) FROM tasks.change WHERE project_id = :id AND type = 'task.updated.v1'"
    assert await rows(told, id=board.project["id"]) == [(1001,)]


async def test_b5_more_than_ten_thousand_tasks_are_not_moved_at_once(board, rows):
    await rows(
        "INSERT INTO tasks.task (id, workspace_id, project_id, number, title, status, priority, created_by, version,"
        " created_at, updated_at) SELECT uuidv7(), :w, :p, n, 't', 'todo', 'none', :u, 1, now(), now()"
        " FROM generate_series(1, 10001) n",
        w=board.place.id,
        p=board.project["id"],
        u=board.place.users["owner"],
    )
    assert codes(await board.delete("todo", "done")) == (409, [("TOO_MANY_TASKS", None)])
