"""C1: categories of a workspace and of one's own, and what becomes of their tasks."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

PATH = "/api/v1/categories"
LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
SHARED_LOG = "SELECT type, audience FROM tasks.change WHERE entity_id = :id ORDER BY seq"


async def made(api, headers, path=PATH, **wanted):
    answer = await api.post(path, json=wanted, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def task_in(api, headers, **wanted):
    return await made(api, headers, "/api/v1/tasks", title="a", **wanted)


def code(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_c1_a_personal_category_is_its_owners_alone(api, user, crew, rows):
    headers = user()
    mine = await made(api, headers, name="Garden", color="#2E7D32")
    assert (mine["personal"], mine["color"], mine["version"]) == (True, "#2e7d32", 1)
    task = await task_in(api, headers, category_id=mine["id"])
    assert (task["category_id"], task["workspace_id"]) == (mine["id"], mine["workspace_id"])
    assert [one["id"] for one in (await api.get(PATH, headers=headers)).json()["data"]] == [mine["id"]]
    read = await api.get(f"{PATH}/{mine['id']}", headers=headers)
    assert (read.json()["data"], read.headers["etag"]) == (mine, '"1"')
    for method in ("GET", "PATCH", "DELETE"):
        body = {"name": "b"} if method == "PATCH" else None
        answer = await api.request(method, f"{PATH}/{mine['id']}", json=body, headers=crew["owner"])
        assert code(answer) == (404, "NOT_FOUND")
    assert (await api.get(PATH, headers=crew["owner"])).json()["data"] == []
    creator = task["created_by"]
    assert [(name, [str(one) for one in seen]) for name, seen in await rows(SHARED_LOG, id=mine["id"])] == [
        ("category.created.v1", [creator])
    ]


async def test_c1_a_personal_category_is_hidden_from_owners_of_the_workspace_that_it_is_in(api, user, rows, join):
    """Whoever else comes into a personal workspace sees nothing of what is its owner's alone."""
    headers = user()
    mine = await made(api, headers, name="Garden")
    other = user()
    visitor = (await made(api, other, name="x"))["created_by"]
    await join(mine["workspace_id"], visitor, "owner")
    assert code(await api.get(f"{PATH}/{mine['id']}", headers=other)) == (404, "NOT_FOUND")
    listed = (await api.get(f"{PATH}?workspace_id={mine['workspace_id']}", headers=other)).json()["data"]
    assert listed == []
    task = await task_in(api, headers)
    answer = await api.patch(f"/api/v1/tasks/{task['id']}", json={"category_id": mine["id"]}, headers=other)
    assert code(answer) == (422, "CATEGORY_NOT_FOUND")


async def test_c1_a_task_takes_a_category_of_its_workspace_and_no_other(api, user, crew, rows):
    shared = await made(api, crew["owner"], name="Garden", workspace_id=crew["workspace"])
    personal = await made(api, crew["member"], name="Garden")
    owners = await made(api, crew["owner"], name="Garden")
    task = await task_in(api, crew["member"], project_id=crew["project"], category_id=shared["id"])
    assert task["category_id"] == shared["id"]
    path = f"/api/v1/tasks/{task['id']}"
    refused = [
        await api.patch(path, json={"category_id": wrong}, headers=crew["member"])
        for wrong in (personal["id"], owners["id"], str(uuid7()))
    ]
    assert [code(answer) for answer in refused] == [(422, "CATEGORY_NOT_FOUND")] * 3
    assert {answer.json()["errors"][0]["field"] for answer in refused} == {"category_id"}
    wanted = {"title": "b", "project_id": crew["project"], "category_id": personal["id"]}
    assert code(await api.post("/api/v1/tasks", json=wanted, headers=crew["member"])) == (422, "CATEGORY_NOT_FOUND")
    inbox = await task_in(api, crew["member"])
    answer = await api.patch(f"/api/v1/tasks/{inbox['id']}", json={"category_id": shared["id"]}, headers=crew["member"])
    assert code(answer) == (422, "CATEGORY_NOT_FOUND")
    cleared = await api.patch(path, json={"category_id": None}, headers=crew["member"])
    assert (cleared.json()["data"]["category_id"], cleared.json()["data"]["version"]) == (None, 2)
    assert await rows("SELECT changes FROM tasks.change WHERE entity_id = :id AND version = 2", id=task["id"]) == [
        ([{"field": "category_id", "old": shared["id"], "new": None}],)
    ]


async def test_c1_names_are_unique_where_they_are(api, crew):
    shared = {"name": "Straße", "workspace_id": crew["workspace"]}
    assert (await api.post(PATH, json=shared, headers=crew["owner"])).status_code == 201
    answers = [
        await api.post(PATH, json={**shared, "name": name}, headers=crew["member"])
        for name in ("STRASSE", " strasse ", "\uff53traße")
    ]
    assert [code(answer) for answer in answers] == [(409, "CATEGORY_EXISTS")] * 3
    for headers in (crew["owner"], crew["member"]):
        assert (await api.post(PATH, json={"name": "strasse"}, headers=headers)).status_code == 201
        assert code(await api.post(PATH, json={"name": "STRASSE"}, headers=headers)) == (409, "CATEGORY_EXISTS")
    other = await made(api, crew["owner"], name="b", workspace_id=crew["workspace"])
    answer = await api.patch(f"{PATH}/{other['id']}", json={"name": "STRASSE"}, headers=crew["owner"])
    assert (code(answer), answer.json()["errors"][0]["field"]) == ((409, "CATEGORY_EXISTS"), "name")
    same = await api.patch(f"{PATH}/{other['id']}", json={"name": "B"}, headers=crew["owner"])
    assert (same.json()["data"]["name"], same.json()["data"]["version"]) == ("B", 2)


async def test_c1_of_twenty_equal_names_at_once_one_is_made(api, crew, rows):
    wanted = [{"name": name, "workspace_id": crew["workspace"]} for name in ("Garden", "GARDEN") * 10]
    answers = await asyncio.gather(*(api.post(PATH, json=one, headers=crew["owner"]) for one in wanted))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert await rows("SELECT count(*) FROM tasks.change WHERE workspace_id = :id", id=crew["workspace"]) == [(1,)]


async def test_c1_changes_follow_preconditions_and_say_nothing_twice(api, crew, rows):
    one = await made(api, crew["owner"], name="Garden", workspace_id=crew["workspace"])
    path = f"{PATH}/{one['id']}"
    for patch in ({}, {"name": "Garden"}, {"color": None}):
        answer = await api.patch(path, json=patch, headers=crew["member"])
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    changed = await api.patch(path, json={"name": "Balcony"}, headers={**crew["member"], "if-match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    stale = {**crew["member"], "if-match": '"1"'}
    answer = await api.patch(path, json={"name": "c"}, headers=stale)
    assert (answer.status_code, [entry["field"] for entry in answer.json()["errors"]]) == (412, ["name"])
    merged = await api.patch(f"{path}?merge=fields", json={"color": "#000000"}, headers=stale)
    assert merged.headers["etag"] == '"3"'
    assert (await api.delete(path, headers={**crew["owner"], "if-match": '"1"'})).status_code == 412
    assert await rows(LOG, id=one["id"]) == [
        ("category.created.v1", 1),
        ("category.updated.v1", 2),
        ("category.updated.v1", 3),
    ]
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=crew["workspace"])
    assert code(await api.patch(path, json={"name": "d"}, headers=crew["owner"])) == (428, "IF_MATCH_REQUIRED")
    assert code(await api.delete(path, headers=crew["owner"])) == (428, "IF_MATCH_REQUIRED")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"name": "ﷺ" * 30},
        {"name": "a", "color": "green"},
        {"name": "a", "owner_id": str(uuid7())},
        {},
    ],
)
async def test_c1_what_is_no_category_is_422(api, user, wrong):
    assert (await api.post(PATH, json=wrong, headers=user())).status_code == 422


async def test_c1_a_plan_that_is_none_is_422(api, user):
    headers = user()
    mine = await made(api, headers, name="Garden")
    for wrong in ("", "keep", "move_to:", "move_to:x", f"clear {mine['id']}"):
        assert (await api.delete(f"{PATH}/{mine['id']}?tasks={wrong}", headers=headers)).status_code == 422
    for wrong in (mine["id"], uuid7()):
        answer = await api.delete(f"{PATH}/{mine['id']}?tasks=move_to:{wrong}", headers=headers)
        assert (code(answer), answer.json()["errors"][0]["field"]) == ((422, "CATEGORY_NOT_FOUND"), "tasks")


@pytest.mark.parametrize("moves", [False, True])
async def test_c1_deleting_gives_its_tasks_another_or_none_with_one_event_each(api, crew, rows, moves):
    old = await made(api, crew["owner"], name="Garden", workspace_id=crew["workspace"])
    new = await made(api, crew["owner"], name="Balcony", workspace_id=crew["workspace"])
    wanted = {"project_id": crew["project"], "category_id": old["id"]}
    tasks = [await task_in(api, crew["member"], **wanted) for _ in range(3)]
    other = await task_in(api, crew["member"], project_id=crew["project"], category_id=new["id"])
    await api.delete(f"/api/v1/tasks/{tasks[2]['id']}", headers=crew["member"])
    plan = f"?tasks=move_to:{new['id']}" if moves else ""
    answer = await api.delete(f"{PATH}/{old['id']}{plan}", headers=crew["owner"])
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert answer.headers["x-cursor"]
    target = new["id"] if moves else None
    assert [
        (await api.get(f"/api/v1/tasks/{task['id']}", headers=crew["member"])).json()["data"]["category_id"]
        for task in tasks[:2]
    ] == [target] * 2
    log = await rows(
        "SELECT type, entity_id::text, version, changes FROM tasks.change"
        " WHERE workspace_id = :id ORDER BY seq DESC LIMIT 4",
        id=crew["workspace"],
    )
    change = [{"field": "category_id", "old": old["id"], "new": target}]
    assert log[0][:3] == ("category.deleted.v1", old["id"], 2)
    assert log[:0:-1] == [
        ("task.updated.v1", tasks[0]["id"], 2, change),
        ("task.updated.v1", tasks[1]["id"], 2, change),
        ("task.updated.v1", tasks[2]["id"], 3, change),
    ]
    assert await rows(LOG, id=other["id"]) == [("task.created.v1", 1)]
    assert code(await api.get(f"{PATH}/{old['id']}", headers=crew["owner"])) == (404, "NOT_FOUND")


async def test_c1_deleting_takes_the_same_number_of_statements_for_one_task_and_for_thirty(api, crew, database):
    async def statements(count):
        one = await made(api, crew["owner"], name=f"of {count}", workspace_id=crew["workspace"])
        for _ in range(count):
            await task_in(api, crew["member"], project_id=crew["project"], category_id=one["id"])
        with statements_seen(database.writer) as seen:
            assert (await api.delete(f"{PATH}/{one['id']}", headers=crew["owner"])).status_code == 200
        return len(seen)

    assert await statements(1) == await statements(30)


async def test_c1_listing_takes_two_statements_however_many_there_are(api, crew, database):
    for name in ("c", "B", "a"):
        await made(api, crew["owner"], name=name, workspace_id=crew["workspace"])
    with statements_seen(database.reader) as seen:
        listed = (await api.get(f"{PATH}?per_page=2", headers=crew["member"])).json()
    assert ([one["name"] for one in listed["data"]], listed["meta"]["total"], len(seen)) == (["a", "B"], 3, 2)


async def test_c1_a_deletion_never_leaves_the_id_of_what_is_gone(api, crew, rows):
    """Assignments race with the deletion, and with one that moves the tasks to what is being deleted as well."""
    for _ in range(10):
        one, other = [
            await made(api, crew["owner"], name=name, workspace_id=crew["workspace"]) for name in ("one", "other")
        ]
        tasks = [await task_in(api, crew["member"], project_id=crew["project"]) for _ in range(3)]
        assigning = [
            api.patch(f"/api/v1/tasks/{task['id']}", json={"category_id": one["id"]}, headers=crew["member"])
            for task in tasks
        ]
        answers = await asyncio.gather(
            *assigning,
            api.delete(f"{PATH}/{one['id']}?tasks=move_to:{other['id']}", headers=crew["owner"]),
            api.delete(f"{PATH}/{other['id']}?tasks=move_to:{one['id']}", headers=crew["owner"]),
        )
        assert {answer.status_code for answer in answers[:3]} <= {200, 422}
        gone = sorted(answer.status_code for answer in answers[3:])
        assert gone == [200, 422], [answer.text for answer in answers]
        left = [await task_row(rows, task) for task in tasks]
        there = {str(row[0]) for row in await rows("SELECT id FROM tasks.category")}
        assert all(row[0] is None or str(row[0]) in there for row in left)
        for task in tasks:
            versions = [version for _, version in await rows(LOG, id=task["id"])]
            assert versions == list(range(1, len(versions) + 1))
        for category in (one, other):
            await api.delete(f"{PATH}/{category['id']}", headers=crew["owner"])


async def task_row(rows, task):
    return (await rows("SELECT category_id FROM tasks.task WHERE id = :id", id=task["id"]))[0]


async def test_c1_a_token_of_a_project_sees_what_its_tasks_have_and_changes_none(api, crew, test_gateway):
    shared = await made(api, crew["owner"], name="Garden", workspace_id=crew["workspace"])
    await made(api, crew["owner"], name="Mine")
    token = test_gateway.token_headers(
        crew["ids"][0], "tasks:read", "tasks:write", "tasks:delete", project_ids=[crew["project"]]
    )
    assert [one["id"] for one in (await api.get(PATH, headers=token)).json()["data"]] == [shared["id"]]
    refused = [
        await api.patch(f"{PATH}/{shared['id']}", json={"name": "b"}, headers=token),
        await api.delete(f"{PATH}/{shared['id']}", headers=token),
        await api.post(PATH, json={"name": "b", "workspace_id": crew["workspace"]}, headers=token),
    ]
    assert [code(answer) for answer in refused] == [(403, "FORBIDDEN")] * 3
    assert code(await api.post(PATH, json={"name": "b"}, headers=token)) == (422, "WORKSPACE_NOT_FOUND")
