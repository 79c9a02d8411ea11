"""What many do at once to the same things: nothing is lost or half done, and what is counted is what is there."""

import asyncio
import dataclasses
import random

import pytest
from sqlalchemy import text
from testkit.by_hand import by_hand


@pytest.fixture
def team(roster, patient_api):
    """The team, whose requests wait for each other."""
    return dataclasses.replace(roster, api=patient_api)


class Mill:
    """Does things at random to the tasks of one project, several at once."""

    def __init__(self, team, seed):
        self.team, self.random = team, random.Random(seed)
        self.tasks, self.trash, self.labels, self.answers = [], [], [], []

    def one(self):
        return self.random.choice(self.tasks)

    async def ask(self, method, path, body=None):
        answer = await self.team.ask("owner", method, path, body)
        self.answers.append((method, path, body, answer))
        return answer

    async def make(self, parent=None, **fields):
        body = {"title": "t", "project_id": str(self.team.project_id), "parent_id": parent, **fields}
        answer = await self.ask("POST", "/tasks", body)
        if answer.status_code == 201:
            self.tasks.append(answer.json()["data"]["id"])

    async def step(self):
        status = self.random.choice(["todo", "in_progress", "done", "done", "cancelled"])
        people = self.random.sample(self.team.several("owner", "admin", "member", "colleague"), 2)
        children = self.random.choice(["leave", "complete", "fail"])
        steps = [
            lambda: self.make(self.one()),
            lambda: self.ask("PATCH", f"/tasks/{self.one()}?children={children}", {"status": status}),
            lambda: self.ask("PATCH", f"/tasks/{self.one()}?children={children}", {"status": status}),
            lambda: self.ask("PATCH", f"/tasks/{self.one()}", {"parent_id": self.random.choice([None, self.one()])}),
            self.bury,
            self.dig,
            self.dig,
            lambda: self.ask("PUT", f"/tasks/{self.one()}/assignees", {"user_ids": people}),
            lambda: self.ask("PATCH", f"/tasks/{self.one()}/assignees/{people[0]}", {"state": "done"}),
            lambda: self.ask("PATCH", f"/tasks/{self.one()}", {"labels": self.random.sample(self.labels, 2)}),
            lambda: self.ask("PUT", f"/tasks/by-external/x/{self.random.randrange(3)}", self.external(status)),
        ]
        await self.random.choice(steps)()

    async def bury(self):
        task = self.one()
        if (await self.ask("DELETE", f"/tasks/{task}")).status_code == 200:
            self.trash.append(task)

    async def dig(self):
        if self.trash:
            await self.ask("POST", f"/tasks/{self.trash.pop()}/restore")

    def external(self, status):
        return {
            "title": str(self.random.randrange(3)),
            "status": status,
            "project_id": str(self.team.project_id),
            "parent_id": self.random.choice([None, self.one()]),
        }

    async def statuses(self):
        """Change what a status means, with the tasks that have it."""
        project = f"/projects/{self.team.project_id}/statuses"
        answer = await self.ask("GET", project)
        if answer.status_code == 200:
            found = {one["key"]: one["id"] for one in answer.json()["data"]}
            category = self.random.choice(["todo", "done", "cancelled", "in_progress"])
            await self.ask("PATCH", f"{project}/{found['in_progress']}", {"category": category})

    async def label(self):
        """Take a label off all tasks, and make another one."""
        gone = self.random.choice(self.labels)
        if (await self.ask("DELETE", f"/labels/{gone}")).status_code == 200:
            self.labels.remove(gone)
        await self.new_label()

    async def new_label(self):
        body = {"name": str(len(self.answers)), "workspace_id": str(self.team.workspace_id)}
        answer = await self.ask("POST", "/labels", body)
        if answer.status_code == 201:
            self.labels.append(answer.json()["data"]["id"])


@pytest.mark.parametrize("seed", range(2))
async def test_b6_counts_answers_and_the_log_are_right_whatever_happens_at_once(team, broken, seed):
    mill = Mill(team, seed)
    for _ in range(4):
        await mill.new_label()
    for _ in range(12):
        await mill.make(mill.one() if mill.tasks and mill.random.random() < 0.7 else None)
    for _ in range(6):
        await asyncio.gather(*(mill.step() for _ in range(8)), mill.statuses(), mill.label())
    # Who waits too long for a lock, as on a busy machine, is told so, and has done nothing.
    failed = [(method, path, body, one.text) for method, path, body, one in mill.answers if one.status_code == 500]
    assert failed == []
    assert await broken(team.project_id) == {}


@pytest.fixture
async def family(roster):
    """A task and one below it, of the same category, label, status and assignee."""
    place = {"workspace_id": str(roster.workspace_id)}
    category = await roster.ok("owner", "POST", "/categories", {"name": "c", **place})
    label = await roster.ok("owner", "POST", "/labels", {"name": "l", **place})
    statuses = await roster.ok("owner", "GET", f"/projects/{roster.project_id}/statuses")
    common = {"category_id": category["id"], "labels": [label["id"]], "assignees": [roster.id("colleague")]}
    above = await roster.task(**common, status="in_progress")
    below = await roster.task(**common, status="in_progress", parent_id=above["id"])
    status = f"/projects/{roster.project_id}/statuses/{next(s['id'] for s in statuses if s['key'] == 'in_progress')}"
    return {"above": above, "below": below, "category": category, "label": label, "status": status}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/categories/{category[id]}"),
        ("DELETE", "/labels/{label[id]}"),
        ("DELETE", "{status}?move_to=done"),
        ("PATCH", "{status}"),
        ("DELETE", "/workspaces/{workspace}/members/{colleague}"),
        ("PUT", "/projects/{project}"),
        ("POST", "/tasks/{above[id]}/relations"),
    ],
)
async def test_what_concerns_many_tasks_locks_them_from_the_leaves_up(roster, family, waiting, database, method, path):
    place = {"workspace": roster.workspace_id, "project": roster.project_id, "colleague": roster.id("colleague")}
    bodies = {"PATCH": {"category": "cancelled"}, "POST": {"type": "relates_to", "task_id": family["below"]["id"]}}
    if method == "PUT":
        method, bodies = "PATCH", {"PATCH": {"visibility": "private"}}
    lock = "SELECT id FROM tasks.task WHERE id = :id FOR UPDATE NOWAIT"
    async with database.writer.begin() as connection:
        await connection.execute(text(lock), {"id": family["below"]["id"]})
        asked = asyncio.create_task(roster.ask("owner", method, path.format(**place, **family), bodies.get(method)))
        await waiting()
        # Who changes the leaf, as we do, counts it in the task above it then.
        await connection.execute(text(lock), {"id": family["above"]["id"]})
    answer = await asked
    assert answer.status_code < 300, answer.text


SHUT = (
    (
        by_hand("UPDATE tasks.project SET archived_at = now() WHERE id = :id"),
        "UPDATE tasks.project SET archived_at = NULL WHERE id = :id",
    ),
    (
        by_hand("UPDATE tasks.project SET deleted_at = now() WHERE id = :id"),
        "UPDATE tasks.project SET deleted_at = NULL WHERE id = :id",
    ),
)


async def test_c2_a_task_is_not_made_in_a_project_that_is_being_archived_or_deleted(roster, rows, database, waiting):
    project = f"/projects/{roster.project_id}"
    for (change, undo), code in zip(SHUT, ("PROJECT_ARCHIVED", "PROJECT_NOT_FOUND"), strict=True):
        body = {"title": "late", "project_id": str(roster.project_id)}
        async with database.writer.begin() as connection:
            await connection.execute(text(change), {"id": roster.project_id})
            asked = [
                asyncio.create_task(roster.ask("owner", "POST", "/tasks", body)),
                asyncio.create_task(roster.ask("owner", "PUT", "/tasks/by-external/a/1", body)),
            ]
            await waiting(2)
        for answer in await asyncio.gather(*asked):
            assert answer.status_code in (409, 422)
            assert answer.json()["errors"][0]["code"] == code
        await rows(undo, id=roster.project_id)
    assert (await roster.ask("owner", "GET", project)).status_code == 200
    assert await rows("SELECT count(*) FROM tasks.task WHERE project_id = :id", id=roster.project_id) == [(0,)]


async def test_b3_a_status_that_comes_to_mean_done_completes_its_tasks(roster, rows, database, waiting, broken):
    task = await roster.task()
    body = {"title": "b", "project_id": str(roster.project_id), "status": "in_progress"}
    async with database.writer.begin() as connection:
        await connection.execute(
            text("SELECT id FROM tasks.status WHERE project_id = :id AND key = 'in_progress' FOR UPDATE"),
            {"id": roster.project_id},
        )
        await connection.execute(
            text("UPDATE tasks.status SET category = 'done' WHERE project_id = :id AND key = 'in_progress'"),
            {"id": roster.project_id},
        )
        asked = [
            asyncio.create_task(roster.ask("owner", "PATCH", f"/tasks/{task['id']}", {"status": "in_progress"})),
            asyncio.create_task(roster.ask("owner", "POST", "/tasks", body)),
            asyncio.create_task(roster.ask("owner", "PUT", "/tasks/by-external/a/1", body)),
        ]
        # The two that make a task wait for the project's row one behind the other.
        await waiting(3)
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200, 201, 201]
    assert all(answer.json()["data"]["completed_at"] for answer in answers)
    assert await broken(roster.project_id) == {}


async def test_b8_a_place_stays_that_of_a_task_in_the_trash(roster):
    first, second, gone, other = [await roster.task() for _ in range(4)]
    between = {"after_id": first["id"]}
    gone = await roster.ok("owner", "POST", f"/tasks/{gone['id']}/position", between)
    await roster.ok("owner", "DELETE", f"/tasks/{gone['id']}")
    other = await roster.ok("owner", "POST", f"/tasks/{other['id']}/position", between)
    back = await roster.ok("owner", "POST", f"/tasks/{gone['id']}/restore")
    assert back["position"] == gone["position"]
    assert first["position"] < other["position"] < back["position"] < second["position"]


async def test_h1_a_restore_is_for_the_state_that_it_names(roster, rows):
    task = await roster.task()
    path = f"/tasks/{task['id']}"
    await roster.ok("owner", "DELETE", path)
    stale = await roster.ask("owner", "POST", f"{path}/restore", **{"if-match": '"1"'})
    assert (stale.status_code, stale.json()["data"]["current"]["version"]) == (412, 2)
    set_it = "UPDATE tasks.workspace SET require_if_match = :on WHERE id = :id"
    await rows(set_it, on=True, id=roster.workspace_id)
    silent = await roster.ask("owner", "POST", f"{path}/restore")
    assert (silent.status_code, silent.json()["errors"][0]["code"]) == (428, "IF_MATCH_REQUIRED")
    assert (await roster.ok("owner", "POST", f"{path}/restore", **{"if-match": '"2"'}))["version"] == 3


async def test_b3_a_status_that_is_gone_meanwhile_is_not_found(roster, rows, database, waiting):
    task = await roster.task()
    async with database.writer.begin() as connection:
        await connection.execute(
            text("DELETE FROM tasks.status WHERE project_id = :id AND key = 'in_progress'"), {"id": roster.project_id}
        )
        asked = asyncio.create_task(roster.ask("owner", "PATCH", f"/tasks/{task['id']}", {"status": "in_progress"}))
        await waiting()
    answer = await asked
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "STATUS_NOT_FOUND")
