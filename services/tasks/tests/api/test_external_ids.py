"""Tasks that another system keeps, too (B3): one for each of its ids, however often and fast it sends them."""

import asyncio

import pytest
from chassis.ids import uuid7

PATH = "/api/v1/tasks/by-external/jira/{}"
LOG = "SELECT type, version FROM tasks.change WHERE entity_type = 'task' AND workspace_id = :id ORDER BY seq"


@pytest.fixture
async def owner(api, user):
    headers = user()
    made = await api.post("/api/v1/tasks", json={"title": "first"}, headers=headers)
    return headers, made.json()["data"]


async def test_b3_put_creates_then_updates_what_is_given_and_nothing_else(api, owner, rows):
    headers, first = owner
    path = PATH.format("A-1")
    made = await api.put(path, json={"title": "a", "description": "d", "due": "2026-12-01"}, headers=headers)
    task = made.json()["data"]
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"/api/v1/tasks/{task['id']}"
    assert (task["external_source"], task["external_id"], task["project_id"]) == ("jira", "A-1", first["project_id"])
    same = await api.put(path, json={"title": "a", "description": "d", "due": "2026-12-01"}, headers=headers)
    assert (same.status_code, same.json()["data"]) == (200, task)
    changed = await api.put(path, json={"title": "b", "due": None}, headers=headers)
    after = changed.json()["data"]
    assert (changed.status_code, changed.headers["etag"], "location" in changed.headers) == (200, '"2"', False)
    assert after == {**task, "title": "b", "due": None, "version": 2, "updated_at": after["updated_at"]}
    assert (await api.get(path, headers=headers)).json()["data"] == after
    log = await rows("SELECT type, changes FROM tasks.change WHERE entity_id = :id ORDER BY seq", id=task["id"])
    assert [one[0] for one in log] == ["task.created.v1", "task.updated.v1"]
    assert [(one["field"], one["new"]) for one in log[1][1]] == [("title", "b"), ("due", None)]


async def test_b3_completion_follows_the_status(api, owner):
    headers, _ = owner
    path = PATH.format("A-1")
    done = (await api.put(path, json={"title": "a", "status": "done"}, headers=headers)).json()["data"]
    assert (done["status_category"], done["completed_at"] is None) == ("done", False)
    still = (await api.put(path, json={"title": "b", "status": "done"}, headers=headers)).json()["data"]
    assert still["completed_at"] == done["completed_at"]
    kept = (await api.put(path, json={"title": "c"}, headers=headers)).json()["data"]
    assert (kept["status"], kept["completed_at"]) == ("done", done["completed_at"])
    opened = (await api.put(path, json={"title": "c", "status": "todo"}, headers=headers)).json()["data"]
    assert (opened["status_category"], opened["completed_at"], opened["completed_by"]) == ("todo", None, None)


async def test_b3_fifty_at_once_make_one_task_and_note_each_effect_once(patient_api, owner, rows):
    headers, first = owner
    path = PATH.format("A-1")
    answers = await asyncio.gather(
        *(patient_api.put(path, json={"title": f"t{n % 5}"}, headers=headers) for n in range(50)),
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    (version,) = (
        await rows(
            "SELECT version FROM tasks.task WHERE external_id = 'A-1' AND project_id = :id", id=first["project_id"]
        )
    )[0]
    log = await rows(LOG, id=first["workspace_id"])
    assert log[1:] == [("task.created.v1", 1), *(("task.updated.v1", n) for n in range(2, version + 1))]
    assert max(answer.json()["data"]["version"] for answer in answers) == version


async def test_b3_an_external_id_is_one_tasks_in_its_project(api, owner, database, rows):
    headers, first = owner
    named = {"title": "a", "external_source": "jira", "external_id": "A-1"}
    made = await asyncio.gather(*(api.post("/api/v1/tasks", json=named, headers=headers) for _ in range(10)))
    assert sorted(answer.status_code for answer in made) == [201] + [409] * 9
    refused = next(answer for answer in made if answer.status_code == 409)
    assert (refused.json()["errors"][0]["code"], refused.json()["errors"][0]["field"]) == (
        "EXTERNAL_ID_TAKEN",
        "external_id",
    )
    assert len(await rows(LOG, id=first["workspace_id"])) == 2
    other = await api.post("/api/v1/tasks", json={**named, "external_source": "github"}, headers=headers)
    assert other.status_code == 201


async def test_b3_a_task_in_the_trash_leaves_its_external_id_to_a_new_one(api, owner):
    headers, _ = owner
    path = PATH.format("A-1")
    gone = (await api.put(path, json={"title": "a"}, headers=headers)).json()["data"]
    await api.delete(f"/api/v1/tasks/{gone['id']}", headers=headers)
    assert (await api.get(path, headers=headers)).status_code == 404
    again = await api.put(path, json={"title": "a"}, headers=headers)
    assert (again.status_code, again.json()["data"]["id"] == gone["id"]) == (201, False)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"external_source": "jira"}, None, "EXTERNAL_ID_INCOMPLETE"),
        ({"external_id": "1"}, None, "EXTERNAL_ID_INCOMPLETE"),
        ({"external_source": "j/ra", "external_id": "1"}, "external_source", "INVALID_FORMAT"),
        ({"external_source": "jira", "external_id": "a/b"}, "external_id", "INVALID_FORMAT"),
        ({"external_source": "jira", "external_id": "x" * 256}, "external_id", "INVALID_FORMAT"),
        ({"created_by": str(uuid7())}, "created_by", "READ_ONLY_FIELD"),
    ],
)
async def test_b3_what_is_not_accepted(api, owner, body, field, code):
    headers, _ = owner
    answer = await api.post("/api/v1/tasks", json={"title": "a", **body}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"], answer.json()["errors"][0]["field"]) == (
        422,
        code,
        field,
    )


async def test_b3_created_by_is_who_made_it_whatever_is_said(api, owner, rows):
    headers, _ = owner
    answer = await api.put(PATH.format(1), json={"title": "a", "created_by": str(uuid7())}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "READ_ONLY_FIELD")


async def test_b3_dates_that_do_not_fit_what_is_there_change_nothing(api, owner, rows):
    headers, first = owner
    path = PATH.format("A-1")
    await api.put(path, json={"title": "a", "due": "2026-12-01"}, headers=headers)
    answer = await api.put(path, json={"title": "b", "start": "2026-12-02"}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "DATES_OUT_OF_ORDER")
    assert (await api.get(path, headers=headers)).json()["data"]["title"] == "a"
    assert len(await rows(LOG, id=first["workspace_id"])) == 2


async def test_b3_assignees_are_kept_unless_they_are_given(api, test_gateway, rows):
    me = uuid7()
    headers, path = test_gateway.headers(me), PATH.format("A-1")
    made = await api.put(path, json={"title": "a", "assignees": [str(me)]}, headers=headers)
    assert (made.status_code, made.json()["data"]["assignees"]) == (201, [str(me)])
    kept = await api.put(path, json={"title": "b"}, headers=headers)
    assert (kept.json()["data"]["assigned_to"], kept.json()["data"]["assignees"]) == (str(me), [str(me)])
    cleared = await api.put(path, json={"title": "b", "assignees": []}, headers=headers)
    assert (cleared.json()["data"]["assigned_to"], cleared.json()["data"]["assignees"]) == (None, [])
    assert await rows("SELECT count(*) FROM tasks.assignee WHERE task_id = :id", id=made.json()["data"]["id"]) == [(0,)]


async def test_b3_with_if_match_nothing_is_made_or_changed_at_another_version(api, owner, rows):
    headers, first = owner
    path = PATH.format("A-1")

    async def put(body, tag):
        return await api.put(path, json=body, headers={**headers, "if-match": tag})

    for tag in ('"1"', "*"):
        assert (await put({"title": "a"}, tag)).status_code == 412
    assert (await api.get(path, headers=headers)).status_code == 404
    await api.put(path, json={"title": "a"}, headers=headers)
    assert (await put({"title": "b"}, '"1"')).json()["data"]["version"] == 2
    for body in ({"title": "c"}, {"title": "b"}):
        stale = await put(body, '"1"')
        assert (stale.status_code, stale.json()["errors"][0]["code"]) == (412, "VERSION_CONFLICT")
        assert stale.json()["errors"][0]["field"] == "title"
        current = stale.json()["data"]["current"]
        assert (current["title"], current["version"], current["key"]) == ("b", 2, "INBOX-2")
    assert (await put({"title": "c"}, "*")).json()["data"]["version"] == 3
    log = await rows(LOG, id=first["workspace_id"])
    assert log == [("task.created.v1", 1), ("task.created.v1", 1), ("task.updated.v1", 2), ("task.updated.v1", 3)]


async def test_b3_a_part_of_what_another_system_keeps_is_read(api, owner):
    headers, _ = owner
    made = await api.put(PATH.format("A-9"), json={"title": "a"}, headers=headers)
    task = made.json()["data"]
    answer = await api.get(PATH.format("A-9?fields=title&include=starred"), headers=headers)
    assert answer.json()["data"] == {"id": task["id"], "title": "a", "is_starred": False}
    assert answer.headers["etag"] == '"1"'
    refused = await api.get(PATH.format("A-9?fields=titel"), headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "UNKNOWN_FIELD")
