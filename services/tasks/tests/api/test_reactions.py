"""Reactions to comments (H1)."""

import asyncio
from urllib.parse import quote

import emoji
import pytest
from chassis.ids import uuid7

EVENTS = (
    "SELECT type, version, resource FROM tasks.change WHERE task_id = :id AND entity_type = 'reaction' ORDER BY seq"
)
DISTINCT = sorted(one for one, data in emoji.EMOJI_DATA.items() if data["status"] == 2 and len(one) == 1)


@pytest.fixture
async def commented(api, test_gateway):
    user = uuid7()
    headers = test_gateway.headers(user)
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    path = f"/api/v1/tasks/{task['id']}/comments"
    made = (await api.post(path, json={"body": "a"}, headers=headers)).json()["data"]
    return {"user": user, "headers": headers, "task": task, "comment": made, "path": f"{path}/{made['id']}"}


@pytest.fixture
def joined(rows, commented, test_gateway):
    async def join():
        user = uuid7()
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())",
            workspace=commented["task"]["workspace_id"],
            user=user,
        )
        return user, test_gateway.headers(user)

    return join


async def put(api, commented, one, headers=None):
    return await api.put(f"{commented['path']}/reactions/{quote(one)}", headers=headers or commented["headers"])


async def insist(api, commented, one):
    """Ask until there is a connection for it: so many at once wait for each other."""
    while (answer := await put(api, commented, one)).status_code == 503:
        pass
    return answer


async def test_h1_a_reaction_is_given_once_and_taken_back_once(api, commented, joined, rows):
    user, mine = str(commented["user"]), commented["headers"]
    first, second = await put(api, commented, "👍"), await put(api, commented, "👍")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["etag"] == '"1"'
    assert first.json()["data"]["reactions"] == [{"emoji": "👍", "count": 1, "user_ids": [user], "me": True}]
    other, theirs = await joined()
    await put(api, commented, "🎉", theirs)
    await put(api, commented, "👍", theirs)
    shown = (await api.get(commented["path"], headers=theirs)).json()["data"]["reactions"]
    assert shown == [
        {"emoji": "👍", "count": 2, "user_ids": [user, str(other)], "me": True},
        {"emoji": "🎉", "count": 1, "user_ids": [str(other)], "me": True},
    ]
    for _ in range(2):
        gone = await api.delete(f"{commented['path']}/reactions/{quote('👍')}", headers=mine)
        assert gone.status_code == 200
        assert [(one["emoji"], one["count"], one["me"]) for one in gone.json()["data"]["reactions"]] == [
            ("🎉", 1, False),
            ("👍", 1, False),
        ]
    minimal = {**mine, "prefer": "return=minimal"}
    nothing = await api.delete(f"{commented['path']}/reactions/{quote('👍')}", headers=minimal)
    assert (nothing.status_code, nothing.content, nothing.headers["etag"]) == (204, b"", '"1"')
    await put(api, commented, "👍")
    events = await rows(EVENTS, id=commented["task"]["id"])
    told = [(kind, version, one["emoji"], one["user_id"]) for kind, version, one in events]
    assert told == [
        ("reaction.added.v1", 1, "👍", user),
        ("reaction.added.v1", 1, "🎉", str(other)),
        ("reaction.added.v1", 1, "👍", str(other)),
        ("reaction.removed.v1", 2, "👍", user),
        ("reaction.added.v1", 1, "👍", user),
    ]
    ids = [one["id"] for _, _, one in events]
    assert ids[0] == ids[3]
    assert len(set(ids)) == 4


async def test_h1_spellings_of_an_emoji_are_one(api, commented):
    assert (await put(api, commented, "❤")).status_code == 201
    again = await put(api, commented, "\u2764\ufe0f")
    assert (again.status_code, [one["emoji"] for one in again.json()["data"]["reactions"]]) == (200, ["\u2764\ufe0f"])
    for one in ("👩🏻\u200d❤️\u200d💋\u200d👩🏼", "🇩🇪", "#️⃣"):
        answer = await put(api, commented, one)
        assert (answer.status_code, answer.json()["data"]["reactions"][-1]["emoji"]) == (201, one)


@pytest.mark.parametrize("wrong", ["a", "👍👍", "👍a", "1", "%20", "x" * 500, "\u200d", "\u202e", "%ED%A0%80", "%FF"])
async def test_h1_what_is_no_emoji_is_refused(api, commented, rows, wrong):
    path = f"{commented['path']}/reactions/{wrong if wrong.startswith('%') else quote(wrong)}"
    for method in ("PUT", "DELETE"):
        answer = await api.request(method, path, headers=commented["headers"])
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "NOT_AN_EMOJI")
    assert await rows(EVENTS, id=commented["task"]["id"]) == []


async def test_h1_a_comment_takes_twenty_emoji_whoever_is_fastest(api, commented, rows):
    answers = await asyncio.gather(*(insist(api, commented, one) for one in DISTINCT[:40]))
    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(409)) == (20, 20)
    assert {one.json()["errors"][0]["code"] for one in answers if one.status_code == 409} == {"TOO_MANY_REACTIONS"}
    assert await rows("SELECT count(*) FROM tasks.reaction WHERE comment_id = :id", id=commented["comment"]["id"]) == [
        (20,)
    ]
    given = next(one for one, answer in zip(DISTINCT, answers, strict=False) if answer.status_code == 201)
    assert (await put(api, commented, given)).status_code == 200


async def test_h1_of_one_reaction_at_once_one_is_written(api, commented, rows):
    answers = await asyncio.gather(*(put(api, commented, "👍") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len(await rows(EVENTS, id=commented["task"]["id"])) == 1
    assert {answer.json()["data"]["reactions"][0]["count"] for answer in answers} == {1}


async def test_h1_fifty_names_are_shown_of_many(api, commented, rows):
    await rows(
        "INSERT INTO tasks.reaction (workspace_id, comment_id, user_id, emoji, created_at)"
        " SELECT :workspace, :comment, uuidv7(), '👍', now() FROM generate_series(1, 60)",
        workspace=commented["task"]["workspace_id"],
        comment=commented["comment"]["id"],
    )
    [shown] = (await api.get(commented["path"], headers=commented["headers"])).json()["data"]["reactions"]
    assert (shown["count"], len(shown["user_ids"]), shown["me"]) == (60, 50, False)


async def test_h1_a_deleted_comment_takes_no_reaction(api, commented, rows):
    await put(api, commented, "👍")
    races = [put(api, commented, one) for one in DISTINCT[:10]]
    await asyncio.gather(*races, api.delete(commented["path"], headers=commented["headers"]))
    refused = await put(api, commented, "👍")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "COMMENT_DELETED")
    gone = await api.delete(f"{commented['path']}/reactions/{quote('👍')}", headers=commented["headers"])
    assert (gone.status_code, gone.json()["data"]["reactions"]) == (200, [])
    assert await rows("SELECT * FROM tasks.reaction WHERE comment_id = :id", id=commented["comment"]["id"]) == []
