"""The order of tasks in their project (B15), which people choose one move at a time."""

import asyncio
import random

import pytest
from chassis.ids import uuid7

LOG = "SELECT type, changes FROM tasks.change WHERE entity_id = :id ORDER BY seq"


@pytest.fixture
def owner(user):
    return user()


@pytest.fixture
async def tasks(api, owner):
    made = [await api.post("/api/v1/tasks", json={"title": title}, headers=owner) for title in "abcd"]
    return {answer.json()["data"]["title"]: answer.json()["data"] for answer in made}


@pytest.fixture
def move(api, owner, tasks):
    async def move(title, headers=None, **beside):
        body = {name: tasks[value]["id"] if value in tasks else value for name, value in beside.items()}
        path = f"/api/v1/tasks/{tasks[title]['id']}/position"
        return await api.post(path, json=body, headers={**owner, **(headers or {})})

    return move


@pytest.fixture
def order(api, owner):
    async def order():
        listed = (await api.get("/api/v1/tasks?per_page=100", headers=owner)).json()["data"]
        return "".join(task["title"] for task in sorted(listed, key=lambda task: task["position"].encode()))

    return order


async def test_b15_a_task_goes_before_or_after_another_and_nothing_else_changes(tasks, move, order, rows):
    assert await order() == "abcd"
    steps = [
        ("d", {"before_id": "a"}, "dabc"),
        ("c", {"before_id": "d"}, "cdab"),
        ("c", {"after_id": "b"}, "dabc"),
        ("d", {"after_id": "a"}, "adbc"),
        ("b", {"before_id": "d"}, "abdc"),
        ("a", {"after_id": "c"}, "bdca"),
    ]
    for title, beside, expected in steps:
        answer = await move(title, **beside)
        assert (answer.status_code, await order()) == (200, expected), answer.text
    versions = dict(
        await rows("SELECT title, version FROM tasks.task WHERE project_id = :id", id=tasks["a"]["project_id"])
    )
    assert versions == {"a": 2, "b": 2, "c": 3, "d": 3}
    (_, (type_, changes)) = await rows(LOG, id=tasks["a"]["id"])
    assert (type_, [one["field"] for one in changes]) == ("task.updated.v1", ["position"])


async def test_b15_a_task_that_is_there_already_stays_as_it_is(tasks, move, rows):
    for title, beside in (("b", {"after_id": "a"}), ("b", {"before_id": "c"}), ("a", {"before_id": "b"})):
        answer = await move(title, **beside)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert len(await rows(LOG, id=tasks["b"]["id"])) == 1


async def test_b15_a_new_task_is_the_last_one(api, owner, move, order):
    await move("a", after_id="d")
    await api.post("/api/v1/tasks", json={"title": "e"}, headers=owner)
    assert await order() == "bcdae"


@pytest.mark.parametrize(
    ("beside", "code"),
    [
        ({}, "ONE_NEIGHBOR"),
        ({"after_id": "a", "before_id": "c"}, "ONE_NEIGHBOR"),
        ({"after_id": "b"}, "NEIGHBOR_NOT_FOUND"),
        ({"after_id": str(uuid7())}, "NEIGHBOR_NOT_FOUND"),
        ({"above": "a"}, "UNKNOWN_FIELD"),
    ],
)
async def test_b15_what_is_no_place(move, rows, tasks, beside, code):
    answer = await move("b", **beside)
    assert (answer.status_code, answer.json()["errors"][-1]["code"]) in {(422, code), (422, "ONE_NEIGHBOR")}
    assert code in {one["code"] for one in answer.json()["errors"]}
    assert len(await rows(LOG, id=tasks["b"]["id"])) == 1


async def test_b15_a_neighbor_that_is_hidden_is_absent(api, user, move):
    foreign = (await api.post("/api/v1/tasks", json={"title": "x"}, headers=user())).json()["data"]
    fixed = {"x-request-id": "the-same-for-all"}
    answers = [await move("a", fixed, after_id=one) for one in (foreign["id"], str(uuid7()))]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].content == answers[1].content


async def test_b15_a_stale_move_is_refused(move):
    assert (await move("a", {"if-match": '"1"'}, after_id="c")).status_code == 200
    stale = await move("a", {"if-match": '"1"'}, after_id="d")
    assert (stale.status_code, stale.json()["errors"][0]["field"]) == (412, "position")


async def test_b15_fifty_moves_at_once_leave_fifty_places(patient_api, owner, tasks, rows):
    for n in range(16):
        await patient_api.post("/api/v1/tasks", json={"title": str(n)}, headers=owner)
    (project,) = {task["project_id"] for task in tasks.values()}
    ids = [one for (one,) in await rows("SELECT id FROM tasks.task WHERE project_id = :id ORDER BY id", id=project)]
    chance = random.Random(15)
    pairs = [chance.sample(ids, 2) for _ in range(50)]
    answers = await asyncio.gather(
        *(
            patient_api.post(
                f"/api/v1/tasks/{one}/position",
                json={chance.choice(["after_id", "before_id"]): str(other)},
                headers=owner,
            )
            for one, other in pairs
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    places = [place for (place,) in await rows("SELECT position FROM tasks.task WHERE project_id = :id", id=project)]
    assert len(set(places)) == len(ids) == 20


async def test_b15_a_place_without_room_says_so(tasks, move, rows):
    first = tasks["a"]["position"]
    await rows(
        "UPDATE tasks.task SET position = :p WHERE id = :id", id=tasks["a"]["id"], p=first + "a0" + "0" * 240 + "1"
    )
    await rows(
        "UPDATE tasks.task SET position = :p WHERE id = :id", id=tasks["b"]["id"], p=first + "a0" + "0" * 240 + "2"
    )
    answer = await move("d", after_id="a")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "NO_ROOM_LEFT")
