"""Many operations at once with others on the same tasks: nothing is lost or half done, and nobody waits for ever."""

import asyncio
import dataclasses
import random
import runpy
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from testkit.waiting import eventually

BULK = "/tasks/bulk"
LAST = "SELECT 1 FROM tasks.change_counter WHERE workspace_id = :id FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WHOLE = runpy.run_path(str(Path(__file__).with_name("test_operation_races.py")))["WHOLE"]


@pytest.fixture
def team(roster, patient_api):
    """The team, whose requests wait for each other."""
    return dataclasses.replace(roster, api=patient_api)


async def made(team, count, **fields):
    body = {"title": "a", "project_id": str(team.project_id), **fields}
    items = await team.ok("owner", "POST", BULK, {"operations": [{"op": "create", "data": body}] * count})
    return [one["id"] for one in items]


async def bulk(team, operations, who="owner", mode="atomic"):
    answer = await team.ask(who, "POST", BULK, {"mode": mode, "operations": operations})
    while answer.status_code == 503:
        # Waited too long, as on a busy machine: clients ask again.
        answer = await team.ask(who, "POST", BULK, {"mode": mode, "operations": operations})
    return answer


def deadlocks():
    """Return how often a transaction was begun anew since it was a deadlock's victim."""
    return REGISTRY.get_sample_value("taskloom_http_requests_repeated_total", {"state": "40P01"}) or 0


async def whole(team):
    """Return what there must not be in the workspace."""
    found = {name: await team.rows(statement, id=team.workspace_id) for name, statement in WHOLE.items()}
    return {name: rows for name, rows in found.items() if rows}


@pytest.mark.parametrize("mode", ["atomic", "partial"])
async def test_e2_twenty_over_the_same_tasks_in_any_order_are_all_done(team, mode):
    chance = random.Random(5)
    tasks = await made(team, 25)
    orders = [chance.sample(tasks, len(tasks)) for _ in range(20)]
    wanted = [
        [{"op": "update", "id": one, "patch": {"title": f"t{index}"}} for one in order]
        for index, order in enumerate(orders)
    ]
    before = deadlocks()
    answers = await asyncio.gather(*(bulk(team, one, mode=mode) for one in wanted))
    assert deadlocks() == before
    assert [one.status_code for one in answers] == [200] * 20
    found = await team.rows("SELECT title, version FROM tasks.task WHERE project_id = :p", p=team.project_id)
    # Each wrote all of them, so the last one's titles are on all.
    assert {version for _, version in found} == {21}
    assert len({title for title, _ in found}) == 1
    assert await whole(team) == {}


async def test_e2_trees_and_assignments_in_any_order_are_all_done(team):
    chance = random.Random(7)
    parents = await made(team, 4)
    children = [one for parent in parents for one in await made(team, 3, parent_id=parent)]
    people = team.several("owner", "admin", "member", "colleague")

    def operation(task):
        return chance.choice(
            [
                {"op": "complete", "id": task},
                {"op": "reopen", "id": task},
                {"op": "assign", "id": task, "user_ids": chance.sample(people, 2)},
                {"op": "unassign", "id": task, "user_ids": chance.sample(people, 2)},
                {"op": "update", "id": task, "patch": {"parent_id": chance.choice([None, *parents])}},
                {"op": "delete", "id": task},
                {"op": "restore", "id": task},
            ]
        )

    rounds = [[operation(one) for one in chance.sample(children, 8)] for _ in range(20)]
    answers = await asyncio.gather(*(bulk(team, one, mode="partial") for one in rounds))
    assert {one.status_code for one in answers} <= {200, 207, 422}
    errors = {item["error"]["code"] for one in answers for item in one.json()["data"] if item["error"]}
    # What is in the trash is not there, and what is not in it is not restored.
    assert errors <= {"NOT_FOUND"}
    assert await whole(team) == {}


async def test_e2_single_changes_meanwhile_are_not_lost(team):
    tasks = await made(team, 20)

    async def single(task):
        return await team.ask("member", "PATCH", f"/tasks/{task}", {"priority": "high"})

    many = [{"op": "update", "id": one, "patch": {"title": "b"}} for one in tasks]
    answers = await asyncio.gather(bulk(team, many), *(single(one) for one in reversed(tasks)), bulk(team, many[::-1]))
    assert [one.status_code for one in answers] == [200] * 22
    found = await team.rows("SELECT title, priority, version FROM tasks.task WHERE project_id = :p", p=team.project_id)
    assert found == [("b", "high", 3)] * 20
    assert await whole(team) == {}


async def test_e2_versions_decide_between_batches(team):
    tasks = await made(team, 10)

    def wanted(index):
        order = tasks if index % 2 else tasks[::-1]
        return [{"op": "update", "id": one, "if_version": 1, "patch": {"title": f"t{index}"}} for one in order]

    answers = await asyncio.gather(*(bulk(team, wanted(index)) for index in range(20)))
    assert sorted(one.status_code for one in answers) == [200] + [412] * 19
    assert {one.json()["errors"][0]["index"] for one in answers if one.status_code == 412} == {0}
    found = await team.rows("SELECT DISTINCT title, version FROM tasks.task WHERE project_id = :p", p=team.project_id)
    assert len(found) == 1
    assert found[0][1] == 2


async def test_f6_a_member_who_is_removed_meanwhile_has_changed_all_or_nothing(team):
    tasks = await made(team, 30)
    many = [{"op": "update", "id": one, "patch": {"title": "b"}} for one in tasks]
    path = f"/workspaces/{team.workspace_id}/members/{team.id('member')}"

    async def remove():
        answer = await team.ask("owner", "DELETE", path)
        while answer.status_code == 503:
            answer = await team.ask("owner", "DELETE", path)
        return answer

    *answers, removed = await asyncio.gather(*(bulk(team, many, who="member") for _ in range(5)), remove())
    assert removed.status_code == 200
    done = [one.status_code for one in answers]
    assert set(done) <= {200, 404}
    [(version, titles)] = await team.rows(
        "SELECT DISTINCT version, title FROM tasks.task WHERE project_id = :p", p=team.project_id
    )
    assert (version, titles) == ((2, "b") if 200 in done else (1, "a"))
    assert (await bulk(team, many, who="member")).status_code == 404
    assert await whole(team) == {}


async def test_f6_who_is_removed_meanwhile_is_left_with_nothing_of_what_is_being_made(team, database):
    async def waiting(count):
        return (await team.rows(WAITING))[0][0] == count

    operation = {"op": "create", "data": {"title": "a", "project_id": str(team.project_id)}}
    path = f"/workspaces/{team.workspace_id}/members/{team.id('member')}"
    async with database.writer.begin() as held, asyncio.TaskGroup() as group:
        await held.execute(text(LAST), {"id": team.workspace_id})
        making = group.create_task(team.ask("member", "POST", BULK, {"operations": [operation] * 3}))
        await eventually(lambda: waiting(1))
        removing = group.create_task(team.ask("owner", "DELETE", path))
        await eventually(lambda: waiting(2))
        await held.rollback()
    assert (making.result().status_code, removing.result().status_code) == (200, 200)
    assert await team.rows("SELECT count(*) FROM tasks.task WHERE project_id = :p", p=team.project_id) == [(3,)]
    assert await team.rows("SELECT 1 FROM tasks.watcher WHERE user_id = :u", u=team.ids["member"]) == []


async def test_e7_of_twenty_with_one_key_one_is_done(team):
    tasks = await made(team, 5)
    body = {"operations": [{"op": "create", "data": {"title": "c", "parent_id": tasks[0]}}] * 3}
    answers = await asyncio.gather(
        *(team.ask("owner", "POST", BULK, body, **{"idempotency-key": "k" * 20}) for _ in range(20))
    )
    codes = [one.status_code for one in answers]
    assert (set(codes) <= {200, 409}, 200 in codes) == (True, True)
    assert len({one.content for one in answers if one.status_code == 200}) == 1
    assert await team.rows("SELECT count(*) FROM tasks.task WHERE parent_id = :id", id=tasks[0]) == [(3,)]
