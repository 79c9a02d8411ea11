"""A task is changed before it is routed, and just as its route changes and answers it (ADR 21).

The same request with an Idempotency-Key goes to the route.
"""

import asyncio
from uuid import UUID

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

JSON = {"content-type": "application/json"}
MERGE = {"content-type": "application/merge-patch+json"}
CHANGES = [
    {"title": "Buy oat milk"},
    {"title": "Buy oat milk"},
    {},
    {"description": "More.", "priority": "high", "estimate_minutes": 5},
    {"description": None, "estimate_minutes": None},
    {"due": {"local": "2026-12-01T09:00:00"}},
    {"due": None, "start": "2026-12-01", "deadline": "2026-12-24"},
    {"custom": {"a": 1, "b": {"c": True, "d": 1e21}}},
    {"custom": {"a": None, "b": {"c": 1}}},
    {"custom": None},
    {"completion_policy": "all", "reopen_on_assign": True},
    {"status": "in_progress"},
    {"status": "done"},
    {"status": "done"},
    {"status": "todo", "title": "Buy milk again"},
    {"status": "no_such"},
    {"title": None},
    {"title": ""},
    {"start": "2027-01-01"},
    {"custom": {"a": "x" * 9000}},
    {"version": 7},
    {"no_such": 1},
    {"labels": ["0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01"]},
    {"labels": ["{label}"]},
    {"assignees": ["{member}"]},
    {"status": "done"},
    {"status": "todo"},
    {"assigned_to": None},
    [],
    7,
]
OF_PARENT = """
SELECT version, resource -> 'progress' FROM tasks.change
WHERE entity_id = :parent AND entity_type = 'task' ORDER BY seq
"""


@pytest.fixture
def both_change(compared):
    """Has one of two equal tasks changed by the shortcut and the other one by the route, compares what both say and do.

    Returns what the shortcut says.
    """

    async def ask(twins, own, body=None, content=None, **headers):
        sent = {"json": body} if content is None else {"content": content}
        return await compared("PATCH", [f"/api/v1/tasks/{one['id']}" for one in twins], {**own, **headers}, sent)

    return ask


async def twins_of(roster, **fields):
    return [await roster.task(**fields) for _ in range(2)]


async def test_g1_what_is_changed_is_what_the_route_changes(roster, named, filled, both_change):
    own = roster.gateway.headers(roster.ids["owner"])
    pairs = [await twins_of(roster), await twins_of(roster, parent_id=named["task"])]
    for twins in pairs:
        for body in CHANGES:
            assert (await both_change(twins, own, body=filled(body))).status_code < 500, body
    by_merge = await both_change(pairs[0], own, content=b'{"title": "C"}', **MERGE)
    assert by_merge.json()["data"]["title"] == "C"


async def test_r36_each_caller_changes_what_the_route_would_let_them_change(roster, callers, named, both_change):
    open_to_all, private = await twins_of(roster), await twins_of(roster, project_id=named["private"])
    statuses = {}
    for who, own in callers("tasks:write", "tasks:read", UUID(named["private"])).items():
        answers = [await both_change(twins, own, body={"title": f"by {who}"}) for twins in (open_to_all, private)]
        statuses[who] = tuple(one.status_code for one in answers)
    assert statuses["owner"] == statuses["token"] == statuses["bot"] == (200, 200)
    assert statuses["member"] == statuses["token of the project"] == (200, 404)
    assert statuses["token of another project"] == (404, 200)
    assert statuses["viewer"] == (403, 404)
    assert statuses["stranger"] == statuses["guest"] == (404, 404)
    assert statuses["token that reads only"] == statuses["token with another scope"] == (403, 403)
    for who in ("service", "nobody", "a liar", "too late"):
        assert statuses[who] == (401, 401), who


async def test_r33_what_a_change_was_made_for_is_looked_at_as_by_the_route(roster, both_change, rows):
    own, twins = roster.gateway.headers(roster.ids["owner"]), await twins_of(roster)
    told = []
    for number, tag in enumerate(
        ('"1"', '"1"', "*", ' "3" ', 'W/"4"', "4", '"x"', '"2147483648"', '"99999999999999999999"', "")
    ):
        told.append((await both_change(twins, own, body={"title": f"no. {number}"}, **{"if-match": tag})).status_code)
    assert told == [200, 412, 200, 200, 400, 400, 400, 412, 412, 400]
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id RETURNING 1", id=roster.workspace_id)
    assert (await both_change(twins, own, body={"title": "A"})).status_code == 428


async def test_r33_a_version_that_never_was_is_a_conflict_of_no_field(roster):
    task = await roster.task()
    for tag in ('"50"', '"2147483647"', '"2147483648"', '"9223372036854775808"', f'"{"9" * 5000}"'):
        for query in ("", "?merge=fields"):
            headers = {"if-match": tag}
            answer = await roster.ask(
                "owner", "PATCH", f"/tasks/{task['id']}{query}", {"deadline": "2026-12-01"}, **headers
            )
            assert answer.status_code == 412, (tag, answer.text)
            assert [one["field"] for one in answer.json()["errors"]] == [None]


async def test_b9_what_blocks_and_what_is_below_is_looked_at_as_by_the_route(roster, both_change):
    own = roster.gateway.headers(roster.ids["owner"])
    for rule, status in (("block", 409), ("warn", 200)):
        twins, blocker = await twins_of(roster), await roster.task()
        await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"enforce_blockers": rule})
        for one in twins:
            body = {"type": "blocks", "task_id": one["id"]}
            await roster.ok("owner", "POST", f"/tasks/{blocker['id']}/relations", body)
        answer = await both_change(twins, own, body={"status": "done"})
        assert (answer.status_code, "warnings" in answer.json()["meta"]) == (status, status == 200)
    above = await twins_of(roster)
    for one in above:
        await roster.task(parent_id=one["id"])
    assert (await both_change(above, own, body={"status": "done"})).status_code == 409
    assert (await both_change(above, own, body={"title": "A"})).status_code == 200


async def test_b6_a_subtask_counts_in_its_parent_as_by_the_route(roster, both_change, rows):
    own, parent = roster.gateway.headers(roster.ids["owner"]), await roster.task()
    twins = await twins_of(roster, parent_id=parent["id"])
    for status in ("done", "cancelled", "todo"):
        assert (await both_change(twins, own, body={"status": status})).status_code == 200
    told = await rows(OF_PARENT, parent=UUID(parent["id"]))
    assert [version for version, _ in told] == list(range(1, 10))
    # By the shortcut and by the route, and each time it is one more entry.
    counts = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (1, 1), (0, 0), (0, 1), (0, 2)]
    assert [(one["done"], one["total"]) for _, one in told] == counts


async def test_f2_who_was_done_is_asked_again_as_by_the_route(roster, both_change, rows):
    own, done = roster.gateway.headers(roster.ids["owner"]), "UPDATE tasks.assignee SET state = 'done' RETURNING 1"
    for policy in ("any", "all", "quorum:2"):
        twins = await twins_of(roster, assignees=roster.several("member", "editor"), completion_policy=policy)
        assert (await both_change(twins, own, body={"status": "done"})).status_code == 200
        assert len(await rows(done)) >= 4
        assert (await both_change(twins, own, body={"status": "todo"})).status_code == 200
        asked = "SELECT count(*) FROM tasks.assignee WHERE task_id = ANY(:ids) AND state = 'pending'"
        assert await rows(asked, ids=[UUID(one["id"]) for one in twins]) == [(4,)]


async def test_c1_what_is_archived_or_gone_is_told_by_the_route(roster, named, both_change):
    own = roster.gateway.headers(roster.ids["owner"])
    archived = await roster.ok("owner", "POST", "/projects", {"name": "S", "workspace_id": str(roster.workspace_id)})
    kept, trashed = await twins_of(roster, project_id=archived["id"]), await twins_of(roster)
    await roster.ok("owner", "POST", f"/projects/{archived['id']}/archive")
    for one in trashed:
        await roster.ok("owner", "DELETE", f"/tasks/{one['id']}")
    for twins, status in ((kept, 409), (trashed, 404), ([{"id": uuid7()}] * 2, 404)):
        assert (await both_change(twins, own, body={"title": "A"})).status_code == status


async def test_r29_a_change_that_is_no_plain_json_is_told_by_the_route(roster, both_change, broken):
    own, twins = roster.gateway.headers(roster.ids["owner"]), await twins_of(roster)
    assert 400 <= (await both_change(twins, own, content=broken, **JSON)).status_code < 500
    # Nothing is to be changed by nothing.
    assert (await both_change(twins, own, content=b"", **JSON)).status_code == 200


async def test_r36_what_names_nothing_new_is_changed_by_the_shortcut(roster, database):
    task = await roster.task()
    below = await roster.task(parent_id=task["id"])
    own, path = roster.gateway.headers(roster.ids["owner"]), f"/api/v1/tasks/{task['id']}"
    for body, headers, where, is_short in (
        ({"title": "B"}, {}, path, True),
        ({}, {}, path, True),
        ({"title": "C"}, {"if-match": "*"}, path.replace(task["id"], task["id"].upper()), True),
        ({"title": "D"}, {}, f"/api/v1/tasks/{below['id']}", True),
        ({"status": "done"}, {}, f"/api/v1/tasks/{below['id']}", True),
        ({"status": "done"}, {}, path, True),
        ({"status": "todo"}, {}, path, True),
        ({"title": "E"}, {"idempotency-key": "one"}, path, False),
        ({"title": "F"}, {}, f"{path}?merge=fields", False),
        ({"title": "G"}, {}, path.replace(task["id"], task["key"]), False),
        ({"assignees": []}, {}, path, False),
        ({"labels": []}, {}, path, False),
    ):
        with statements_seen(database.writer) as seen:
            answer = await roster.api.patch(where, headers={**own, **headers}, json=body)
        assert (answer.status_code, bool(seen)) == (200, not is_short), (body, where)


async def test_b2_fifty_changes_at_once_lose_nothing(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}"
    await asyncio.gather(
        *(roster.ok("owner", "PATCH", path, {"custom": {f"n{number}": number}}) for number in range(50))
    )
    found = await roster.ok("owner", "GET", path)
    assert found["custom"] == {f"n{number}": number for number in range(50)}
    assert found["version"] == 51
