"""How many statements an operation of many costs: in the whole a few, and a few for each."""

import pytest
from testkit.statements import statements_seen

BEGIN = 16
"""What a batch costs once: the transaction, its caller and key, what is looked for and locked, and the log."""
AT_ONCE = {"update": 16, "complete": 18, "reopen": 16, "delete": 24, "restore": 30, "move": 44}
"""What it costs once where all are done at once."""
ATOMIC = {
    "create": 3,
    "create with parent": 9,
    "update": 0,
    "complete": 0,
    "reopen": 0,
    "assign": 8,
    "unassign": 5,
    "add_label": 4,
    "remove_label": 3,
    "move": 0,
    "delete": 0,
    "restore": 0,
}
"""The most for each, of tasks without subtasks."""
SAVEPOINT = 2
MANY = 20


@pytest.fixture
async def operations(roster):
    """Makes tasks, and returns operations on them by name."""
    place = {"workspace_id": str(roster.workspace_id)}
    there = await roster.ok("owner", "POST", "/projects", {"name": "Q", **place})
    label = await roster.ok("owner", "POST", "/labels", {"name": "l", **place})
    parent = await roster.task()
    fields = {"title": "a", "project_id": str(roster.project_id)}
    people = [roster.id("member")]
    more = {
        "reopen": {"status": "done"},
        "unassign": {"assignees": [roster.id("owner"), *people]},
        "remove_label": {"labels": [label["id"]]},
    }

    async def made(name):
        body = {"operations": [{"op": "create", "data": {**fields, **more.get(name, {})}}] * MANY}
        ids = [one["id"] for one in await roster.ok("owner", "POST", "/tasks/bulk", body)]
        if name == "restore":
            await roster.ok("owner", "POST", "/tasks/bulk", {"operations": [{"op": "delete", "id": i} for i in ids]})
        return ids

    async def make(name):
        if name.startswith("create"):
            data = {**fields, **({"parent_id": parent["id"]} if "parent" in name else {})}
            return [{"op": "create", "data": data}] * MANY
        rest = {
            "update": {"patch": {"title": "b", "priority": "high"}},
            "assign": {"user_ids": people},
            "unassign": {"user_ids": people},
            "add_label": {"label_id": label["id"]},
            "remove_label": {"label_id": label["id"]},
            "move": {"project_id": there["id"]},
        }
        return [{"op": name, "id": one, **rest.get(name, {})} for one in await made(name)]

    return make


@pytest.mark.parametrize("name", ATOMIC)
async def test_e2_what_an_operation_costs(roster, operations, database, name):
    costs = {}
    for mode in ("atomic", "partial"):
        wanted = await operations(name)
        for count in (MANY // 2, MANY):
            part = wanted[: MANY // 2] if count < MANY else await operations(name)
            with statements_seen(database.writer) as seen:
                await roster.ok("owner", "POST", "/tasks/bulk", {"mode": mode, "operations": part})
            costs[mode, count] = len(seen)
    each = {mode: (costs[mode, MANY] - costs[mode, MANY // 2]) / (MANY // 2) for mode in ("atomic", "partial")}
    assert each["atomic"] <= ATOMIC[name], costs
    assert each["partial"] <= ATOMIC[name] + (0 if name in AT_ONCE else SAVEPOINT), costs
    assert costs["atomic", MANY] - MANY * each["atomic"] <= AT_ONCE.get(name, BEGIN), costs
