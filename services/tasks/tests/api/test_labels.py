"""C3: labels of a workspace, which are on tasks, and one's own, which nobody else sees."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

PATH = "/api/v1/labels"
LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
OF_TASK = "SELECT type, audience FROM tasks.change WHERE task_id = :id ORDER BY seq"


async def made(api, headers, path=PATH, **wanted):
    answer = await api.post(path, json=wanted, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def task_in(api, crew, **wanted):
    return await made(api, crew["member"], "/api/v1/tasks", title="a", project_id=crew["project"], **wanted)


async def labels_in(api, crew, *names):
    return [await made(api, crew["owner"], name=name, workspace_id=crew["workspace"]) for name in names]


async def read(api, headers, task, query=""):
    return (await api.get(f"/api/v1/tasks/{task['id']}{query}", headers=headers)).json()["data"]


def ids(labels):
    return [one["id"] for one in labels]


def code(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_c3_names_are_unique_where_they_are(api, crew):
    await labels_in(api, crew, "Straße")
    for name in ("STRASSE", " strasse ", "\uff53traße"):
        answer = await api.post(PATH, json={"name": name, "workspace_id": crew["workspace"]}, headers=crew["member"])
        assert (code(answer), answer.json()["errors"][0]["field"]) == ((409, "LABEL_EXISTS"), "name")
    for headers in (crew["owner"], crew["member"]):
        assert (await api.post(PATH, json={"name": "strasse", "personal": True}, headers=headers)).status_code == 201
        answer = await api.post(PATH, json={"name": "Strasse", "personal": True}, headers=headers)
        assert code(answer) == (409, "LABEL_EXISTS")
    [other] = await labels_in(api, crew, "b")
    answer = await api.patch(f"{PATH}/{other['id']}", json={"name": "STRASSE"}, headers=crew["owner"])
    assert code(answer) == (409, "LABEL_EXISTS")


async def test_c3_of_twenty_equal_names_at_once_one_is_made(api, crew, rows):
    wanted = [{"name": name, "workspace_id": crew["workspace"]} for name in ("urgent", "URGENT") * 10]
    answers = await asyncio.gather(*(api.post(PATH, json=one, headers=crew["owner"]) for one in wanted))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {code(answer) for answer in answers if answer.status_code != 201} == {(409, "LABEL_EXISTS")}
    assert await rows("SELECT count(*) FROM tasks.change WHERE workspace_id = :id", id=crew["workspace"]) == [(1,)]


async def test_c3_a_rename_is_one_event_and_changes_no_task(api, crew, rows):
    [label] = await labels_in(api, crew, "urgent")
    task = await task_in(api, crew, labels=[label["id"]])
    answer = await api.patch(f"{PATH}/{label['id']}", json={"name": "pressing"}, headers=crew["member"])
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert await rows(LOG, id=label["id"]) == [("label.created.v1", 1), ("label.updated.v1", 2)]
    assert (await read(api, crew["member"], task))["version"] == 1


async def test_c3_a_task_takes_labels_of_its_workspace_in_no_order_and_no_others(api, crew):
    a, b = await labels_in(api, crew, "a", "b")
    personal = await made(api, crew["member"], name="mine", personal=True)
    elsewhere = await made(api, crew["member"], name="elsewhere")
    task = await task_in(api, crew, labels=[b["id"], a["id"], b["id"]])
    assert task["labels"] == sorted(ids((a, b)))
    path = f"/api/v1/tasks/{task['id']}"
    same = await api.patch(path, json={"labels": [b["id"], a["id"]]}, headers=crew["member"])
    assert same.headers["etag"] == '"1"'
    wrong = [a["id"], personal["id"], elsewhere["id"], str(uuid7())]
    answer = await api.patch(path, json={"labels": wrong}, headers=crew["member"])
    assert [(one["code"], one["field"]) for one in answer.json()["errors"]] == [
        ("LABEL_NOT_FOUND", f"labels.{index}") for index in (1, 2, 3)
    ]
    wanted = {"title": "b", "project_id": crew["project"], "labels": [personal["id"]]}
    assert code(await api.post("/api/v1/tasks", json=wanted, headers=crew["member"])) == (422, "LABEL_NOT_FOUND")
    assert (await api.patch(path, json={"labels": None}, headers=crew["member"])).status_code == 422
    many = {"labels": [str(uuid7()) for _ in range(51)]}
    assert code(await api.patch(path, json=many, headers=crew["member"])) == (422, "TOO_MANY")
    cleared = await api.patch(path, json={"labels": []}, headers=crew["member"])
    assert (cleared.json()["data"]["labels"], cleared.headers["etag"]) == ([], '"2"')


async def test_c3_putting_and_taking_off_are_idempotent(api, crew, rows):
    a, b = await labels_in(api, crew, "a", "b")
    task = await task_in(api, crew)
    path = f"/api/v1/tasks/{task['id']}/labels"
    for label, version in ((b, 2), (a, 3), (a, 3)):
        answer = await api.put(f"{path}/{label['id']}", headers=crew["member"])
        assert (answer.status_code, answer.headers["etag"]) == (200, f'"{version}"')
    shown = answer.json()["data"]
    assert (shown["labels"], shown["version"]) == (sorted(ids((a, b))), 3)
    assert shown["label_details"] == [
        {"id": one["id"], "name": one["name"], "color": None, "personal": False} for one in (a, b)
    ]
    assert "permissions" not in shown
    for version in (4, 4):
        answer = await api.delete(f"{path}/{a['id']}", headers=crew["member"])
        assert (answer.headers["etag"], answer.json()["data"]["labels"]) == (f'"{version}"', [b["id"]])
    assert [name for name, _ in await rows(LOG, id=task["id"])] == ["task.created.v1", *["task.updated.v1"] * 3]
    minimal = {**crew["member"], "prefer": "return=minimal"}
    nothing = await api.delete(f"{path}/{b['id']}", headers=minimal)
    assert (nothing.status_code, nothing.content, nothing.headers["etag"]) == (204, b"", '"5"')
    assert (await read(api, crew["member"], task))["labels"] == []
    stale = {**crew["member"], "if-match": '"1"'}
    assert (await api.put(f"{path}/{a['id']}", headers=stale)).status_code == 412
    assert code(await api.put(f"{path}/{uuid7()}", headers=crew["member"])) == (404, "NOT_FOUND")


async def test_c3_twenty_labels_put_at_once_are_all_there(api, crew):
    labels = await labels_in(api, crew, *(f"l{n}" for n in range(20)))
    task = await task_in(api, crew)
    path = f"/api/v1/tasks/{task['id']}/labels"
    answers = await asyncio.gather(*(api.put(f"{path}/{one['id']}", headers=crew["member"]) for one in labels))
    assert [answer.status_code for answer in answers] == [200] * 20
    shown = await read(api, crew["member"], task)
    assert (shown["labels"], shown["version"]) == (sorted(ids(labels)), 21)


async def test_c3_a_task_has_at_most_fifty(api, crew, rows):
    labels = await labels_in(api, crew, *(f"l{n}" for n in range(51)))
    task = await task_in(api, crew, labels=ids(labels[:50]))
    path = f"/api/v1/tasks/{task['id']}/labels"
    assert code(await api.put(f"{path}/{labels[50]['id']}", headers=crew["member"])) == (422, "TOO_MANY")
    assert (await api.put(f"{path}/{labels[0]['id']}", headers=crew["member"])).status_code == 200
    own = [await made(api, crew["member"], name=f"own {n}", personal=True) for n in range(9)]
    await rows(
        "WITH filled AS (INSERT INTO tasks.label SELECT uuidv7(), :place, :owner, n::text, n::text, NULL, :owner, 1,"
        " now(), now() FROM generate_series(1, 47) AS n RETURNING id) INSERT INTO tasks.personal_label"
        " SELECT :workspace, :owner, :task, id FROM filled",
        place=own[0]["workspace_id"],
        owner=crew["ids"][1],
        workspace=crew["workspace"],
        task=task["id"],
    )
    answers = await asyncio.gather(*(api.put(f"{path}/{one['id']}", headers=crew["member"]) for one in own))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [422] * 6
    assert await rows("SELECT count(*) FROM tasks.personal_label WHERE task_id = :id", id=task["id"]) == [(50,)]


async def test_c3_a_personal_label_is_on_any_task_that_its_owner_sees_and_shown_to_nobody_else(
    api, crew, rows, test_gateway, join
):
    viewer = uuid7()
    await join(crew["workspace"], viewer, "guest")
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'viewer', 1, now())",
        workspace=crew["workspace"],
        project=crew["project"],
        user=viewer,
    )
    headers = test_gateway.headers(viewer)
    mine = await made(api, headers, name="later", color="#00ff00", personal=True)
    [shared] = await labels_in(api, crew, "urgent")
    task = await task_in(api, crew, labels=[shared["id"]])
    path = f"/api/v1/tasks/{task['id']}/labels"
    for _ in range(2):
        answer = await api.put(f"{path}/{mine['id']}", headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    details = [
        {"id": mine["id"], "name": "later", "color": "#00ff00", "personal": True},
        {"id": shared["id"], "name": "urgent", "color": None, "personal": False},
    ]
    assert answer.json()["data"] == {**task, "label_details": details}
    assert (await read(api, headers, task, "?include=labels"))["label_details"] == details
    listed = await api.get("/api/v1/tasks?include=labels&include=permissions", headers=headers)
    assert [one["label_details"] for one in listed.json()["data"]] == [details]
    assert (await read(api, crew["owner"], task, "?include=labels"))["label_details"] == details[1:]
    assert "label_details" not in await read(api, crew["owner"], task, "?include=permissions")
    assert code(await api.put(f"{path}/{mine['id']}", headers=crew["owner"])) == (404, "NOT_FOUND")
    assert code(await api.put(f"{path}/{shared['id']}", headers=headers)) == (403, "FORBIDDEN")
    await rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=crew["project"])
    assert code(await api.delete(f"{path}/{shared['id']}", headers=crew["owner"])) == (409, "PROJECT_ARCHIVED")
    for _ in range(2):
        assert (await api.delete(f"{path}/{mine['id']}", headers=headers)).status_code == 200
    told = await rows(OF_TASK, id=task["id"])
    own = [(name, audience) for name, audience in told if name.startswith("personal_label")]
    assert own == [("personal_label.added.v1", [viewer]), ("personal_label.removed.v1", [viewer])]
    assert await rows(LOG, id=task["id"]) == [("task.created.v1", 1)]


async def test_c3_a_personal_label_is_of_no_workspace(api, crew):
    wanted = {"name": "a", "personal": True, "workspace_id": crew["workspace"]}
    assert code(await api.post(PATH, json=wanted, headers=crew["owner"])) == (422, "PERSONAL_HAS_NO_WORKSPACE")


async def test_c3_deleting_takes_it_off_its_tasks_with_one_event_each(api, crew, rows):
    a, b = await labels_in(api, crew, "a", "b")
    tasks = [await task_in(api, crew, labels=ids((a, b))) for _ in range(3)]
    other = await task_in(api, crew, labels=[b["id"]])
    await api.delete(f"/api/v1/tasks/{tasks[2]['id']}", headers=crew["member"])
    answer = await api.delete(f"{PATH}/{a['id']}", headers=crew["owner"])
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    log = await rows(
        "SELECT type, entity_id::text, version, changes FROM tasks.change"
        " WHERE workspace_id = :id ORDER BY seq DESC LIMIT 4",
        id=crew["workspace"],
    )
    change = [{"field": "labels", "old": sorted(ids((a, b))), "new": [b["id"]]}]
    assert log[0][:3] == ("label.deleted.v1", a["id"], 2)
    assert log[:0:-1] == [
        ("task.updated.v1", tasks[0]["id"], 2, change),
        ("task.updated.v1", tasks[1]["id"], 2, change),
        ("task.updated.v1", tasks[2]["id"], 3, change),
    ]
    assert await rows(LOG, id=other["id"]) == [("task.created.v1", 1)]


async def test_c3_merging_gives_every_task_the_other_one_once(api, crew, rows):
    a, b, c = await labels_in(api, crew, "a", "b", "c")
    both = await task_in(api, crew, labels=ids((a, b, c)))
    one = await task_in(api, crew, labels=[a["id"]])
    none = await task_in(api, crew, labels=[b["id"]])
    answer = await api.post(f"{PATH}/{a['id']}/merge", json={"into": b["id"]}, headers=crew["owner"])
    assert (answer.status_code, answer.json()["data"], answer.headers["etag"]) == (200, b, '"1"')
    shown = [await read(api, crew["member"], task) for task in (both, one, none)]
    assert [(task["labels"], task["version"]) for task in shown] == [
        (sorted(ids((b, c))), 2),
        ([b["id"]], 2),
        ([b["id"]], 1),
    ]
    log = await rows(
        "SELECT type, reason FROM tasks.change WHERE workspace_id = :id ORDER BY seq DESC LIMIT 3",
        id=crew["workspace"],
    )
    assert log == [
        ("label.deleted.v1", f"merged into {b['id']}"),
        ("task.updated.v1", f"merged into {b['id']}"),
        ("task.updated.v1", f"merged into {b['id']}"),
    ]
    personal = await made(api, crew["owner"], name="mine", personal=True)
    for wrong in (c["id"], a["id"], personal["id"], str(uuid7())):
        answer = await api.post(f"{PATH}/{c['id']}/merge", json={"into": wrong}, headers=crew["owner"])
        assert (code(answer), answer.json()["errors"][0]["field"]) == ((422, "LABEL_NOT_FOUND"), "into")


async def test_c3_personal_labels_are_merged_and_deleted_over_all_workspaces(api, crew, rows):
    a, b = [await made(api, crew["member"], name=name, personal=True) for name in "ab"]
    tasks = [await task_in(api, crew), await made(api, crew["member"], "/api/v1/tasks", title="inbox")]
    for task in tasks:
        await api.put(f"/api/v1/tasks/{task['id']}/labels/{a['id']}", headers=crew["member"])
    await api.put(f"/api/v1/tasks/{tasks[0]['id']}/labels/{b['id']}", headers=crew["member"])
    answer = await api.post(f"{PATH}/{a['id']}/merge", json={"into": b["id"]}, headers=crew["member"])
    assert answer.status_code == 200, answer.text
    details = [(await read(api, crew["member"], task, "?include=labels"))["label_details"] for task in tasks]
    assert [ids(one) for one in details] == [[b["id"]]] * 2
    assert (await api.delete(f"{PATH}/{b['id']}", headers=crew["member"])).status_code == 200
    told = [[name for name, _ in await rows(OF_TASK, id=task["id"])] for task in tasks]
    added, removed = "personal_label.added.v1", "personal_label.removed.v1"
    own = [[name for name in of_one if name.startswith("personal")] for of_one in told]
    assert own == [[added, added, removed, removed], [added, added, removed, removed]]
    assert {task["version"] for task in [await read(api, crew["member"], one) for one in tasks]} == {1}


async def test_c3_no_task_keeps_the_id_of_a_label_that_is_gone(api, crew, rows):
    """Changes of tasks race with the deletion of one label and the merge of another into it."""
    for _ in range(10):
        a, b, c = await labels_in(api, crew, "a", "b", "c")
        tasks = [await task_in(api, crew, labels=[c["id"]]) for _ in range(3)]
        paths = [f"/api/v1/tasks/{task['id']}" for task in tasks]
        answers = await asyncio.gather(
            api.patch(paths[0], json={"labels": ids((a, b))}, headers=crew["member"]),
            api.put(f"{paths[1]}/labels/{a['id']}", headers=crew["member"]),
            api.put(f"{paths[1]}/labels/{b['id']}", headers=crew["member"]),
            api.patch(paths[2], json={"labels": [b["id"]]}, headers=crew["member"]),
            api.post(f"{PATH}/{a['id']}/merge", json={"into": b["id"]}, headers=crew["owner"]),
            api.delete(f"{PATH}/{b['id']}", headers=crew["owner"]),
        )
        assert {answer.status_code for answer in answers[:4]} <= {200, 404, 422}
        assert answers[5].status_code == 200
        there = {str(row[0]) for row in await rows("SELECT id FROM tasks.label")}
        left = [set((await read(api, crew["member"], task))["labels"]) for task in tasks]
        assert all(of_one <= there for of_one in left), left
        for task in tasks:
            versions = [version for _, version in await rows(LOG, id=task["id"])]
            assert versions == list(range(1, len(versions) + 1))
        for label in (a, b, c):
            await api.delete(f"{PATH}/{label['id']}", headers=crew["owner"])


@pytest.mark.parametrize("merges", [False, True])
async def test_c3_the_number_of_statements_does_not_grow_with_the_tasks(api, crew, database, merges):
    async def statements(count):
        label, other = await labels_in(api, crew, f"of {count}", f"other of {count}")
        for _ in range(count):
            await task_in(api, crew, labels=[label["id"]])
        path = f"{PATH}/{label['id']}"
        with statements_seen(database.writer) as seen:
            if merges:
                answer = await api.post(f"{path}/merge", json={"into": other["id"]}, headers=crew["owner"])
            else:
                answer = await api.delete(path, headers=crew["owner"])
        assert answer.status_code == 200
        return len(seen)

    assert await statements(1) == await statements(30)


async def test_c3_reading_with_labels_takes_one_statement_more_however_many_there_are(api, crew, database):
    async def statements(query):
        with statements_seen(database.reader) as seen:
            assert (await api.get(f"/api/v1/tasks?{query}", headers=crew["member"])).status_code == 200
        return len(seen)

    labels = await labels_in(api, crew, "a", "b", "c")
    await task_in(api, crew, labels=ids(labels[:1]))
    assert (await statements("archived=false"), await statements("include=labels")) == (1, 2)
    for _ in range(30):
        await task_in(api, crew, labels=ids(labels))
    assert await statements("include=labels&per_page=100") == 2
