"""Comments (H1): threads, former versions, tombstones; who may, and what is written of them."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"
TYPES = "SELECT type FROM tasks.change WHERE task_id = :id AND entity_type IN ('comment', 'reaction') ORDER BY seq"
WATCHERS = "SELECT user_id, reason FROM tasks.watcher WHERE task_id = :id AND is_watching ORDER BY created_at, user_id"


@pytest.fixture
async def team(api, rows, test_gateway):
    """A task in a project that is open to its workspace, and its people by their roles."""
    owner = uuid7()
    headers = {"owner": test_gateway.headers(owner)}
    ids = {"owner": owner}
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers["owner"])).json()["data"]
    place = {"workspace": task["workspace_id"], "project": task["project_id"]}
    for role in ("member", "commenter", "viewer"):
        ids[role] = uuid7()
        headers[role] = test_gateway.headers(ids[role])
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, now())",
            workspace=place["workspace"],
            user=ids[role],
            role="member" if role == "member" else "guest",
        )
        if role != "member":
            await rows(
                "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, :role, 1, now())",
                user=ids[role],
                role=role,
                **place,
            )
    return {"task": task, "path": f"/api/v1/tasks/{task['id']}/comments", "headers": headers, "ids": ids}


async def write(api, team, body="a", *, by="owner", **more):
    answer = await api.post(team["path"], json={"body": body, **more}, headers=team["headers"][by])
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def test_h1_a_comment_is_made_and_found(api, team, rows):
    await rows(
        "INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)"
        " VALUES (:id, 'Ada', true, 'human', 'active', 1)",
        id=team["ids"]["commenter"],
    )
    task = team["task"]
    answer = await api.post(team["path"], json={"body": "**b**"}, headers=team["headers"]["commenter"])
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"{team['path']}/{made['id']}"
    assert answer.headers["x-cursor"]
    assert "warnings" not in answer.json()["meta"]
    assert made == {
        "id": made["id"],
        "workspace_id": task["workspace_id"],
        "task_id": task["id"],
        "parent_id": None,
        "author_id": str(team["ids"]["commenter"]),
        "author": {"id": str(team["ids"]["commenter"]), "name": "Ada", "deleted": False},
        "body": "**b**",
        "mentions": [],
        "version": 1,
        "created_at": made["created_at"],
        "edited_at": None,
        "deleted_at": None,
        "deleted_by": None,
        "reply_count": 0,
        "reactions": [],
    }
    read = await api.get(f"{team['path']}/{made['id']}", headers=team["headers"]["viewer"])
    assert (read.json()["data"], read.headers["etag"]) == (made, '"1"')
    assert await rows(LOG, id=made["id"]) == [("comment.created.v1", 1)]
    after = (await api.get(f"/api/v1/tasks/{task['id']}", headers=team["headers"]["owner"])).json()["data"]
    assert after == task


async def test_h1_n6_an_unknown_author_has_no_name_and_a_deleted_one_is_marked(api, team, rows):
    made = await write(api, team)
    assert made["author"] == {"id": str(team["ids"]["owner"]), "name": None, "deleted": False}
    await rows(
        "INSERT INTO tasks.person (id, email_verified, kind, status, version)"
        " VALUES (:id, false, 'human', 'deleted', 2)",
        id=team["ids"]["owner"],
    )
    read = await api.get(f"{team['path']}/{made['id']}", headers=team["headers"]["owner"])
    assert read.json()["data"]["author"] == {"id": str(team["ids"]["owner"]), "name": "Deleted user", "deleted": True}


async def test_h1_threads_have_one_level(api, team):
    first = await write(api, team, "1")
    second = await write(api, team, "2")
    replies = [await write(api, team, f"1.{n}", parent_id=first["id"]) for n in (1, 2)]
    listed = (await api.get(team["path"], headers=team["headers"]["viewer"])).json()
    assert [(one["body"], one["reply_count"]) for one in listed["data"]] == [("1", 2), ("2", 0)]
    assert listed["meta"]["total"] == 2
    thread = (await api.get(f"{team['path']}?parent_id={first['id']}", headers=team["headers"]["viewer"])).json()
    assert [one["body"] for one in thread["data"]] == ["1.1", "1.2"]
    assert {one["parent_id"] for one in thread["data"]} == {first["id"]}
    for parent, code in ((replies[0]["id"], "TOO_DEEP"), (str(uuid7()), "PARENT_NOT_FOUND")):
        answer = await api.post(team["path"], json={"body": "x", "parent_id": parent}, headers=team["headers"]["owner"])
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["field"]) == (422, code, "parent_id")
    await api.delete(f"{team['path']}/{replies[0]['id']}", headers=team["headers"]["owner"])
    listed = (await api.get(team["path"], headers=team["headers"]["viewer"])).json()["data"]
    assert [one["reply_count"] for one in listed] == [1, 0]
    assert second["id"] == listed[1]["id"]


async def test_r35_a_parent_on_another_task_is_not_there(api, team):
    other = (await api.post("/api/v1/tasks", json={"title": "b"}, headers=team["headers"]["owner"])).json()["data"]
    foreign = await api.post(
        f"/api/v1/tasks/{other['id']}/comments", json={"body": "x"}, headers=team["headers"]["owner"]
    )
    body = {"body": "x", "parent_id": foreign.json()["data"]["id"]}
    answer = await api.post(team["path"], json=body, headers=team["headers"]["owner"])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "PARENT_NOT_FOUND")
    across = await api.get(f"{team['path']}/{foreign.json()['data']['id']}", headers=team["headers"]["owner"])
    assert across.status_code == 404


async def test_h1_comments_are_walked_forth_and_back(api, team):
    for n in range(7):
        await write(api, team, str(n))
    seen, cursor, meta = [], "", {}
    while cursor is not None:
        answer = await api.get(f"{team['path']}?per_page=3&cursor={cursor}", headers=team["headers"]["viewer"])
        meta = answer.json()["meta"]
        seen.append([one["body"] for one in answer.json()["data"]])
        cursor = meta["next_cursor"]
    assert seen == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert meta["has_more"] is False
    back = await api.get(f"{team['path']}?per_page=3&cursor={meta['prev_cursor']}", headers=team["headers"]["viewer"])
    assert [one["body"] for one in back.json()["data"]] == ["3", "4", "5"]
    first = await api.get(
        f"{team['path']}?per_page=3&cursor={back.json()['meta']['prev_cursor']}", headers=team["headers"]["viewer"]
    )
    assert [one["body"] for one in first.json()["data"]] == ["0", "1", "2"]
    assert first.json()["meta"]["prev_cursor"] is None
    elsewhere = await api.get(
        f"{team['path']}?parent_id={uuid7()}&cursor={meta['prev_cursor']}", headers=team["headers"]["viewer"]
    )
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["code"]) == (400, "CURSOR_MISMATCH")
    paged = await api.get(f"{team['path']}?page=3&per_page=3", headers=team["headers"]["viewer"])
    assert ([one["body"] for one in paged.json()["data"]], paged.json()["meta"]["total"]) == (["6"], 7)


async def test_h1_html_is_sanitized_and_only_on_request(api, team):
    made = await write(api, team, "**a** <script>x</script>")
    path = f"{team['path']}/{made['id']}"
    for answer in (
        (await api.get(f"{path}?include=html", headers=team["headers"]["viewer"])).json()["data"],
        (await api.get(f"{team['path']}?include=html", headers=team["headers"]["viewer"])).json()["data"][0],
    ):
        assert answer["body_html"] == "<p><strong>a</strong> &lt;script&gt;x&lt;/script&gt;</p>\n"
    assert "body_html" not in (await api.get(path, headers=team["headers"]["viewer"])).json()["data"]
    await api.delete(path, headers=team["headers"]["owner"])
    gone = await api.get(f"{path}?include=html", headers=team["headers"]["viewer"])
    assert (gone.json()["data"]["body"], gone.json()["data"]["body_html"]) == (None, None)


async def test_h1_every_edit_keeps_what_was_said(api, team, rows):
    made = await write(api, team, "1", by="commenter")
    path = f"{team['path']}/{made['id']}"
    mine = team["headers"]["commenter"]
    for body in ("2", "3", "3"):
        answer = await api.patch(path, json={"body": body}, headers=mine)
        assert answer.status_code == 200
    edited = answer.json()["data"]
    assert (edited["body"], edited["version"], answer.headers["etag"]) == ("3", 3, '"3"')
    assert edited["edited_at"] > edited["created_at"]
    assert edited["author"] == made["author"]
    nothing = await api.patch(path, json={}, headers=mine)
    assert nothing.json()["data"] == edited
    versions = (await api.get(f"{path}/versions", headers=team["headers"]["viewer"])).json()
    assert [(one["version"], one["body"]) for one in versions["data"]] == [(2, "2"), (1, "1")]
    assert versions["data"][1]["created_at"] == made["created_at"]
    assert versions["meta"]["total"] == 2
    assert await rows(LOG, id=made["id"]) == [
        ("comment.created.v1", 1),
        ("comment.updated.v1", 2),
        ("comment.updated.v1", 3),
    ]
    [(changes,)] = await rows("SELECT changes FROM tasks.change WHERE entity_id = :id AND version = 3", id=made["id"])
    assert {one["field"]: (one["old"], one["new"]) for one in changes if one["field"] != "edited_at"} == {
        "body": ("2", "3")
    }


async def test_h1_of_edits_at_once_none_is_lost(api, team, rows):
    made = await write(api, team, "0")
    path = f"{team['path']}/{made['id']}"
    mine = team["headers"]["owner"]
    answers = await asyncio.gather(*(api.patch(path, json={"body": f"v{n}"}, headers=mine) for n in range(1, 21)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["data"]["version"] for answer in answers) == list(range(2, 22))
    former = "SELECT version, body FROM tasks.comment_version WHERE comment_id = :id ORDER BY version"
    kept = await rows(former, id=made["id"])
    told = {answer.json()["data"]["version"]: answer.json()["data"]["body"] for answer in answers}
    assert kept == [(version, {1: "0", **told}[version]) for version in range(1, 21)]
    once = {**mine, "if-match": '"21"'}
    guarded = await asyncio.gather(*(api.patch(path, json={"body": f"w{n}"}, headers=once) for n in range(8)))
    assert sorted(answer.status_code for answer in guarded) == [200] + [412] * 7
    stale = next(answer for answer in guarded if answer.status_code == 412).json()
    assert stale["data"]["current"]["version"] == 22
    assert [one["field"] for one in stale["errors"]] == ["body"]


async def test_h1_a_deleted_comment_leaves_its_place(api, team, rows):
    made = await write(api, team, "secret @[user:" + str(team["ids"]["member"]) + "]")
    path = f"{team['path']}/{made['id']}"
    mine = team["headers"]["owner"]
    reply = await write(api, team, "b", parent_id=made["id"])
    await api.patch(path, json={"body": "secret too"}, headers=mine)
    await api.put(f"{path}/reactions/%F0%9F%91%8D", headers=mine)
    answer = await api.delete(path, headers=mine)
    gone = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"], gone["version"]) == (200, '"3"', 3)
    assert (gone["body"], gone["mentions"], gone["reactions"], gone["reply_count"]) == (None, [], [], 1)
    assert gone["deleted_by"] == str(team["ids"]["owner"])
    assert gone["deleted_at"] > gone["edited_at"]
    listed = (await api.get(team["path"], headers=mine)).json()["data"]
    assert listed == [gone]
    replies = (await api.get(f"{team['path']}?parent_id={made['id']}", headers=mine)).json()["data"]
    assert [one["id"] for one in replies] == [reply["id"]]
    versions = (await api.get(f"{path}/versions", headers=mine)).json()
    assert (versions["data"], versions["meta"]["total"]) == ([], 0)
    assert await rows("SELECT * FROM tasks.comment_version WHERE comment_id = :id", id=made["id"]) == []
    assert await rows("SELECT * FROM tasks.reaction WHERE comment_id = :id", id=made["id"]) == []
    [(event,)] = await rows(
        "SELECT to_jsonb(change)::text FROM tasks.change WHERE entity_id = :id AND type = 'comment.deleted.v1'",
        id=made["id"],
    )
    assert "secret" not in event
    again = await api.delete(path, headers=mine)
    assert (again.status_code, again.json()["data"]) == (200, gone)
    refused = await api.patch(path, json={"body": "back"}, headers=mine)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "COMMENT_DELETED")
    assert [type_ for (type_,) in await rows(TYPES, id=team["task"]["id"])] == [
        "comment.created.v1",
        "comment.created.v1",
        "comment.updated.v1",
        "reaction.added.v1",
        "comment.deleted.v1",
    ]
    minimal = await api.delete(f"{team['path']}/{reply['id']}", headers={**mine, "prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content) == (204, b"")


async def test_h1_of_deletions_and_edits_at_once_one_deletes(api, team, rows):
    made = await write(api, team, "0")
    path = f"{team['path']}/{made['id']}"
    mine = team["headers"]["owner"]
    deleting = [api.delete(path, headers=mine) for _ in range(10)]
    editing = [api.patch(path, json={"body": f"v{n}"}, headers=mine) for n in range(10)]
    answers = await asyncio.gather(*(one for pair in zip(editing, deleting, strict=True) for one in pair))
    assert {answer.status_code for answer in answers[1::2]} == {200}
    assert {answer.status_code for answer in answers[0::2]} <= {200, 409}
    log = [type_ for type_, _ in await rows(LOG, id=made["id"])]
    assert (log.count("comment.deleted.v1"), log[-1]) == (1, "comment.deleted.v1")
    assert await rows("SELECT count(*) FROM tasks.comment_version WHERE comment_id = :id", id=made["id"]) == [(0,)]


@pytest.mark.parametrize(
    ("by", "author", "edit", "delete"),
    [
        ("commenter", "commenter", 200, 200),
        ("commenter", "member", 403, 403),
        ("member", "member", 200, 200),
        ("member", "commenter", 403, 403),
        ("owner", "commenter", 403, 200),
        ("viewer", "viewer", 403, 403),
    ],
)
async def test_h1_whose_comment_it_is_decides(api, team, rows, by, author, edit, delete):
    made = await write(api, team)
    await rows("UPDATE tasks.comment SET author_id = :author WHERE id = :id", author=team["ids"][author], id=made["id"])
    path = f"{team['path']}/{made['id']}"
    before = await rows("SELECT last_seq FROM tasks.change_counter WHERE workspace_id = :w", w=made["workspace_id"])
    edited = await api.patch(path, json={"body": "b"}, headers=team["headers"][by])
    deleted = await api.delete(path, headers=team["headers"][by])
    assert (edited.status_code, deleted.status_code) == (edit, delete)
    for answer in (edited, deleted):
        if answer.status_code == 403:
            assert answer.json()["errors"][0]["code"] == "FORBIDDEN"
    written = [edit, delete].count(200)
    after = await rows("SELECT last_seq FROM tasks.change_counter WHERE workspace_id = :w", w=made["workspace_id"])
    assert after[0][0] - before[0][0] == written


async def test_h1_an_archived_project_takes_no_comment(api, team, rows):
    made = await write(api, team)
    await rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=team["task"]["project_id"])
    path, mine = f"{team['path']}/{made['id']}", team["headers"]["owner"]
    refused = [
        await api.post(team["path"], json={"body": "x"}, headers=mine),
        await api.patch(path, json={"body": "x"}, headers=mine),
        await api.delete(path, headers=mine),
        await api.put(f"{path}/reactions/%F0%9F%91%8D", headers=mine),
        await api.delete(f"{path}/reactions/%F0%9F%91%8D", headers=mine),
    ]
    assert {(one.status_code, one.json()["errors"][0]["code"]) for one in refused} == {(409, "PROJECT_ARCHIVED")}
    assert (await api.get(path, headers=mine)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"body": ""}', 422, "TOO_SHORT"),
        ('{"body": " \\n\\t"}', 422, "INVALID_FORMAT"),
        ('{"body": "a\\u0000b"}', 422, "NULL_CHARACTER"),
        ('{"body": "\\ud800"}', 400, "MALFORMED_JSON"),
        ('{"body": "%s"}' % ("x" * 10_001), 422, "TOO_LONG"),
        ('{"body": null}', 422, "WRONG_TYPE"),
        ('{"body": 1}', 422, "WRONG_TYPE"),
        ('{"body": "a", "author_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}', 422, "READ_ONLY_FIELD"),
        ('{"body": "a", "parent_id": "x"}', 422, "INVALID_ID"),
        ('{"body": "a", "body": "b"}', 400, "MALFORMED_JSON"),
    ],
)
async def test_r30_what_is_no_comment_is_refused(api, team, rows, body, status, code):
    headers = {**team["headers"]["owner"], "content-type": "application/json"}
    made = await write(api, team)
    for method, path in (("POST", team["path"]), ("PATCH", f"{team['path']}/{made['id']}")):
        if method == "PATCH" and "parent_id" in body:
            continue
        answer = await api.request(method, path, content=body.encode(), headers=headers)
        assert answer.status_code == status, answer.text
        if not (method == "PATCH" and "null" in body):
            assert answer.json()["errors"][0]["code"] == code, answer.text
    assert await rows("SELECT count(*) FROM tasks.comment WHERE task_id = :id", id=team["task"]["id"]) == [(1,)]


@pytest.mark.parametrize(
    "body", ["\u202eabc\u202c", "x" * 10_000, "\u2764\ufe0f\u200d", "  a\n", "'; DROP TABLE x; --", "\ufeffa"]
)
async def test_h1_what_is_said_is_kept_as_it_is(api, team, body):
    made = await write(api, team, body)
    read = await api.get(f"{team['path']}/{made['id']}", headers=team["headers"]["owner"])
    assert read.json()["data"]["body"] == body


async def test_r32_a_comment_is_made_once_for_a_key(api, team, rows):
    headers = {**team["headers"]["commenter"], "idempotency-key": "k"}
    answers = [await api.post(team["path"], json={"body": "a"}, headers=headers) for _ in range(3)]
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    assert await rows("SELECT count(*) FROM tasks.comment WHERE task_id = :id", id=team["task"]["id"]) == [(1,)]


async def test_n5_a_workspace_may_ask_for_if_match(api, team, rows):
    made = await write(api, team)
    path, mine = f"{team['path']}/{made['id']}", team["headers"]["owner"]
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=made["workspace_id"])
    for answer in (await api.patch(path, json={"body": "b"}, headers=mine), await api.delete(path, headers=mine)):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (428, "IF_MATCH_REQUIRED")
    assert (await api.delete(path, headers={**mine, "if-match": '"1"'})).status_code == 200


async def test_h1_comments_go_with_their_task(api, team, rows):
    made = await write(api, team)
    await write(api, team, parent_id=made["id"])
    path, mine = f"{team['path']}/{made['id']}", team["headers"]["owner"]
    await api.patch(path, json={"body": "b"}, headers=mine)
    await api.put(f"{path}/reactions/%F0%9F%91%8D", headers=mine)
    await api.delete(f"/api/v1/tasks/{team['task']['id']}", headers=mine)
    for answer in (
        await api.get(team["path"], headers=mine),
        await api.get(path, headers=mine),
        await api.patch(path, json={"body": "c"}, headers=mine),
        await api.post(team["path"], json={"body": "c"}, headers=mine),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
    await rows("DELETE FROM tasks.task WHERE id = :id", id=team["task"]["id"])
    left = "SELECT count(*) FROM tasks.{} WHERE workspace_id = :id"
    for table in ("comment", "comment_version", "reaction"):
        assert await rows(left.format(table), id=made["workspace_id"]) == [(0,)]


async def test_h1_the_number_of_statements_does_not_grow_with_the_comments(api, team, database, rows):
    mine = team["headers"]["owner"]
    made = await write(api, team)
    counts = []
    for _ in range(2):
        for query in ("per_page=100", "per_page=100&cursor=", "per_page=100&include=html"):
            with statements_seen(database.reader) as statements:
                answer = await api.get(f"{team['path']}?{query}", headers=mine)
            counts.append(len(statements))
        for n in range(15):
            one = await write(api, team, str(n))
            await write(api, team, str(n), parent_id=made["id"])
            await api.put(f"{team['path']}/{one['id']}/reactions/%F0%9F%91%8D", headers=mine)
    assert len(answer.json()["data"]) == 16
    assert counts == [3, 2, 3] * 2


async def test_a8_a_token_needs_its_scopes(api, team, test_gateway):
    made = await write(api, team)
    path = f"{team['path']}/{made['id']}"
    reading = test_gateway.token_headers(team["ids"]["owner"], "tasks:read")
    writing = test_gateway.token_headers(team["ids"]["owner"], "comments:write")
    assert (await api.get(path, headers=reading)).status_code == 200
    assert (await api.get(path, headers=writing)).status_code == 403
    refused = [
        await api.post(team["path"], json={"body": "x"}, headers=reading),
        await api.patch(path, json={"body": "x"}, headers=reading),
        await api.delete(path, headers=reading),
    ]
    assert {answer.json()["errors"][0]["code"] for answer in refused} == {"INSUFFICIENT_SCOPE"}
    assert (await api.patch(path, json={"body": "x"}, headers=writing)).status_code == 200


async def test_h3_who_comments_watches_unless_a_rule_says_otherwise(api, team, rows):
    await rows("INSERT INTO tasks.watch_rule VALUES (:id, true, true, true, false)", id=team["ids"]["commenter"])
    before = await rows(WATCHERS, id=team["task"]["id"])
    for by in ("commenter", "member", "member"):
        await write(api, team, by=by)
    new = [one for one in await rows(WATCHERS, id=team["task"]["id"]) if one not in before]
    assert new == [(team["ids"]["member"], "commented")]
    log = "SELECT count(*) FROM tasks.change WHERE task_id = :id AND type = 'watcher.added.v1' AND actor->>'id' = :user"
    assert await rows(log, id=team["task"]["id"], user=str(team["ids"]["member"])) == [(1,)]


async def test_b4_comments_are_found_by_the_key_of_their_task(api, team):
    made = await write(api, team)
    path = f"/api/v1/tasks/{team['task']['key']}/comments"
    mine = team["headers"]["owner"]
    assert (await api.get(path, headers=mine)).json()["data"] == [made]
    assert (await api.get(f"{path}/{made['id']}", headers=mine)).json()["data"] == made
    edited = await api.patch(f"{path}/{made['id']}", json={"body": "b"}, headers=mine)
    assert (edited.status_code, edited.json()["data"]["version"]) == (200, 2)
    reacted = await api.put(f"{path}/{made['id']}/reactions/%F0%9F%91%8D", headers=mine)
    assert reacted.status_code == 201
    hidden = await api.get("/api/v1/tasks/NONE-1/comments", headers=mine)
    assert (hidden.status_code, hidden.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
