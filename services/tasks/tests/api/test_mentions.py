"""Mentions (H2): who is told of, and who is not told that they are there."""

import pytest
from chassis.ids import uuid7

CHANGES = "SELECT changes FROM tasks.change WHERE entity_id = :id ORDER BY seq"


@pytest.fixture
async def place(api, rows, test_gateway):
    """A task in a private project of which `reader` is a viewer; `shared` has the task alone; `hidden` sees neither."""
    users = {name: uuid7() for name in ("owner", "reader", "shared", "hidden", "outsider")}
    headers = test_gateway.headers(users["owner"])
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    ids = {"workspace": task["workspace_id"], "project": task["project_id"]}
    await rows("UPDATE tasks.project SET visibility = 'private' WHERE id = :id", id=ids["project"])
    for name in ("reader", "shared", "hidden"):
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())",
            workspace=ids["workspace"],
            user=users[name],
        )
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'viewer', 1, now())",
        user=users["reader"],
        **ids,
    )
    await rows(
        "INSERT INTO tasks.task_share (id, workspace_id, task_id, user_id, role, shared_by, version, created_at)"
        " VALUES (uuidv7(), :workspace, :task, :user, 'viewer', :user, 1, now())",
        workspace=ids["workspace"],
        task=task["id"],
        user=users["shared"],
    )
    return {"users": users, "headers": headers, "path": f"/api/v1/tasks/{task['id']}/comments", "task": task}


def at(*users):
    return " ".join(f"@[user:{user}]" for user in users)


async def test_h2_who_can_read_the_task_is_mentioned_and_nobody_else(api, place, rows):
    users = place["users"]
    body = at(*(users[name] for name in ("hidden", "shared", "outsider", "reader", "owner", "shared")))
    answer = await api.post(place["path"], json={"body": body}, headers=place["headers"])
    made = answer.json()["data"]
    assert made["mentions"] == [str(users[name]) for name in ("shared", "reader", "owner")]
    [warning] = answer.json()["meta"]["warnings"]
    assert warning == {
        "code": "MENTION_NO_ACCESS",
        "message": "These people can't see this and are not notified.",
        "user_ids": [str(users["hidden"]), str(users["outsider"])],
    }
    [(changes,)] = await rows(CHANGES, id=made["id"])
    assert {one["field"]: one["new"] for one in changes}["mentions"] == made["mentions"]
    [(audience,)] = await rows("SELECT audience FROM tasks.change WHERE entity_id = :id", id=made["id"])
    assert sorted(audience) == sorted(users[name] for name in ("owner", "reader", "shared"))


async def test_h2_somebody_hidden_is_answered_like_nobody(api, place):
    headers = {**place["headers"], "x-request-id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}
    answers = []
    for user in (place["users"]["hidden"], place["users"]["outsider"], uuid7()):
        answer = await api.post(place["path"], json={"body": at(user)}, headers=headers)
        meta = answer.json()["meta"]
        assert meta["warnings"][0].pop("user_ids") == [str(user)]
        answers.append((answer.status_code, meta, answer.json()["data"]["mentions"]))
    assert answers[0] == answers[1] == answers[2]


async def test_h2_an_edit_tells_of_those_whom_it_adds(api, place, rows):
    users, headers = place["users"], place["headers"]
    reader, shared = str(users["reader"]), str(users["shared"])
    made = (await api.post(place["path"], json={"body": at(reader)}, headers=headers)).json()["data"]
    path = f"{place['path']}/{made['id']}"
    edited = await api.patch(path, json={"body": at(shared, reader, users["hidden"])}, headers=headers)
    assert edited.json()["data"]["mentions"] == [shared, reader]
    assert [one["user_ids"] for one in edited.json()["meta"]["warnings"]] == [[str(users["hidden"])]]
    again = await api.patch(path, json={"body": at(shared, reader) + "!"}, headers=headers)
    assert "warnings" not in again.json()["meta"]
    log = [
        {one["field"]: (one["old"], one["new"]) for one in changes} for (changes,) in await rows(CHANGES, id=made["id"])
    ]
    assert log[1]["mentions"] == ([reader], [shared, reader])
    assert "mentions" not in log[2]


async def test_h2_whoever_loses_access_is_mentioned_no_more(api, place, rows):
    users, headers = place["users"], place["headers"]
    body = at(users["reader"])
    assert "warnings" not in (await api.post(place["path"], json={"body": body}, headers=headers)).json()["meta"]
    await rows("DELETE FROM tasks.project_member WHERE user_id = :user", user=users["reader"])
    answer = await api.post(place["path"], json={"body": body}, headers=headers)
    assert (answer.json()["data"]["mentions"], len(answer.json()["meta"]["warnings"])) == ([], 1)


async def test_h3_who_is_mentioned_watches(api, place, rows):
    users, headers = place["users"], place["headers"]
    watching = "SELECT user_id FROM tasks.watcher WHERE reason = 'mentioned' AND task_id = :id ORDER BY created_at"
    made = (await api.post(place["path"], json={"body": at(users["reader"], users["hidden"])}, headers=headers)).json()
    assert await rows(watching, id=place["task"]["id"]) == [(users["reader"],)]
    path = f"{place['path']}/{made['data']['id']}"
    await rows("UPDATE tasks.watcher SET is_watching = false WHERE user_id = :id", id=users["reader"])
    await api.patch(path, json={"body": at(users["reader"], users["shared"])}, headers=headers)
    assert await rows(watching, id=place["task"]["id"]) == [(users["reader"],), (users["shared"],)]
    assert await rows("SELECT is_watching FROM tasks.watcher WHERE user_id = :id", id=users["reader"]) == [(False,)]


async def test_h2_fifty_are_enough(api, place, rows):
    headers = place["headers"]
    fifty = [uuid7() for _ in range(50)]
    made = await api.post(place["path"], json={"body": at(*fifty, fifty[0])}, headers=headers)
    assert (made.status_code, len(made.json()["meta"]["warnings"][0]["user_ids"])) == (201, 50)
    path = f"{place['path']}/{made.json()['data']['id']}"
    for answer in (
        await api.post(place["path"], json={"body": at(*fifty, uuid7())}, headers=headers),
        await api.patch(path, json={"body": at(*fifty, uuid7())}, headers=headers),
    ):
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["field"]) == (422, "TOO_MANY_MENTIONS", "body")


async def test_r32_a_replay_warns_as_the_first_answer_did(api, place):
    headers = {**place["headers"], "idempotency-key": "k"}
    body = {"body": at(uuid7())}
    first, again = [await api.post(place["path"], json=body, headers=headers) for _ in range(2)]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    assert len(again.json()["meta"]["warnings"]) == 1
