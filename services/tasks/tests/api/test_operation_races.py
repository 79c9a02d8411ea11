"""Moving, copying, reverting, undoing, deleting and placing tasks while others change what these are about."""

import asyncio
import random
from collections import Counter

import pytest
from chassis.ids import uuid7
from sqlalchemy import text
from testkit.by_hand import by_hand

SHUT = by_hand("UPDATE tasks.project SET archived_at = now() WHERE id = :id")
HOLD = "SELECT 1 FROM tasks.project WHERE id = :id FOR UPDATE"
WHOLE = {
    "children elsewhere than their parents, or left when those went": """
        SELECT child.id FROM tasks.task child JOIN tasks.task parent ON parent.id = child.parent_id
        WHERE child.workspace_id = :id AND (child.project_id <> parent.project_id
            OR (child.deleted_at IS NULL AND parent.deleted_at IS NOT NULL))""",
    "counters": """
        SELECT task.id FROM tasks.task LEFT JOIN LATERAL (
            SELECT count(*) AS total, count(*) FILTER (WHERE status_category = 'done') AS done
            FROM tasks.task AS child
            WHERE child.parent_id = task.id AND child.deleted_at IS NULL AND child.status_category <> 'cancelled'
        ) AS counted ON true
        WHERE task.workspace_id = :id AND task.deleted_at IS NULL
            AND (task.subtasks_total, task.subtasks_done) IS DISTINCT FROM (counted.total, counted.done)""",
    "versions": """
        SELECT task.id FROM tasks.task JOIN LATERAL (
            SELECT array_agg(version ORDER BY seq) AS told FROM tasks.change
            WHERE entity_id = task.id AND entity_type = 'task'
        ) AS log ON true
        WHERE task.workspace_id = :id
            AND log.told IS DISTINCT FROM (SELECT array_agg(n) FROM generate_series(1, task.version) AS n)""",
    "places": """
        SELECT position FROM tasks.task WHERE workspace_id = :id GROUP BY project_id, position HAVING count(*) > 1""",
    "numbers": """
        SELECT key FROM tasks.task_key_alias JOIN tasks.task ON task.id = task_key_alias.task_id
        JOIN tasks.project ON project.id = task.project_id
        WHERE task.workspace_id = :id AND key = prefix || '-' || number""",
    "gaps": """
        SELECT count(*) FROM tasks.change WHERE workspace_id = :id HAVING count(*) <> max(seq)""",
}
"""What there must not be in a workspace."""


@pytest.fixture
def project(roster):
    async def make(name="Q", **fields):
        body = {"name": name, "workspace_id": str(roster.workspace_id), **fields}
        return await roster.ok("owner", "POST", "/projects", body)

    return make


@pytest.fixture
def late(roster, database, waiting):
    """Asks for something that waits for the row of a project, while statements run; returns the answers."""

    async def ask(one):
        answer = await roster.ask("owner", *one)
        while answer.status_code == 503:
            # Waited too long, as on a busy machine: clients ask again.
            answer = await roster.ask("owner", *one)
        return answer

    async def late(requests, *statements, project_id=None):
        held = {"id": project_id or roster.project_id}
        async with database.writer.begin() as connection:
            await connection.execute(text(HOLD), held)
            asked = []
            for one in requests:
                asked.append(asyncio.create_task(ask(one)))
                await waiting(len(asked))
            for statement, values in statements:
                await connection.execute(text(statement), values)
        return await asyncio.gather(*asked)

    return late


def codes(answer):
    return answer.status_code, [one["code"] for one in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [
        ("DELETE", "", None),
        ("DELETE", "?permanent=true", None),
        ("POST", "/position", {"after_id": "other"}),
        ("PATCH", "", {"parent_id": None}),
        ("POST", "/move", {"project_id": "there"}),
        ("POST", "/duplicate", {}),
        ("POST", "/revert", {"to_version": 1}),
    ],
)
async def test_c2_a_project_that_is_being_archived_keeps_its_tree(roster, project, late, rows, method, tail, body):
    there, parent, other = await project(), await roster.task(), await roster.task()
    task = await roster.task(parent_id=parent["id"], status="done")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"status": "todo"})
    ids = {"other": other["id"], "there": there["id"]}
    body = body and {name: ids.get(value, value) for name, value in body.items()}
    tail = f"{tail}?children=complete" if tail == "/revert" else tail
    before = await roster.log()
    [answer] = await late([(method, f"/tasks/{task['id']}{tail}", body)], (SHUT, {"id": roster.project_id}))
    assert codes(answer) == (409, ["PROJECT_ARCHIVED"])
    assert await roster.log() == before


async def test_c2_nothing_is_restored_into_a_project_that_is_being_archived(roster, late):
    task = await roster.task()
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    requests = [("POST", f"/tasks/{task['id']}/restore"), ("DELETE", f"/tasks/{task['id']}?permanent=true")]
    answers = await late(requests, (SHUT, {"id": roster.project_id}))
    assert [codes(one) for one in answers] == [(409, ["PROJECT_ARCHIVED"])] * 2


async def test_b13_a_task_that_is_restored_meanwhile_is_deleted_for_good(roster, late, rows, broken):
    parent = await roster.task()
    task = await roster.task(parent_id=parent["id"])
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    path = f"/tasks/{task['id']}"
    answers = await late([("POST", f"{path}/restore"), ("DELETE", f"{path}?permanent=true")])
    assert [one.status_code for one in answers] == [200, 200], answers[1].text
    assert await rows("SELECT 1 FROM tasks.task WHERE id = :id", id=task["id"]) == []
    assert await broken(roster.project_id) == {}
    told = await rows("SELECT type FROM tasks.change WHERE entity_id = :id ORDER BY seq DESC LIMIT 2", id=task["id"])
    assert told == [("task.purged.v1",), ("task.restored.v1",)]


async def test_b13_a_task_that_goes_to_the_trash_meanwhile_is_deleted_for_good(roster, late, rows):
    task = await roster.task()
    answers = await late([("DELETE", f"/tasks/{task['id']}"), ("DELETE", f"/tasks/{task['id']}?permanent=true")])
    assert [one.status_code for one in answers] == [200, 200], answers[1].text
    assert await rows("SELECT 1 FROM tasks.task WHERE id = :id", id=task["id"]) == []


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_b14_a_tree_that_changes_meanwhile_is_not_copied_by_halves(roster, late, rows, broken, is_deleted):
    root = await roster.task()
    for _ in range(2):
        await roster.task(parent_id=root["id"])
    change = (
        ("DELETE", f"/tasks/{root['id']}")
        if is_deleted
        else ("POST", "/tasks", {"title": "c", "project_id": str(roster.project_id), "parent_id": root["id"]})
    )
    changed, copied = await late([change, ("POST", f"/tasks/{root['id']}/duplicate", {})])
    assert changed.status_code < 300
    if is_deleted:
        assert codes(copied) == (404, ["NOT_FOUND"])
    else:
        assert (copied.status_code, copied.json()["data"]["progress"]) == (201, {"done": 0, "total": 3})
    assert await broken(roster.project_id) == {}


async def test_b14_a_copy_counts_its_subtasks_by_what_statuses_mean_then(roster, late, broken):
    root = await roster.task()
    await roster.task(parent_id=root["id"], status="in_progress")
    statuses = await roster.ok("owner", "GET", f"/projects/{roster.project_id}/statuses")
    status = next(one for one in statuses if one["key"] == "in_progress")
    change = ("PATCH", f"/projects/{roster.project_id}/statuses/{status['id']}", {"category": "cancelled"})
    changed, copied = await late([change, ("POST", f"/tasks/{root['id']}/duplicate", {"with_status": True})])
    assert (changed.status_code, copied.status_code) == (200, 201)
    assert copied.json()["data"]["progress"] == {"done": 0, "total": 0}
    assert await broken(roster.project_id) == {}


async def test_b14_a_relation_that_is_gone_meanwhile_is_not_copied(roster, database, waiting, rows):
    task, other = await roster.task(), await roster.task()
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/relations", {"type": "blocks", "task_id": other["id"]})
    async with database.writer.begin() as connection:
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended('relations:' || :id, 0))")
        await connection.execute(lock, {"id": str(roster.workspace_id)})
        path = f"/tasks/{task['id']}/duplicate"
        asked = asyncio.create_task(roster.ask("owner", "POST", path, {"include": ["relations"]}))
        await waiting()
        await connection.execute(text("DELETE FROM tasks.relation WHERE to_task_id = :id"), {"id": other["id"]})
    assert (await asked).status_code == 201
    assert await rows("SELECT 1 FROM tasks.relation WHERE to_task_id = :id", id=other["id"]) == []


async def test_b14_a_task_that_moves_away_meanwhile_is_not_taken_by_a_share_alone(roster, project, database, waiting):
    hidden, there = await project("S", visibility="private"), await project("T")
    task = await roster.task()
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('member')}", {"role": "editor"})
    away = by_hand("UPDATE tasks.task SET project_id = :p, number = 1, version = version + 1 WHERE id = :id")
    async with database.writer.begin() as connection:
        await connection.execute(text(HOLD), {"id": there["id"]})
        path = f"/tasks/{task['id']}/move"
        asked = asyncio.create_task(roster.ask("member", "POST", path, {"project_id": there["id"]}))
        await waiting()
        await connection.execute(text(away), {"p": hidden["id"], "id": task["id"]})
    assert codes(await asked) == (403, ["FORBIDDEN"])


async def test_h5_what_a_revert_completes_below_is_told_though_somebody_was_faster(roster, database, waiting, broken):
    root = await roster.task(status="done")
    await roster.ok("owner", "PATCH", f"/tasks/{root['id']}", {"status": "todo"})
    child = await roster.task(parent_id=root["id"])
    path = f"/tasks/{root['id']}/revert?children=complete"
    async with database.writer.begin() as connection:
        await connection.execute(text(HOLD), {"id": roster.project_id})
        asked = asyncio.create_task(roster.ask("owner", "POST", path, {"to_version": 1}))
        await waiting()
        await roster.ok("owner", "PATCH", f"/tasks/{root['id']}", {"priority": "high"})
    answer = await asked
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "done"), answer.text
    assert (await roster.ok("owner", "GET", f"/tasks/{child['id']}"))["status"] == "done"
    assert await broken(roster.project_id) == {}


async def test_b15_a_neighbor_that_moves_away_meanwhile_is_no_place(roster, project, late):
    there, task, neighbor = await project(), await roster.task(), await roster.task()
    placing = ("POST", f"/tasks/{task['id']}/position", {"after_id": neighbor["id"]})
    moved, placed = await late([("POST", f"/tasks/{neighbor['id']}/move", {"project_id": there["id"]}), placing])
    assert moved.status_code == 200
    assert codes(placed) == (422, ["NEIGHBOR_NOT_FOUND"])


async def test_b14_trees_stay_whole_while_all_is_done_to_them_at_once(roster, project, patient_api, rows):
    """Moves, copies, new parents, deletions, restorings and undoings of the same trees, twenty at a time."""
    there = await project()
    headers = roster.gateway.headers(roster.ids["owner"])
    roots = [await roster.task(title=f"r{number}") for number in range(3)]
    leaves = [await roster.task(parent_id=root["id"]) for root in roots for _ in range(2)]
    answers = []

    async def ask(method, path, body=None, **more):
        answer = await patient_api.request(method, f"/api/v1{path}", json=body, headers={**headers, **more})
        answers.append((method, path, answer))

    for turn in range(4):
        home = there["id"] if turn % 2 == 0 else str(roster.project_id)
        undo = f"operation-{turn}"
        await ask("PATCH", f"/tasks/{leaves[turn]['id']}", {"priority": "high"}, **{"x-request-id": undo})
        moves = [ask("POST", f"/tasks/{root['id']}/move", {"project_id": home}) for root in roots]
        bent = [ask("PATCH", f"/tasks/{leaf['id']}", {"parent_id": roots[turn % 3]["id"]}) for leaf in leaves[:4]]
        gone = [ask("DELETE", f"/tasks/{leaf['id']}") for leaf in leaves[2:5]]
        back = [ask("POST", f"/tasks/{leaf['id']}/restore") for leaf in leaves[2:5]]
        rest = [
            ask("POST", f"/tasks/{roots[0]['id']}/duplicate", {}),
            ask("POST", f"/tasks/{roots[1]['id']}/position", {"after_id": roots[0]["id"]}),
            ask("POST", f"/operations/{undo}/undo"),
            ask("POST", f"/tasks/{roots[2]['id']}/revert", {"to_version": 1}),
            ask("POST", "/tasks", {"title": "new", "parent_id": roots[2]["id"]}),
        ]
        await asyncio.gather(*moves, *bent, *gone, *back, *rest)
    # Who waits too long for a lock, as on a busy machine, is told so, and has done nothing.
    failed = [(method, path, one.text) for method, path, one in answers if one.status_code in {500, 502, 504}]
    assert failed == []
    assert Counter(one.status_code for _, _, one in answers)[200] >= 10
    found = {name: await rows(query, id=roster.workspace_id) for name, query in WHOLE.items()}
    assert {name: one for name, one in found.items() if one} == {}


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (SHUT, (409, ["PROJECT_ARCHIVED"])),
        (by_hand("UPDATE tasks.project SET deleted_at = now() WHERE id = :id"), (422, ["PROJECT_NOT_FOUND"])),
    ],
)
async def test_b14_nothing_moves_or_is_copied_to_a_project_that_is_being_closed(roster, project, late, change, refused):
    there, task = await project(), await roster.task()
    body, before = {"project_id": there["id"]}, await roster.log()
    requests = [("POST", f"/tasks/{task['id']}/{path}", body) for path in ("move", "duplicate")]
    answers = await late(requests, (change, {"id": there["id"]}), project_id=there["id"])
    assert [codes(one) for one in answers] == [refused] * 2
    assert await roster.log() == before


@pytest.mark.parametrize("seed", range(2))
async def test_h5_trees_stay_whole_while_what_was_done_to_them_is_undone(roster, project, patient_api, rows, seed):
    """Each turn does things to the same trees, and undoes those of the turn before, all at once."""
    dice, there = random.Random(seed), await project()
    headers = roster.gateway.headers(roster.ids["owner"])
    roots = [(await roster.task(title="root"))["id"] for _ in range(3)]
    leaves = [(await roster.task(parent_id=root))["id"] for root in roots for _ in range(2)]
    answers, done = [], []

    async def ask(method, path, body=None):
        request_id = str(uuid7())
        more = {**headers, "x-request-id": request_id}
        answer = await patient_api.request(method, f"/api/v1{path}", json=body, headers=more)
        answers.append((method, path, answer))
        done.append(request_id)

    def wanted():
        root, leaf = dice.choice(roots), dice.choice(leaves)
        home = dice.choice([there["id"], str(roster.project_id)])
        return dice.choice(
            [
                ("POST", f"/tasks/{root}/move", {"project_id": home}),
                ("DELETE", f"/tasks/{dice.choice([root, leaf])}"),
                ("POST", f"/tasks/{dice.choice([root, leaf])}/restore"),
                ("PATCH", f"/tasks/{leaf}", {"parent_id": root}),
                ("PATCH", f"/tasks/{leaf}", {"status": dice.choice(["todo", "done", "cancelled"])}),
                ("PATCH", f"/tasks/{root}?children=complete", {"status": dice.choice(["todo", "done"])}),
                ("POST", f"/tasks/{root}/duplicate", {}),
                ("POST", f"/tasks/{root}/position", {"after_id": dice.choice(roots)}),
                ("POST", f"/tasks/{root}/revert", {"to_version": 1}),
                ("POST", "/tasks", {"title": "new", "parent_id": root}),
                ("DELETE", f"/tasks/{leaf}?permanent=true"),
            ]
        )

    for _ in range(6):
        undone, done = done[-6:], []
        undos = [ask("POST", f"/operations/{one}/undo") for one in undone]
        await asyncio.gather(*(ask(*wanted()) for _ in range(8)), *undos)
    failed = [(method, path, one.text) for method, path, one in answers if one.status_code in {500, 502, 504}]
    assert failed == []
    found = {name: await rows(query, id=roster.workspace_id) for name, query in WHOLE.items()}
    assert {name: one for name, one in found.items() if one} == {}
