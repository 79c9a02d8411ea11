"""Deleting, restoring and undoing many is what it is one by one, at the cost of a few statements (B13, E2, H5)."""

import asyncio
import dataclasses
import random

import httpx2
import pytest
from chassis.ids import uuid7
from chassis.web.health import Health
from tasks_service.main import create_app
from testkit.contract import contract_client
from testkit.statements import statements_seen

BULK = "/tasks/bulk"


@pytest.fixture
def team(roster, patient_api):
    """The team, whose requests wait for each other."""
    return dataclasses.replace(roster, api=patient_api)


async def bulk(team, operations, mode="atomic", **headers):
    answer = await team.ask("owner", "POST", BULK, {"mode": mode, "operations": operations}, **headers)
    return [(one["status"], one["version"]) for one in answer.json()["data"]]


async def do(team, operations):
    """Do operations under an id of their own, which is returned."""
    request_id = str(uuid7())
    await team.ok("owner", "POST", BULK, {"operations": operations}, **{"x-request-id": request_id})
    return request_id


async def undo(team, request_id):
    """Undo a request, and return the id of that, and the types of what changed."""
    again = str(uuid7())
    done = await team.ok("owner", "POST", f"/operations/{request_id}/undo", **{"x-request-id": again})
    return again, [one["type"] for one in done]


def on(op, ids, **more):
    return [{"op": op, "id": one, **more} for one in ids]


async def made(team, count, **fields):
    body = {"title": "a", "project_id": str(team.project_id), **fields}
    answer = await team.ok("owner", "POST", BULK, {"operations": [{"op": "create", "data": body}] * count})
    return [one["id"] for one in answer]


async def forest(team, parents):
    """Make tasks, each below the one at the index that is given for it, if any; return their ids."""
    ids = []
    for parent in parents:
        ids.append((await team.task(**({} if parent is None else {"parent_id": ids[parent]})))["id"])
    return ids


async def state_of(team, ids):
    """Return what became of tasks that are told by their places among them."""
    found = await team.rows(
        "SELECT id::text, parent_id::text, deleted_at IS NOT NULL, deleted_with::text, subtasks_done, subtasks_total "
        "FROM tasks.task WHERE id = ANY(CAST(:ids AS uuid[]))",
        ids=ids,
    )
    places = {None: None, **{one: index for index, one in enumerate(ids)}}
    return sorted((places[one], places[parent], gone, places[group], *n) for one, parent, gone, group, *n in found)


SINGLE = {"delete": ("DELETE", ""), "restore": ("POST", "/restore")}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_e2_deleted_and_restored_at_once_is_as_one_by_one(roster, seed):
    dice = random.Random(seed)
    parents = [None if index < 3 or dice.random() < 0.3 else dice.randrange(index) for index in range(12)]
    ones, others = await forest(roster, parents), await forest(roster, parents)
    for _ in range(6):
        op = dice.choice(["delete", "restore"])
        places = dice.sample(range(12), 8)
        at_once = [status for status, _ in await bulk(roster, on(op, [ones[one] for one in places]), "partial")]
        method, tail = SINGLE[op]
        paths = [f"/tasks/{others[one]}{tail}" for one in places]
        assert at_once == [(await roster.ask("owner", method, path)).status_code for path in paths]
        assert await state_of(roster, ones) == await state_of(roster, others)


def changes_at_random(dice, places, labels):
    """Return operations on tasks that are told by their places, without the ids."""
    kind = dice.choice(["update", "update", "complete", "reopen"])
    patches = {
        "title": lambda: dice.choice(["a", "b"]),
        "status": lambda: dice.choice(["todo", "in_progress", "done", "cancelled", "nowhere"]),
        "priority": lambda: dice.choice(["none", "high"]),
        "custom": lambda: dice.choice([{"a": 1.5}, {"a": None, "b": [1, "é"]}, None]),
        "due": lambda: dice.choice([None, "2026-12-01", {"at": "2026-12-02T08:00:00Z", "timezone": "Asia/Tokyo"}]),
        "start": lambda: dice.choice([None, "2026-12-01", "2026-12-03"]),
        "labels": lambda: dice.sample(labels, dice.randrange(3)),
        "description": lambda: dice.choice([None, 'a "quoted" \\ text']),
        "reopen_on_assign": lambda: dice.choice([True, False]),
        "estimate_minutes": lambda: dice.choice([None, 5]),
    }
    if kind != "update":
        return [(kind, place, {}) for place in places]
    names = dice.sample(sorted(patches), 2)
    return [(kind, place, {name: patches[name]() for name in names if dice.random() < 0.9}) for place in places]


async def one_by_one(team, op, task_id, patch):
    """Do what an operation does by its single request, and return the status."""
    if op != "update":
        now = await team.ok("owner", "GET", f"/tasks/{task_id}")
        is_open = now["status_category"] in {"todo", "backlog", "in_progress"}
        if op == "complete" and now["status_category"] != "done":
            patch = {"status": "done"}
        elif op == "reopen" and not is_open:
            patch = {"status": "todo"}
    return (await team.ask("owner", "PATCH", f"/tasks/{task_id}", patch)).status_code


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_e2_changed_at_once_is_as_one_by_one(roster, seed):
    dice = random.Random(seed)
    place = {"workspace_id": str(roster.workspace_id)}
    labels = [(await roster.ok("owner", "POST", "/labels", {"name": name, **place}))["id"] for name in "lmn"]
    parents = [None if index < 4 or dice.random() < 0.5 else dice.randrange(index) for index in range(10)]
    ones, others = await forest(roster, parents), await forest(roster, parents)
    for ids in (ones, others):
        await roster.ok("owner", "PUT", f"/tasks/{ids[0]}/assignees", {"user_ids": roster.several("owner", "member")})
        await roster.ok("owner", "PATCH", f"/tasks/{ids[0]}", {"completion_policy": "all"})
        await roster.ok("owner", "PATCH", f"/tasks/{ids[0]}/assignees/{roster.id('owner')}", {"state": "done"})
    for _ in range(8):
        wanted = changes_at_random(dice, dice.sample(range(10), 7), labels)
        operations = [
            {"op": op, "id": ones[one], **({"patch": patch} if op == "update" else {})} for op, one, patch in wanted
        ]
        at_once = [status for status, _ in await bulk(roster, operations, "partial")]
        assert at_once == [await one_by_one(roster, op, others[one], patch) for op, one, patch in wanted]
        shown = [
            [await roster.ok("owner", "GET", f"/tasks/{one}?include=assignees") for one in ids]
            for ids in (ones, others)
        ]
        told = [[of(one, ids) for one in of_ids] for of_ids, ids in zip(shown, (ones, others), strict=True)]
        assert told[0] == told[1]


def of(shown, ids):
    """Return what a task says that does not depend on which one it is; a parent's version is how often it counted."""
    own = {"id", "key", "position", "created_at", "updated_at", "parent_id", "assignee_details"}
    own |= {"version"} if shown["progress"]["total"] else set()
    said = [(one["user_id"], one["state"]) for one in shown.get("assignee_details", ())]
    completed = {"completed_at": shown["completed_at"] is not None}
    parent = ids.index(shown["parent_id"]) if shown["parent_id"] else None
    return {name: value for name, value in shown.items() if name not in own} | completed | {"said": said, "in": parent}


async def placed(team, ids, project_id):
    """Return where tasks are, with their numbers there, their statuses and who is to do them."""
    found = await team.rows(
        "SELECT id::text, project_id = :p, CASE WHEN project_id = :p THEN number END, parent_id::text, status, "
        "cardinality(assignees), subtasks_done, subtasks_total FROM tasks.task WHERE id = ANY(CAST(:ids AS uuid[]))",
        ids=ids,
        p=project_id,
    )
    return sorted(
        (ids.index(one), *is_there, ids.index(p) if p else None, *n) for one, *is_there, p, n in halves(found)
    )


def halves(rows):
    """Return rows whose fourth is a task."""
    return [(one, is_there, number, parent, rest) for one, is_there, number, parent, *rest in rows]


@pytest.mark.parametrize("seed", [1, 2])
async def test_b14_moved_at_once_is_as_one_by_one(roster, seed):
    dice = random.Random(seed)
    parents = [None if index < 4 or dice.random() < 0.4 else dice.randrange(index) for index in range(12)]
    ones, others = await forest(roster, parents), await forest(roster, parents)
    theirs = []
    for name in ("Q", "R"):
        # Nobody but who manages the workspace sees it, so assignees are lost.
        body = {"name": name, "workspace_id": str(roster.workspace_id), "visibility": "private"}
        theirs.append((await roster.ok("owner", "POST", "/projects", body))["id"])
    for ids in (ones, others):
        for index, status in ((1, "done"), (2, "in_progress"), (5, "cancelled")):
            await roster.ok("owner", "PATCH", f"/tasks/{ids[index]}?children=leave", {"status": status})
        await roster.ok("owner", "PUT", f"/tasks/{ids[0]}/assignees", {"user_ids": roster.several("owner", "member")})
        await roster.ok("owner", "DELETE", f"/tasks/{ids[11]}")
    for _ in range(3):
        places = dice.sample(range(12), 6)
        at_once = await bulk(roster, on("move", [ones[one] for one in places], project_id=theirs[0]), "partial")
        single = [
            (await roster.ask("owner", "POST", f"/tasks/{others[one]}/move", {"project_id": theirs[1]})).status_code
            for one in places
        ]
        assert [status for status, _ in at_once] == single
        assert await placed(roster, ones, theirs[0]) == await placed(roster, others, theirs[1])


async def test_h5_many_that_moved_are_back_with_their_places_and_statuses(roster, database):
    costs = {}
    for count in (6, 12):
        body = {"name": "Q", "workspace_id": str(roster.workspace_id), "prefix": f"Q{count}"}
        there = await roster.ok("owner", "POST", "/projects", body)
        ids = await made(roster, count)
        await roster.ok("owner", "PATCH", f"/tasks/{ids[0]}", {"status": "in_progress"})
        await roster.ok("owner", "POST", f"/tasks/{ids[1]}/position", {"after_id": ids[2]})
        before = [await roster.ok("owner", "GET", f"/tasks/{one}") for one in ids]
        status_map = {"in_progress": "done"}
        request_id = await do(roster, on("move", ids, project_id=there["id"], status_map=status_map))
        with statements_seen(database.writer) as seen:
            again, types = await undo(roster, request_id)
        costs[count] = len(seen)
        assert types.count("task.moved") == count
        after = [await roster.ok("owner", "GET", f"/tasks/{one}") for one in ids]
        for was, now in zip(before, after, strict=True):
            same = was.keys() - {"key", "version", "updated_at"}
            assert {name: now[name] for name in same} == {name: was[name] for name in same}
        await undo(roster, again)
        statuses = [(await roster.ok("owner", "GET", f"/tasks/{one}"))["status"] for one in ids]
        assert statuses == ["done"] + ["todo"] * (count - 1)
    assert costs[6] == costs[12] <= 70


async def test_e2_what_is_equal_already_is_no_change_among_many(roster):
    ids = await made(roster, 4)
    await roster.ok("owner", "PATCH", f"/tasks/{ids[1]}", {"title": "b"})
    count = len(await roster.log())
    done = [(200, 2)] * 4
    assert await bulk(roster, on("update", ids, patch={"title": "b"})) == done
    assert len(await roster.log_after(count)) == 3
    # What was read under the lock, and changed, is what the next operation goes on from.
    both = [*on("update", ids, patch={"title": "c"}), *on("complete", ids), *on("delete", ids)]
    assert await bulk(roster, both) == [(200, 3)] * 4 + [(200, 4)] * 4 + [(200, 5)] * 4


async def test_e2_a_parent_counts_once_what_is_deleted_and_restored_at_once(roster):
    parent = await roster.task()
    ids = await made(roster, 5, parent_id=parent["id"])
    for op, kind, total in (("delete", "task.deleted.v1", 2), ("restore", "task.restored.v1", 5)):
        count = len(await roster.log())
        await bulk(roster, on(op, ids[:3]))
        log = await roster.log_after(count)
        assert [one for one, _, _ in log] == [kind] * 3 + ["task.updated.v1"]
        assert log[-1][1]["progress"][1] == {"done": 0, "total": total}


async def test_e2_what_is_refused_among_many_is_refused_alone(roster):
    ids = await made(roster, 9)
    await roster.ok("owner", "PATCH", f"/tasks/{ids[4]}", {"title": "b"})
    operations = on("delete", ids)
    operations[4]["if_version"] = 1
    operations[6]["id"] = str(uuid7())
    count = len(await roster.log())
    done = [(200, 2)] * 4 + [(412, None), (200, 2), (404, None), (200, 2), (200, 2)]
    assert await bulk(roster, operations, "partial") == done
    assert [one for one, _, _ in await roster.log_after(count)] == ["task.deleted.v1"] * 7
    answer = await roster.ask("owner", "POST", BULK, {"operations": on("restore", [ids[0], ids[4], ids[5]])})
    assert (answer.status_code, [one["index"] for one in answer.json()["errors"]]) == (404, [1])
    assert len(await roster.log_after(count)) == 7


async def test_e2_of_two_with_one_external_id_one_is_restored(roster):
    named = {"external_source": "jira", "external_id": "1"}
    first = await roster.task(**named)
    await roster.ok("owner", "DELETE", f"/tasks/{first['id']}")
    second = await roster.task(**named)
    await roster.ok("owner", "DELETE", f"/tasks/{second['id']}")
    assert await bulk(roster, on("restore", [first["id"], second["id"]]), "partial") == [(200, 3), (409, None)]


async def test_b13_assignees_of_many_are_dropped_each_with_a_warning(roster, rows):
    ids = await made(roster, 3, assignees=roster.several("member", "colleague"))
    await bulk(roster, on("delete", ids))
    await rows(
        "DELETE FROM tasks.member WHERE user_id = :u AND workspace_id = :w",
        u=roster.ids["member"],
        w=roster.workspace_id,
    )
    done = await roster.ok("owner", "POST", BULK, {"operations": on("restore", ids)})
    told = [[(one["code"], one["task_id"], one["user_id"]) for one in item["warnings"]] for item in done]
    assert told == [[("ASSIGNEE_DROPPED", one, roster.id("member"))] for one in ids]
    left = await rows("SELECT user_id::text FROM tasks.assignee WHERE task_id = ANY(CAST(:ids AS uuid[]))", ids=ids)
    assert left == [(roster.id("colleague"),)] * 3


COSTS = {"create": 36, "delete": 40, "restore": 36, "update": 28, "complete": 30}


@pytest.mark.parametrize("op", COSTS)
async def test_h5_undoing_many_costs_a_few_statements(roster, database, op):
    seen = {}
    parent = await roster.task()
    for count in (5, 20):
        body = {"title": "a", "project_id": str(roster.project_id), "parent_id": parent["id"]}
        wanted = [{"op": "create", "data": body}] * count
        if op != "create":
            ids = await made(roster, count, parent_id=parent["id"])
            if op == "restore":
                await do(roster, on("delete", ids))
            wanted = on(op, ids, **({"patch": {"title": "b"}} if op == "update" else {}))
        request_id = await do(roster, wanted)
        with statements_seen(database.writer) as seen[count]:
            again, types = await undo(roster, request_id)
        kinds = {"delete": "task.restored", "update": "task.updated", "complete": "task.updated"}
        assert types.count(kinds.get(op, "task.deleted")) == count + (op == "complete")
        await undo(roster, again)
    assert len(seen[5]) == len(seen[20]) <= COSTS[op]


async def test_h5_trees_that_were_made_at_once_go_to_the_trash_as_trees(roster):
    data = {"title": "a", "project_id": str(roster.project_id)}
    operations = []
    for name in "abc":
        operations.append({"op": "create", "temp_id": name, "data": data})
        operations.append({"op": "create", "temp_id": f"{name}1", "data": {**data, "parent_id": name}})
        operations.append({"op": "create", "data": {**data, "parent_id": f"{name}1"}})
    request_id = await do(roster, operations)
    count = len(await roster.log())
    again, types = await undo(roster, request_id)
    assert types == ["task.deleted"] * 9
    assert len(await roster.log_after(count)) == 9
    trash = await roster.ok("owner", "GET", f"/trash?workspace_id={roster.workspace_id}")
    assert len(trash) == 3
    _, types = await undo(roster, again)
    assert types == ["task.restored"] * 9
    counts = "SELECT count(*), count(parent_id), sum(subtasks_total) FROM tasks.task"
    there = f"{counts} WHERE project_id = :p AND deleted_at IS NULL"
    assert await roster.rows(there, p=roster.project_id) == [(9, 6, 6)]


async def test_h5_what_was_deleted_one_by_one_from_below_is_a_tree_again(roster):
    ids = await forest(roster, [None, 0, 0, 1, None, 4])
    before = await state_of(roster, ids)
    request_id = await do(roster, on("delete", [ids[one] for one in (3, 1, 5, 2, 4, 0)]))
    assert {gone for _, _, gone, *_ in await state_of(roster, ids)} == {True}
    await undo(roster, request_id)
    assert await state_of(roster, ids) == before


async def test_h5_subtasks_that_others_made_keep_many_from_the_trash(roster):
    request_id = await do(roster, [{"op": "create", "data": {"title": "a", "project_id": str(roster.project_id)}}] * 4)
    ids = await roster.rows(
        "SELECT id::text FROM tasks.task WHERE project_id = :p ORDER BY number", p=roster.project_id
    )
    await roster.ok("member", "POST", "/tasks", {"title": "b", "parent_id": ids[2][0]})
    count = len(await roster.log())
    answer = await roster.ask("owner", "POST", f"/operations/{request_id}/undo")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "UNDO_CONFLICT")
    assert await roster.log_after(count) == []


@pytest.mark.parametrize("op", ["create", "delete", "update", "move"])
async def test_h5_of_undos_of_many_that_race_one_wins(team, op):
    ids = await made(team, 15)
    there = await team.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(team.workspace_id)})
    more = {"update": {"patch": {"title": "b"}}, "move": {"project_id": there["id"]}}
    body = {"title": "a", "project_id": str(team.project_id)}
    wanted = [{"op": "create", "data": body}] * 15 if op == "create" else on(op, ids, **more.get(op, {}))
    request_id = await do(team, wanted)
    count = len(await team.log())
    answers = await asyncio.gather(*(team.ask("owner", "POST", f"/operations/{request_id}/undo") for _ in range(10)))
    assert sorted(one.status_code for one in answers).count(200) == 1
    assert {one.status_code for one in answers} <= {200, 409, 503}
    kinds = [kind for kind, _, _ in await team.log_after(count)]
    # What moves back is told of its place by itself.
    assert len(kinds) == (30 if op == "move" else 15)
    assert len(kinds) - kinds.count("task.updated.v1") == (0 if op == "update" else 15)


@pytest.mark.parametrize("op", ["delete", "update", "complete"])
async def test_h5_an_undo_of_many_takes_no_change_of_others_back(team, op):
    """Whatever comes first: a change is on top of the undo, or a conflict with it, or finds nothing in the trash."""
    for _ in range(4):
        ids = await made(team, 12)
        request_id = await do(team, on(op, ids, **({"patch": {"title": "b"}} if op == "update" else {})))
        field = {"status": "in_progress"} if op == "complete" else {"title": "c"}
        count = len(await team.log())
        undone, *changed = await asyncio.gather(
            team.ask("owner", "POST", f"/operations/{request_id}/undo"),
            *(team.ask("member", "PATCH", f"/tasks/{one}", field) for one in ids[::3]),
        )
        won = [one.status_code for one in changed].count(200)
        assert {one.status_code for one in changed} <= {200, 404, 503}
        assert undone.status_code in {200, 409, 503}
        log = await team.log_after(count)
        assert len(log) == won + (12 if undone.status_code == 200 else 0)
        for one, answer in zip(ids[::3], changed, strict=True):
            if answer.status_code == 200:
                now = await team.ok("owner", "GET", f"/tasks/{one}")
                assert {name: now[name] for name in field} == field
        versions = await team.rows("SELECT version FROM tasks.task WHERE id = ANY(CAST(:ids AS uuid[]))", ids=ids)
        assert sum(one for (one,) in versions) == 12 * 2 + len(log)


async def test_h5_more_than_the_limit_is_not_undone_and_the_limit_is_told(roster, settings, database, contract):
    tasks = settings.tasks.model_copy(update={"undo_max_changes": 100})
    app = create_app(dataclasses.replace(settings, tasks=tasks), database=database, health=Health())
    data = {"title": "a", "project_id": str(roster.project_id)}
    request_id = await do(roster, [{"op": "create", "data": data}] * 101)
    count = len(await roster.log())
    async with contract_client(contract, transport=httpx2.ASGITransport(app=app), base_url="http://tasks") as client:
        small = dataclasses.replace(roster, api=client)
        answer = await small.ask("owner", "POST", f"/operations/{request_id}/undo")
    told = answer.json()
    assert (answer.status_code, told["errors"][0]["code"]) == (409, "UNDO_TOO_LARGE")
    assert told["errors"][0]["message"] == "More than 100 changes are not turned back at once."
    assert told["data"] == {"limit": 100}
    assert await roster.log_after(count) == []
    _, types = await undo(roster, request_id)
    assert types == ["task.deleted"] * 101


async def test_e2_what_is_opened_again_among_many_stands_in_the_way_of_what_comes_after_it(roster):
    """Of a blocker, and of what is two levels below; each after and before what it is in the way of."""
    for ids in ([0, 1, 2], [1, 0, 2]):
        below = await forest(roster, [None, 0, 1])
        await roster.ok("owner", "PATCH", f"/tasks/{below[0]}?children=complete", {"status": "done"})
        await roster.ok("owner", "PATCH", f"/tasks/{below[0]}", {"status": "todo"})
        other = (await roster.task())["id"]
        patches = [(below[2], "todo"), (below[0], "done"), (other, "in_progress")]
        operations = [{"op": "update", "id": patches[one][0], "patch": {"status": patches[one][1]}} for one in ids]
        statuses = [status for status, _ in await bulk(roster, operations, "partial")]
        assert statuses == ([200, 409, 200] if ids[0] == 0 else [200, 200, 200])
