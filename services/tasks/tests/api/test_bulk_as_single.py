"""What many operations at once come to is what their single requests do: answers, tasks, the log and who is told (E2).

Somebody with all kinds of tasks in sight and beyond does the same twice, to one of two like sets of tasks at once and
to the other one by one: tasks below others, that block others, with assignees, in a project that they may only look at,
in an archived one, and in one that they don't see.
"""

import random

import pytest

STATE = """
    SELECT id::text, project_id::text, parent_id::text, title, description, status, priority, due_date, start_date,
        custom, labels, assignees, assigned_to, completion_policy, completed_by, completed_at IS NULL,
        deleted_at IS NULL, deleted_by, deleted_with::text, subtasks_done, subtasks_total,
        CASE WHEN subtasks_total = 0 THEN (SELECT count(*) FROM tasks.change WHERE entity_id = task.id) - version END
    FROM tasks.task WHERE id = ANY(CAST(:ids AS uuid[]))
"""
LOG = """
    SELECT entity_id::text, task_id::text, type, changes, audience, lost_by, reason FROM tasks.change
    WHERE workspace_id = :w AND task_id = ANY(CAST(:ids AS uuid[])) AND type <> 'task.created.v1'
    ORDER BY seq
"""
VERSION = "SELECT version FROM tasks.task WHERE id = CAST(:id AS uuid)"
OF_PLACE = {"key", "number", "position", "progress"}
"""Fields that depend on what else is in the project, or on how often a parent has counted."""
TIMES = {"completed_at", "deleted_at"}
METHODS = {"delete": ("DELETE", ""), "restore": ("POST", "/restore"), "move": ("POST", "/move")}
KINDS = ["update", "update", "update", "complete", "reopen", "delete", "restore", "move"]
PATCHES = {
    "title": ["a", "b"],
    "description": [None, "c"],
    "status": ["todo", "in_progress", "done", "cancelled", "done", "nowhere"],
    "priority": ["none", "high"],
    "due": [None, "2026-12-01"],
    "start": [None, "2026-12-01", "2026-12-03"],
    "custom": [{"a": 1}, {"a": None, "b": [1.5]}, None],
    "completion_policy": ["any", "all"],
}


async def project(team, name, **fields):
    body = {"name": name, "workspace_id": str(team.workspace_id), **fields}
    return (await team.ok("owner", "POST", "/projects", body))["id"]


async def world(team, parents, places, labels):
    """Make one of the sets of tasks, and return their ids."""
    ids = []
    for parent in parents:
        ids.append((await team.task(**({} if parent is None else {"parent_id": ids[parent]})))["id"])
    for index, who in ((1, ("member", "colleague")), (6, ("editor", "viewer")), (9, ("colleague",))):
        body = {"assignees": team.several(*who), "labels": labels}
        await team.ok("owner", "PATCH", f"/tasks/{ids[index]}", body)
    answer = {"state": "done"}
    await team.ok("owner", "PATCH", f"/tasks/{ids[1]}", {"completion_policy": "all"})
    await team.ok("colleague", "PATCH", f"/tasks/{ids[1]}/assignees/{team.id('colleague')}", answer)
    for blocker, blocked in ((0, 1), (0, 5), (3, 2), (3, 7), (7, 8), (9, 10)):
        await team.ok("owner", "POST", f"/tasks/{ids[blocker]}/relations", {"type": "blocks", "task_id": ids[blocked]})
    return ids + [(await team.task(project_id=place))["id"] for place in places]


def wanted_at_random(dice, labels, targets):
    """Return operations of one kind, on tasks that are told by their places; mostly nothing is wrong with them."""
    kind, target, is_wrong = dice.choice(KINDS), dice.choice(targets), dice.random() < 0.3
    found = []
    for place in dice.sample(range(15 if is_wrong else 12), dice.randrange(3, 7)):
        body = None
        if kind == "update":
            names = dice.sample([*sorted(PATCHES), "status", "labels"], 2)
            body = {one: labels[: dice.randrange(3)] if one == "labels" else dice.choice(PATCHES[one]) for one in names}
        elif kind == "move":
            body = {"project_id": target}
        if not is_wrong and body and body.get("status") == "nowhere":
            body["status"] = "done"
        found.append((kind, place, body, dice.choice([None, None, None, 0, 7]) if is_wrong else None))
    return found


async def version_of(team, task_id, ahead):
    return None if ahead is None else (await team.rows(VERSION, id=task_id))[0][0] + ahead


async def at_once(team, ids, wanted):
    operations = []
    for op, place, body, ahead in wanted:
        version = await version_of(team, ids[place], ahead)
        more = {"patch": body} if op == "update" else body or {}
        operations.append({"op": op, "id": ids[place], **more, **({} if ahead is None else {"if_version": version})})
    answer = await team.ask("member", "POST", "/tasks/bulk", {"mode": "partial", "operations": operations})
    return [(one["status"], one["error"] and one["error"]["code"]) for one in answer.json()["data"]]


async def one_by_one(team, ids, wanted):
    found = []
    for op, place, body, ahead in wanted:
        headers = {} if ahead is None else {"If-Match": f'"{await version_of(team, ids[place], ahead)}"'}
        method, tail = METHODS.get(op, ("PATCH", ""))
        said = await becoming(team, ids[place], op) if op in {"complete", "reopen"} else body
        answer = await team.ask("member", method, f"/tasks/{ids[place]}{tail}", said, **headers)
        refused = answer.json()["errors"] if answer.status_code >= 300 else []
        status = 200 if answer.status_code == 204 else answer.status_code
        found.append((status, refused[0]["code"] if refused else None))
    return found


async def becoming(team, task_id, op):
    """Return the patch that completes a task, or opens it again, unless it is so."""
    now = ((await team.ask("owner", "GET", f"/tasks/{task_id}")).json()["data"] or {}).get("status_category")
    if op == "complete":
        return {} if now == "done" else {"status": "done"}
    return {} if now in {"todo", "in_progress"} else {"status": "todo"}


def told(value, ids):
    """Return a value with places for the ids of tasks."""
    return ids.index(value) if value in ids else value


async def states(team, ids):
    return sorted(
        [[told(one, ids) if isinstance(one, str) else one for one in row] for row in await team.rows(STATE, ids=ids)]
    )


async def logged(team, ids):
    """Return what was told of each task, in its order, but for what parents have counted."""
    found = {}
    for entity, task_id, kind, changes, *to in await team.rows(LOG, w=team.workspace_id, ids=ids):
        fields = {
            one["field"]: [
                value is not None if one["field"] in TIMES else told(value, ids) if isinstance(value, str) else value
                for value in (one["old"], one["new"])
            ]
            for one in changes
            if one["field"] not in OF_PLACE
        }
        if fields or entity != task_id or kind != "task.updated.v1":
            found.setdefault(told(task_id, ids), []).append((kind, entity == task_id, fields, *to))
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_e2_operations_at_once_are_those_one_by_one(roster, seed):
    dice = random.Random(seed)
    place = {"workspace_id": str(roster.workspace_id)}
    labels = [(await roster.ok("owner", "POST", "/labels", {"name": name, **place}))["id"] for name in "lm"]
    rule = {"enforce_blockers": dice.choice(["block", "warn"])}
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", rule, **{"If-Match": "*"})
    there = await project(roster, "There")
    looked_at, hidden = [await project(roster, name, visibility="private") for name in ("Look", "Hidden")]
    as_viewer = f"/projects/{looked_at}/members/{roster.id('member')}"
    await roster.ok("owner", "PUT", as_viewer, {"role": "viewer"})
    archived = await project(roster, "Old")
    places = [looked_at, archived, hidden]
    parents = [None if index < 4 or dice.random() < 0.4 else dice.randrange(index) for index in range(12)]
    ones = await world(roster, parents, places, labels)
    others = await world(roster, parents, places, labels)
    await roster.ok("owner", "POST", f"/projects/{archived}/archive", **{"If-Match": "*"})
    for turn in range(20):
        wanted = wanted_at_random(dice, labels, [there, str(roster.project_id), looked_at])
        assert await at_once(roster, ones, wanted) == await one_by_one(roster, others, wanted), (turn, wanted)
        assert await states(roster, ones) == await states(roster, others), (turn, wanted)
        assert await logged(roster, ones) == await logged(roster, others), (turn, wanted)
