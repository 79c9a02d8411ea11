"""Checklists (B7): their order, their limits, and who may be asked to do an item."""

import asyncio
from uuid import UUID

import pytest
from chassis.ids import uuid7
from tasks_service.ordering.rules import ranks_for
from testkit.statements import statements_seen

LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
TWO_PLACES = '{"text": "a", "after_id": "ID", "before_id": "ID"}'.replace("ID", str(UUID(int=1)))
COUNT = "SELECT count(*), count(DISTINCT position) FROM tasks.checklist_item WHERE task_id = :id"


@pytest.fixture
async def owned(api, test_gateway):
    user = uuid7()
    headers = test_gateway.headers(user)
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    return {"user": user, "headers": headers, "task": task, "path": f"/api/v1/tasks/{task['id']}/checklist"}


@pytest.fixture
def joined(rows, owned):
    async def join(role="member"):
        user = uuid7()
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, now())",
            workspace=owned["task"]["workspace_id"],
            user=user,
            role=role,
        )
        return user

    return join


async def add(api, owned, text, **more):
    answer = await api.post(owned["path"], json={"text": text, **more}, headers=owned["headers"])
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def insist(api, method, owned, body):
    """Ask until there is a connection for it: so many at once wait for each other."""
    while True:
        answer = await api.request(method, owned["path"], json=body, headers=owned["headers"])
        if answer.status_code != 503:
            return answer


async def patch(api, owned, item, headers=None, **body):
    return await api.patch(f"{owned['path']}/{item['id']}", json=body, headers={**owned["headers"], **(headers or {})})


async def texts(api, owned):
    answer = await api.get(owned["path"], headers=owned["headers"])
    return [one["text"] for one in answer.json()["data"]]


def refusal(answer):
    [error] = answer.json()["errors"]
    return answer.status_code, error["code"], error["field"]


async def test_b7_an_item_is_made_and_found(api, owned, rows):
    answer = await api.post(
        owned["path"], json={"text": " Buy milk ", "due_date": "2026-12-01"}, headers=owned["headers"]
    )
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["x-cursor"]
    assert made == {
        "id": made["id"],
        "workspace_id": owned["task"]["workspace_id"],
        "task_id": owned["task"]["id"],
        "text": "Buy milk",
        "done": False,
        "done_at": None,
        "done_by": None,
        "assignee_id": None,
        "due_date": "2026-12-01",
        "position": "a0",
        "created_by": str(owned["user"]),
        "version": 1,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    listed = (await api.get(owned["path"], headers=owned["headers"])).json()
    assert (listed["data"], listed["meta"]["progress"]) == ([made], {"done": 0, "total": 1})
    assert await rows(LOG, id=made["id"]) == [("checklist_item.created.v1", 1)]
    assert await rows("SELECT task_id::text FROM tasks.change WHERE entity_id = :id", id=made["id"]) == [
        (owned["task"]["id"],)
    ]
    task = await api.get(f"/api/v1/tasks/{owned['task']['id']}", headers=owned["headers"])
    assert task.json()["data"] == owned["task"]
    by_key = await api.get(f"/api/v1/tasks/{owned['task']['key']}/checklist", headers=owned["headers"])
    assert by_key.json()["data"] == [made]


async def test_b7_an_item_is_done_and_opened_again(api, owned, rows):
    item = await add(api, owned, "a")
    done = await patch(api, owned, item, done=True)
    shown = done.json()["data"]
    assert (shown["done"], shown["done_by"], shown["version"], done.headers["etag"]) == (
        True,
        str(owned["user"]),
        2,
        '"2"',
    )
    assert shown["done_at"] is not None
    listed = (await api.get(owned["path"], headers=owned["headers"])).json()
    assert listed["meta"]["progress"] == {"done": 1, "total": 1}
    assert (await patch(api, owned, item, done=True)).json()["data"] == shown
    assert (await patch(api, owned, item)).json()["data"] == shown
    again = (await patch(api, owned, item, done=False)).json()["data"]
    assert (again["done"], again["done_at"], again["done_by"], again["version"]) == (False, None, None, 3)
    born_done = await add(api, owned, "b", done=True)
    assert (born_done["done"], born_done["done_by"]) == (True, str(owned["user"]))
    assert [kind for kind, _ in await rows(LOG, id=item["id"])] == [
        "checklist_item.created.v1",
        "checklist_item.updated.v1",
        "checklist_item.updated.v1",
    ]


async def test_b7_items_stand_where_they_are_put(api, owned, rows):
    a, b = await add(api, owned, "a"), await add(api, owned, "b")
    c = await add(api, owned, "c", after_id=a["id"])
    await add(api, owned, "d", before_id=a["id"])
    assert await texts(api, owned) == ["d", "a", "c", "b"]
    assert (await patch(api, owned, b, before_id=c["id"])).json()["data"]["version"] == 2
    assert await texts(api, owned) == ["d", "a", "b", "c"]
    for place in ({"before_id": c["id"]}, {"after_id": a["id"]}):
        assert (await patch(api, owned, b, **place)).json()["data"]["version"] == 2
    moved = await patch(api, owned, a, after_id=c["id"], text="A", done=True)
    assert (moved.json()["data"]["version"], await texts(api, owned)) == (2, ["d", "b", "c", "A"])
    assert len(await rows(LOG, id=a["id"])) == 2


@pytest.mark.parametrize("name", ["after_id", "before_id"])
async def test_r35_a_neighbour_is_of_the_same_checklist(api, owned, name):
    other = (await api.post("/api/v1/tasks", json={"title": "b"}, headers=owned["headers"])).json()["data"]
    foreign = await add(api, {**owned, "path": f"/api/v1/tasks/{other['id']}/checklist"}, "x")
    item = await add(api, owned, "a")
    for one in (foreign["id"], str(uuid7())):
        answers = [
            await api.post(owned["path"], json={"text": "b", name: one}, headers=owned["headers"]),
            await patch(api, owned, item, **{name: one}),
        ]
        assert [refusal(answer) for answer in answers] == [(422, "CHECKLIST_ITEM_NOT_FOUND", name)] * 2
    assert (await patch(api, owned, item, **{name: item["id"]})).status_code == 422
    across = await api.patch(f"{owned['path']}/{foreign['id']}", json={"done": True}, headers=owned["headers"])
    assert across.status_code == 404
    assert await texts(api, owned) == ["a"]


async def test_b7_inserts_at_one_place_at_once_all_have_their_own(api, owned, rows):
    first, last = await add(api, owned, "first"), await add(api, owned, "last")
    bodies = [{"text": str(n), "after_id": first["id"]} for n in range(25)]
    bodies += [{"text": str(n), "before_id": last["id"]} for n in range(25)]
    answers = await asyncio.gather(*(insist(api, "POST", owned, body) for body in bodies))
    assert {answer.status_code for answer in answers} == {201}
    assert await rows(COUNT, id=owned["task"]["id"]) == [(52, 52)]
    order = await texts(api, owned)
    assert (order[0], order[-1]) == ("first", "last")


async def test_b7_moves_at_once_keep_every_item(api, owned, rows):
    items = [await add(api, owned, str(n)) for n in range(10)]
    moves = [patch(api, owned, one, before_id=items[0]["id"]) for one in items[1:]]
    moves += [patch(api, owned, one, after_id=items[5]["id"]) for one in items if one is not items[5]]
    answers = await asyncio.gather(*moves)
    assert {answer.status_code for answer in answers} == {200}
    assert await rows(COUNT, id=owned["task"]["id"]) == [(10, 10)]
    assert sorted(await texts(api, owned)) == sorted(str(n) for n in range(10))


async def test_b7_two_hundred_are_enough_whoever_is_fastest(api, owned, rows):
    for n, rank in enumerate(ranks_for(190)):
        values = {"task": owned["task"]["id"], "workspace": owned["task"]["workspace_id"], "rank": rank, "text": str(n)}
        await rows(
            "INSERT INTO tasks.checklist_item (id, workspace_id, task_id, text, done, position, created_by, version,"
            " created_at, updated_at)"
            " VALUES (uuidv7(), :workspace, :task, :text, false, :rank, :task, 1, now(), now())",
            **values,
        )
    answers = await asyncio.gather(*(insist(api, "POST", owned, {"text": "y"}) for _ in range(30)))
    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(409)) == (10, 20)
    assert {one.json()["errors"][0]["code"] for one in answers if one.status_code == 409} == {"CHECKLIST_FULL"}
    assert await rows(COUNT, id=owned["task"]["id"]) == [(200, 200)]
    assert len(await texts(api, owned)) == 200


async def test_b7_where_there_is_no_room_the_others_make_some(api, owned, rows):
    a, b, c = [await add(api, owned, text) for text in "abc"]
    await rows("UPDATE tasks.checklist_item SET position = :far WHERE id = :id", far="a0" + "0" * 252 + "1", id=b["id"])
    await add(api, owned, "new", after_id=a["id"])
    assert await texts(api, owned) == ["a", "new", "b", "c"]
    listed = (await api.get(owned["path"], headers=owned["headers"])).json()["data"]
    assert [(one["position"], one["version"]) for one in listed] == [("a0", 1), ("a1", 1), ("a2", 2), ("a3", 2)]
    assert await rows(LOG, id=b["id"]) == [("checklist_item.created.v1", 1), ("checklist_item.updated.v1", 2)]
    assert (await patch(api, owned, c, text="C")).json()["data"]["version"] == 3


async def test_b7_only_who_sees_the_task_can_be_asked(api, owned, joined, rows):
    member, guest = await joined(), await joined("guest")
    item = await add(api, owned, "a", assignee_id=str(member))
    assert item["assignee_id"] == str(member)
    for one in (guest, uuid7()):
        answers = [
            await api.post(owned["path"], json={"text": "b", "assignee_id": str(one)}, headers=owned["headers"]),
            await patch(api, owned, item, assignee_id=str(one)),
        ]
        assert [refusal(answer) for answer in answers] == [(422, "ASSIGNEE_NO_ACCESS", "assignee_id")] * 2
    assert await rows(LOG, id=item["id"]) == [("checklist_item.created.v1", 1)]
    assert (await patch(api, owned, item, assignee_id=None)).json()["data"]["assignee_id"] is None


async def test_b7_who_has_lost_access_is_not_asked_again_but_the_rest_changes(api, owned, joined, rows):
    member = await joined()
    item = await add(api, owned, "a", assignee_id=str(member))
    await rows("UPDATE tasks.member SET role = 'guest' WHERE user_id = :id", id=member)
    assert (await patch(api, owned, item, text="b", assignee_id=str(member))).json()["data"]["text"] == "b"


async def test_b7_preconditions(api, owned, rows):
    item = await add(api, owned, "a")
    await patch(api, owned, item, text="b")
    stale = await patch(api, owned, item, {"if-match": '"1"'}, text="c")
    assert (stale.status_code, [one["field"] for one in stale.json()["errors"]]) == (412, ["text"])
    assert stale.json()["data"]["current"]["text"] == "b"
    merged = await api.patch(
        f"{owned['path']}/{item['id']}?merge=fields",
        json={"done": True},
        headers={**owned["headers"], "if-match": '"1"'},
    )
    assert (merged.status_code, merged.json()["data"]["version"]) == (200, 3)
    path = f"{owned['path']}/{item['id']}"
    assert (await api.delete(path, headers={**owned["headers"], "if-match": '"1"'})).status_code == 412
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=item["workspace_id"])
    for answer in (await patch(api, owned, item, text="c"), await api.delete(path, headers=owned["headers"])):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (428, "IF_MATCH_REQUIRED")
    gone = await api.delete(path, headers={**owned["headers"], "if-match": '"3"', "prefer": "return=minimal"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await rows(LOG, id=item["id"]))[-1] == ("checklist_item.deleted.v1", 4)


async def test_b7_of_changes_at_once_none_is_lost(api, owned, rows):
    item = await add(api, owned, "a")
    answers = await asyncio.gather(*(patch(api, owned, item, text=f"t{n}") for n in range(20)))
    assert sorted(answer.json()["data"]["version"] for answer in answers) == list(range(2, 22))
    deleted = await asyncio.gather(
        *(api.delete(f"{owned['path']}/{item['id']}", headers=owned["headers"]) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in deleted) == [200] + [404] * 9
    assert [kind for kind, _ in await rows(LOG, id=item["id"])].count("checklist_item.deleted.v1") == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"text": ""}', 422, "TOO_SHORT"),
        ('{"text": "  "}', 422, "TOO_SHORT"),
        ('{"text": "%s"}' % ("x" * 501), 422, "TOO_LONG"),
        ('{"text": "a\\u0000"}', 422, "NULL_CHARACTER"),
        ('{"text": "\\udc00"}', 400, "MALFORMED_JSON"),
        ('{"text": "a", "done": "yes"}', 422, "WRONG_TYPE"),
        ('{"text": "a", "due_date": "1969-12-31"}', 422, "DATE_OUT_OF_RANGE"),
        ('{"text": "a", "position": "a0"}', 422, "READ_ONLY_FIELD"),
        ('{"text": "a", "after_id": "x"}', 422, "INVALID_ID"),
        (TWO_PLACES, 422, "TWO_PLACES"),
    ],
)
async def test_r30_what_is_no_item_is_refused(api, owned, rows, body, status, code):
    headers = {**owned["headers"], "content-type": "application/json"}
    item = await add(api, owned, "a")
    for method, path in (("POST", owned["path"]), ("PATCH", f"{owned['path']}/{item['id']}")):
        answer = await api.request(method, path, content=body.encode(), headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code), answer.text
    assert await rows(COUNT, id=owned["task"]["id"]) == [(1, 1)]
    assert await rows(LOG, id=item["id"]) == [("checklist_item.created.v1", 1)]


async def test_b7_an_archived_project_and_the_trash_take_no_change(api, owned, rows):
    item = await add(api, owned, "a")
    path = f"{owned['path']}/{item['id']}"

    async def refused():
        answers = [
            await api.post(owned["path"], json={"text": "b"}, headers=owned["headers"]),
            await patch(api, owned, item, done=True),
            await api.delete(path, headers=owned["headers"]),
        ]
        return {(answer.status_code, answer.json()["errors"][0]["code"]) for answer in answers}

    await rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=owned["task"]["project_id"])
    assert await refused() == {(409, "PROJECT_ARCHIVED")}
    await rows("UPDATE tasks.project SET archived_at = NULL WHERE id = :id", id=owned["task"]["project_id"])
    await api.delete(f"/api/v1/tasks/{owned['task']['id']}", headers=owned["headers"])
    assert await refused() == {(404, "NOT_FOUND")}
    await rows("DELETE FROM tasks.task WHERE id = :id", id=owned["task"]["id"])
    assert await rows(COUNT, id=owned["task"]["id"]) == [(0, 0)]


async def test_r32_an_item_is_made_once_for_a_key(api, owned, rows):
    headers = {**owned["headers"], "idempotency-key": "k"}
    answers = [await api.post(owned["path"], json={"text": "a"}, headers=headers) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert await rows(COUNT, id=owned["task"]["id"]) == [(1, 1)]


async def test_b7_the_number_of_statements_does_not_grow_with_the_items(api, owned, database):
    counts = []
    for _ in range(2):
        with statements_seen(database.reader) as statements:
            await api.get(owned["path"], headers=owned["headers"])
        counts.append(len(statements))
        for n in range(20):
            await add(api, owned, str(n))
    assert counts == [2, 2]


async def convert(api, owned, item, **headers):
    return await api.post(f"{owned['path']}/{item['id']}/convert", headers={**owned["headers"], **headers})


async def test_b7_an_item_becomes_a_subtask(api, owned, joined, rows):
    member = await joined()
    item = await add(api, owned, "a", assignee_id=str(member), due_date="2026-12-01", done=True)
    stays = await add(api, owned, "b")
    answer = await convert(api, owned, item)
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"/api/v1/tasks/{made['id']}"
    assert "warnings" not in answer.json()["meta"]
    shown = {name: made[name] for name in ("title", "parent_id", "project_id", "status", "assignees", "assigned_to")}
    assert shown == {
        "title": "a",
        "parent_id": owned["task"]["id"],
        "project_id": owned["task"]["project_id"],
        "status": "done",
        "assignees": [str(member)],
        "assigned_to": str(member),
    }
    assert made["due"]["date"] == "2026-12-01"
    assert await texts(api, owned) == ["b"]
    parent = (await api.get(f"/api/v1/tasks/{owned['task']['id']}", headers=owned["headers"])).json()["data"]
    assert parent["progress"] == {"done": 1, "total": 1}
    assert (await rows(LOG, id=item["id"]))[-1] == ("checklist_item.deleted.v1", 2)
    assert (await rows(LOG, id=made["id"]))[0] == ("task.created.v1", 1)
    opened = (await convert(api, owned, stays)).json()["data"]
    assert (opened["status"], opened["assignees"], opened["due"]) == ("todo", [], None)


async def test_b7_of_conversions_at_once_one_makes_a_subtask(api, owned, rows):
    item = await add(api, owned, "a")
    path = f"{owned['path']}/{item['id']}"
    moves = [patch(api, owned, item, text=f"t{n}") for n in range(5)]
    answers = await asyncio.gather(*(convert(api, owned, item) for _ in range(20)), *moves)
    codes = [answer.status_code for answer in answers[:20]]
    assert (codes.count(201), codes.count(404)) == (1, 19)
    assert {answer.status_code for answer in answers[20:]} <= {200, 404}
    assert await rows("SELECT count(*) FROM tasks.task WHERE parent_id = :id", id=owned["task"]["id"]) == [(1,)]
    assert (await api.delete(path, headers=owned["headers"])).status_code == 404


async def test_b7_who_sees_the_task_no_more_is_left_out_of_the_subtask(api, owned, joined, rows):
    member = await joined()
    item = await add(api, owned, "a", assignee_id=str(member))
    await rows("UPDATE tasks.member SET role = 'guest' WHERE user_id = :id", id=member)
    answer = await convert(api, owned, item)
    assert (answer.status_code, answer.json()["data"]["assignees"]) == (201, [])
    [warning] = answer.json()["meta"]["warnings"]
    assert (warning["code"], warning["user_ids"]) == ("ASSIGNEE_DROPPED", [str(member)])


async def test_b7_a_conversion_that_is_refused_leaves_the_item(api, owned, joined, rows, test_gateway):
    item = await add(api, owned, "a")
    assert (await convert(api, owned, item, **{"if-match": '"7"'})).status_code == 412
    guest = await joined("guest")
    await rows(
        "INSERT INTO tasks.task_share (id, workspace_id, task_id, user_id, role, shared_by, version, created_at)"
        " VALUES (uuidv7(), :workspace, :task, :user, 'editor', :user, 1, now())",
        workspace=owned["task"]["workspace_id"],
        task=owned["task"]["id"],
        user=guest,
    )
    shared = await convert(api, {**owned, "headers": test_gateway.headers(guest)}, item)
    assert (shared.status_code, shared.json()["errors"][0]["code"]) == (403, "FORBIDDEN")
    below = owned["task"]["id"]
    for n in range(5):
        body = {"title": str(n), "project_id": owned["task"]["project_id"], "parent_id": below}
        below = (await api.post("/api/v1/tasks", json=body, headers=owned["headers"])).json()["data"]["id"]
    deep = {**owned, "path": f"/api/v1/tasks/{below}/checklist"}
    deepest = await add(api, deep, "deep")
    refused = await convert(api, deep, deepest)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "TOO_DEEP")
    assert (await texts(api, owned), await texts(api, deep)) == (["a"], ["deep"])


async def test_b7_tasks_are_read_with_what_hangs_on_them(api, owned, database):
    other = (await api.post("/api/v1/tasks", json={"title": "b"}, headers=owned["headers"])).json()["data"]
    await add(api, owned, "a", done=True)
    await add(api, owned, "b")
    comments = f"/api/v1/tasks/{owned['task']['id']}/comments"
    made = [(await api.post(comments, json={"body": "a"}, headers=owned["headers"])).json()["data"] for _ in range(3)]
    await api.delete(f"{comments}/{made[0]['id']}", headers=owned["headers"])
    include = "include=comments_count&include=checklist_progress"
    with statements_seen(database.reader) as statements:
        listed = (await api.get(f"/api/v1/tasks?{include}", headers=owned["headers"])).json()["data"]
    counted = {one["id"]: (one["comments_count"], one["checklist_progress"]) for one in listed}
    assert counted == {
        owned["task"]["id"]: (2, {"done": 1, "total": 2}),
        other["id"]: (0, {"done": 0, "total": 0}),
    }
    assert len(statements) == 3
    one = (await api.get(f"/api/v1/tasks/{other['id']}?{include}", headers=owned["headers"])).json()["data"]
    assert (one["comments_count"], one["checklist_progress"]) == (0, {"done": 0, "total": 0})
    plain = (await api.get(f"/api/v1/tasks/{other['id']}?include=comments_count", headers=owned["headers"])).json()
    assert "checklist_progress" not in plain["data"]
    assert "comments_count" not in (await api.get(f"/api/v1/tasks/{other['id']}", headers=owned["headers"])).text


async def test_f6_who_loses_access_is_taken_off_the_items(api, owned, joined, rows):
    member, stays = await joined(), await joined()
    body = {"name": "P", "workspace_id": owned["task"]["workspace_id"]}
    await rows("UPDATE tasks.workspace SET personal_owner_id = NULL WHERE id = :id", id=body["workspace_id"])
    project = (await api.post("/api/v1/projects", json=body, headers=owned["headers"])).json()["data"]
    body = {"title": "a", "project_id": project["id"]}
    task = (await api.post("/api/v1/tasks", json=body, headers=owned["headers"])).json()["data"]
    there = {**owned, "path": f"/api/v1/tasks/{task['id']}/checklist"}
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'viewer', 1, now())",
        workspace=task["workspace_id"],
        project=project["id"],
        user=stays,
    )
    lost, kept = [await add(api, there, "a", assignee_id=str(user)) for user in (member, stays)]
    path = f"/api/v1/projects/{project['id']}"
    made_private = await api.patch(path, json={"visibility": "private"}, headers=owned["headers"])
    assert made_private.status_code == 200, made_private.text
    listed = (await api.get(there["path"], headers=owned["headers"])).json()["data"]
    assert [(one["assignee_id"], one["version"]) for one in listed] == [(None, 2), (str(stays), 1)]
    assert await rows(LOG, id=lost["id"]) == [("checklist_item.created.v1", 1), ("checklist_item.updated.v1", 2)]
    assert len(await rows(LOG, id=kept["id"])) == 1
