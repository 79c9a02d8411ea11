"""B8: relations of tasks, stored once and seen from both ends. B9: what is blocked is not completed."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen


def code(answer):
    return answer.status_code, answer.json()["errors"][0]["code"]


async def relate(roster, one, kind, other, who="owner"):
    return await roster.ask(who, "POST", f"/tasks/{one['id']}/relations", {"type": kind, "task_id": other["id"]})


async def seen(roster, task, who="owner"):
    found = await roster.ok(who, "GET", f"/tasks/{task['id']}/relations")
    return [(one["type"], one["task"]["id"]) for one in found]


async def tasks_of(roster, count):
    return [await roster.task(title=f"t{n}") for n in range(count)]


async def relations_told(roster):
    return [entry for entry in await roster.log() if entry[0].startswith("relation.")]


async def enforce(roster, rows, rule):
    await rows("UPDATE tasks.project SET enforce_blockers = :rule WHERE id = :id", rule=rule, id=roster.project_id)


async def hide(roster, rows, task):
    """Move a task to a private project, which guests and members do not see."""
    project = uuid7()
    await rows(
        "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, visibility, created_by, version, created_at,"
        " updated_at) VALUES (:id, :workspace, 'S', false, 'private', :owner, 1, now(), now())",
        id=project,
        workspace=roster.workspace_id,
        owner=roster.ids["owner"],
    )
    await rows("UPDATE tasks.task SET project_id = :project WHERE id = :id", project=project, id=task["id"])


@pytest.mark.parametrize(
    ("kind", "inverse"),
    [
        ("blocks", "blocked_by"),
        ("blocked_by", "blocks"),
        ("relates_to", "relates_to"),
        ("duplicates", "duplicated_by"),
        ("precedes", "follows"),
        ("follows", "precedes"),
    ],
)
async def test_b8_a_relation_is_seen_from_both_ends_and_made_once(roster, kind, inverse):
    one, other = await tasks_of(roster, 2)
    answer = await relate(roster, one, kind, other, who="editor")
    made = answer.json()["data"]
    assert answer.status_code == 201
    assert answer.headers["x-cursor"]
    assert made["task"] == {
        name: other[name] for name in ("id", "key", "project_id", "title", "status", "status_category")
    }
    assert (await seen(roster, one), await seen(roster, other)) == ([(kind, other["id"])], [(inverse, one["id"])])
    again = [await relate(roster, one, kind, other), await relate(roster, other, inverse, one)]
    assert [answer.status_code for answer in again] == [200, 200]
    assert {answer.json()["data"]["id"] for answer in again} == {made["id"]}
    assert len(await relations_told(roster)) == 1
    assert (await roster.ok("owner", "GET", f"/tasks/{one['id']}"))["version"] == 1


async def test_b8_the_other_task_is_named_by_its_key_or_id_and_has_to_be_seen_here(roster, rows):
    one, other, hidden = await tasks_of(roster, 3)
    elsewhere = await roster.ok("member", "POST", "/tasks", {"title": "inbox"})
    await hide(roster, rows, hidden)
    path = f"/tasks/{one['id']}/relations"
    named = await roster.ask("member", "POST", path, {"type": "blocks", "task_id": other["key"].lower()})
    assert (named.status_code, named.json()["data"]["task"]["id"]) == (201, other["id"])
    wrong = [hidden["id"], elsewhere["id"], str(uuid7()), "NONE-1", elsewhere["key"]]
    refused = [await roster.ask("member", "POST", path, {"type": "blocks", "task_id": name}) for name in wrong]
    assert [(code(answer), answer.json()["errors"][0]["field"]) for answer in refused] == [
        ((422, "TASK_NOT_FOUND"), "task_id")
    ] * 5
    assert len({answer.json()["message"] for answer in refused}) == 1
    assert code(await relate(roster, one, "blocks", one)) == (422, "SELF_RELATION")
    for body in ({"type": "eats", "task_id": other["id"]}, {"type": "blocks", "task_id": "x"}, {"type": "blocks"}):
        assert (await roster.ask("owner", "POST", path, body)).status_code == 422


async def test_b8_what_is_not_seen_at_the_other_end_is_not_told(roster, rows):
    one, other, hidden = await tasks_of(roster, 3)
    await hide(roster, rows, hidden)
    await relate(roster, one, "blocks", other)
    made = (await relate(roster, one, "blocks", hidden)).json()["data"]
    assert await seen(roster, one) == [("blocks", other["id"]), ("blocks", hidden["id"])]
    assert await seen(roster, one, "viewer") == [("blocks", other["id"])]
    path = f"/tasks/{one['id']}/relations/{made['id']}"
    assert code(await roster.ask("editor", "DELETE", path)) == (404, "NOT_FOUND")
    told = await relations_told(roster)
    everybody = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}
    assert [(kind, audience) for kind, _, audience in told] == [
        ("relation.created.v1", everybody),
        ("relation.created.v1", {"owner", "admin"}),
    ]


async def test_b8_its_events_say_where_both_tasks_are(roster, rows):
    """So whoever passes them on can tell who sees both."""
    one, other = await tasks_of(roster, 2)
    await hide(roster, rows, other)
    made = (await relate(roster, one, "blocked_by", other)).json()["data"]
    await roster.ok("owner", "DELETE", f"/tasks/{other['id']}/relations/{made['id']}")
    hidden = made["task"]["project_id"]
    log = await rows("SELECT project_id, resource FROM tasks.change WHERE entity_id = :id ORDER BY seq", id=made["id"])
    assert [str(place) for place, _ in log] == [str(roster.project_id), hidden]
    told = [(told["from_project_id"], told["to_project_id"]) for _, told in log]
    assert told == [(hidden, str(roster.project_id))] * 2


async def test_b8_a_relation_is_deleted_from_either_end_once(roster):
    one, other, third = await tasks_of(roster, 3)
    made = (await relate(roster, one, "duplicates", other)).json()["data"]
    assert code(await roster.ask("editor", "DELETE", f"/tasks/{third['id']}/relations/{made['id']}")) == (
        404,
        "NOT_FOUND",
    )
    path = f"/tasks/{other['id']}/relations/{made['id']}"
    answers = await asyncio.gather(*(roster.ask("editor", "DELETE", path) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 4
    assert await seen(roster, one) == []
    assert [kind for kind, _, _ in await relations_told(roster)] == ["relation.created.v1", "relation.deleted.v1"]


async def test_b8_relations_with_tasks_in_the_trash_come_back_with_them(roster):
    one, other = await tasks_of(roster, 2)
    made = (await relate(roster, one, "blocks", other)).json()["data"]
    await roster.ok("owner", "DELETE", f"/tasks/{other['id']}")
    assert await seen(roster, one) == []
    assert code(await relate(roster, one, "precedes", other)) == (422, "TASK_NOT_FOUND")
    await roster.rows("UPDATE tasks.task SET deleted_at = NULL, deleted_by = NULL WHERE id = :id", id=other["id"])
    assert await seen(roster, one) == [("blocks", other["id"])]
    assert made["type"] == "blocks"


@pytest.mark.parametrize(("kind", "inverse"), [("blocks", "blocked_by"), ("precedes", "follows")])
async def test_b8_nothing_blocks_or_precedes_itself_over_others(roster, kind, inverse):
    a, b, c, d = await tasks_of(roster, 4)
    for one, other in ((a, b), (b, c), (c, d)):
        assert (await relate(roster, one, kind, other)).status_code == 201
    assert code(await relate(roster, d, kind, a)) == (422, "CYCLE")
    assert code(await relate(roster, a, inverse, c)) == (422, "CYCLE")
    assert (await relate(roster, a, kind, d)).status_code == 201
    assert (await relate(roster, d, "relates_to", a)).status_code == 201
    await roster.ok("owner", "DELETE", f"/tasks/{b['id']}")
    assert code(await relate(roster, c, kind, a)) == (422, "CYCLE")


async def test_b8_of_two_requests_that_close_a_circle_one_wins(roster):
    """Thirty rounds: two at once, and three at once that are a circle of three."""
    for _ in range(15):
        a, b = await tasks_of(roster, 2)
        answers = await asyncio.gather(relate(roster, a, "blocks", b), relate(roster, a, "blocked_by", b))
        assert sorted(answer.status_code for answer in answers) == [201, 422]
    for _ in range(15):
        a, b, c = await tasks_of(roster, 3)
        answers = await asyncio.gather(
            relate(roster, a, "precedes", b), relate(roster, c, "follows", b), relate(roster, c, "precedes", a)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 201, 422]


async def test_b8_the_same_at_once_from_both_ends_is_one(roster):
    one, other = await tasks_of(roster, 2)
    asked = [relate(roster, one, "blocks", other), relate(roster, other, "blocked_by", one)]
    asked += [relate(roster, one, "blocks", other) for _ in range(8)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    assert len(await relations_told(roster)) == 1


async def test_b8_a_task_has_at_most_a_hundred(roster, database):
    [one, other] = await tasks_of(roster, 2)
    path = f"/api/v1/tasks/{one['id']}/relations"
    headers = roster.gateway.headers(roster.ids["owner"])
    with statements_seen(database.reader) as few:
        await roster.api.get(path, headers=headers)
    await roster.rows(
        "WITH made AS (INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, created_by,"
        " version, created_at, updated_at) SELECT uuidv7(), :workspace, :project, n::text, 'todo', 'none', :owner, 1,"
        " now(), now() FROM generate_series(1, 100) AS n RETURNING id) INSERT INTO tasks.relation"
        " SELECT uuidv7(), :workspace, 'blocks', :one, id, :owner, now() FROM made",
        workspace=roster.workspace_id,
        project=roster.project_id,
        owner=roster.ids["owner"],
        one=one["id"],
    )
    with statements_seen(database.reader) as many:
        answer = await roster.api.get(path, headers=headers)
    assert (len(answer.json()["data"]), len(few)) == (100, len(many))
    assert code(await relate(roster, one, "blocks", other)) == (422, "TOO_MANY")
    assert code(await relate(roster, other, "blocked_by", one)) == (422, "TOO_MANY")


async def blocked_task(roster, rows, rule):
    blocker, task = await tasks_of(roster, 2)
    await relate(roster, blocker, "blocks", task)
    await enforce(roster, rows, rule)
    return blocker, task, f"/tasks/{task['id']}"


async def test_b9_what_is_blocked_is_not_completed_until_its_blockers_are(roster, rows):
    blocker, _, path = await blocked_task(roster, rows, "block")
    done = {"status": "done"}
    for who in ("editor", "owner"):
        answer = await roster.ask(who, "PATCH", path, done)
        assert (code(answer), answer.json()["data"]) == (
            (409, "BLOCKED_BY"),
            {"task_ids": [blocker["id"]], "hidden": 0},
        )
    assert (await roster.ok("editor", "PATCH", path, {"status": "in_progress"}))["version"] == 2
    assert (await roster.ok("editor", "PATCH", f"/tasks/{blocker['id']}", {"status": "cancelled"}))["version"] == 2
    answer = await roster.ask("editor", "PATCH", path, done)
    assert (answer.status_code, answer.json()["data"]["status_category"]) == (200, "done")
    assert "warnings" not in answer.json()["meta"]


async def test_b9_what_is_in_the_trash_blocks_nothing_and_off_is_off(roster, rows):
    blocker, _, path = await blocked_task(roster, rows, "block")
    await roster.ok("owner", "DELETE", f"/tasks/{blocker['id']}")
    assert (await roster.ok("editor", "PATCH", path, {"status": "done"}))["version"] == 2
    _, _, other = await blocked_task(roster, rows, "off")
    answer = await roster.ask("editor", "PATCH", other, {"status": "done"})
    assert (answer.status_code, answer.json()["meta"].get("warnings")) == (200, None)


async def test_b9_hidden_blockers_are_counted_and_not_named(roster, rows):
    blocker, task, path = await blocked_task(roster, rows, "block")
    hidden = await roster.task()
    await relate(roster, task, "blocked_by", hidden)
    await hide(roster, rows, hidden)
    answer = await roster.ask("editor", "PATCH", path, {"status": "done"})
    assert answer.json()["data"] == {"task_ids": [blocker["id"]], "hidden": 1}


async def test_b9_warn_completes_and_says_so(roster, rows):
    blocker, _, path = await blocked_task(roster, rows, "warn")
    answer = await roster.ask("editor", "PATCH", path, {"status": "done"})
    [warning] = answer.json()["meta"]["warnings"]
    assert (answer.status_code, warning["code"], warning["task_ids"], warning["hidden"]) == (
        200,
        "BLOCKED",
        [blocker["id"]],
        0,
    )


async def test_b9_a_manager_forces_it_and_the_history_tells(roster, rows):
    _, task, path = await blocked_task(roster, rows, "block")
    assert code(await roster.ask("editor", "PATCH", f"{path}?force=true", {"status": "done"})) == (403, "FORBIDDEN")
    assert (await roster.ask("editor", "PATCH", f"{path}?force=true", {"title": "b"})).status_code == 200
    assert (await roster.ask("owner", "PATCH", f"{path}?force=true", {"status": "done"})).status_code == 200
    log = await rows("SELECT version, reason FROM tasks.change WHERE entity_id = :id ORDER BY seq", id=task["id"])
    assert log == [(1, None), (2, None), (3, "forced past blockers")]


@pytest.mark.parametrize("way", ["put", "subtasks"])
async def test_b9_every_way_of_completing_asks_the_same(roster, rows, way):
    blocker, task, path = await blocked_task(roster, rows, "block")
    if way == "put":
        fields = set(task) - {"key"}
        body = {name: task[name] for name in fields} | {"status": "done"}
        known = (await roster.ask("owner", "PUT", path, {}, **{"if-match": "*"})).json()["errors"]
        body = {one["field"]: body[one["field"]] for one in known}
        answer = await roster.ask("owner", "PUT", path, body, **{"if-match": "*"})
    else:
        child = await roster.task(parent_id=task["id"])
        other = await roster.task()
        await relate(roster, child, "blocked_by", other)
        await roster.ok("owner", "PATCH", f"/tasks/{blocker['id']}", {"status": "done"})
        answer = await roster.ask("owner", "PATCH", f"{path}?children=complete", {"status": "done"})
        blocker = other
    assert (code(answer), answer.json()["data"]["task_ids"]) == ((409, "BLOCKED_BY"), [blocker["id"]])
    assert (await roster.ok("owner", "GET", path))["status_category"] == "todo"


async def test_b9_an_external_system_completes_nothing_that_is_blocked(roster, rows):
    path = f"/tasks/by-external/crm/{uuid7()}"
    body = {"title": "a", "project_id": str(roster.project_id)}
    task, blocker = await roster.ok("owner", "PUT", path, body), await roster.task()
    await relate(roster, blocker, "blocks", task)
    await enforce(roster, rows, "block")
    assert code(await roster.ask("owner", "PUT", path, {**body, "status": "done"})) == (409, "BLOCKED_BY")
    await enforce(roster, rows, "warn")
    answer = await roster.ask("owner", "PUT", path, {**body, "status": "done"})
    assert (answer.status_code, answer.json()["meta"]["warnings"][0]["task_ids"]) == (200, [blocker["id"]])


async def test_b9_a_completion_and_a_blocker_at_once_wait_for_each_other(roster, rows):
    """Either the blocker was there, and the task is open; or the task was done before it came."""
    await enforce(roster, rows, "block")
    for _ in range(30):
        blocker, task = await tasks_of(roster, 2)
        completing, relating = await asyncio.gather(
            roster.ask("owner", "PATCH", f"/tasks/{task['id']}", {"status": "done"}),
            relate(roster, blocker, "blocks", task),
        )
        assert (completing.status_code, relating.status_code) in {(200, 201), (409, 201)}
        order = await rows(
            "SELECT entity_type FROM tasks.change WHERE workspace_id = :id ORDER BY seq DESC LIMIT 2",
            id=roster.workspace_id,
        )
        if completing.status_code == 200:
            assert [one for (one,) in order] == ["relation", "task"]
