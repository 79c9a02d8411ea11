"""What happened: of a task, for who sees it now, and of a workspace, for who answers for it (H3, H4)."""

import json

import pytest
from chassis.ids import uuid7

TASKS = "/api/v1/tasks"
RELATED = ("relation.created", "relation.deleted")
ADD_MEMBER = "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, now())"


class Story:
    """A task of Ann's, which she changed twice: by her session, and by a token."""

    def __init__(self, api, rows, gateway, ann, made):
        self.api, self.rows, self.gateway, self.ann = api, rows, gateway, ann
        self.task_id, self.workspace_id, self.project_id = made["id"], made["workspace_id"], made["project_id"]
        self.history_path = f"{TASKS}/{self.task_id}/history"
        self.audit_path = f"/api/v1/workspaces/{self.workspace_id}/audit"

    def headers(self, user=None):
        return self.gateway.headers(user or self.ann)

    async def joins(self, role="member"):
        user = uuid7()
        await self.rows(ADD_MEMBER, workspace=self.workspace_id, user=user, role=role)
        return user

    async def patch(self, body, **headers):
        answer = await self.api.patch(f"{TASKS}/{self.task_id}", json=body, headers={**self.headers(), **headers})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def read(self, path, user=None, **parameters):
        answer = await self.api.get(path, headers=self.headers(user), params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def entries(self, path=None, user=None, **parameters):
        """Return entries without those of who watches, which assigning a task brings, and commenting."""
        found = (await self.read(path or self.history_path, user, **parameters))["data"]
        return [one for one in found if one["entity_type"] != "watcher"]


@pytest.fixture
async def story(api, rows, test_gateway):
    ann = uuid7()
    made = await api.post(TASKS, json={"title": "a"}, headers=test_gateway.headers(ann))
    return Story(api, rows, test_gateway, ann, made.json()["data"])


async def test_h3_every_change_is_told_field_by_field_with_who_and_through_what(story):
    token = uuid7()
    headers = story.gateway.token_headers(story.ann, "tasks:read", "tasks:write", token_id=token)
    person = "INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)"
    await story.rows(f"{person} VALUES (:id, 'Ann', true, 'human', 'active', 1)", id=story.ann)
    await story.patch({"title": "b", "priority": "high"}, **{"x-request-id": "a-request"})
    await story.patch({"description": "words"}, **headers)
    newest, middle, oldest = await story.entries()
    by_session = {"type": "user", "id": str(story.ann), "name": "Ann", "via": "session", "token_id": None}
    assert newest["actor"] == {**by_session, "via": "token", "token_id": str(token)}
    assert newest["changes"] == [{"field": "description", "old": None, "new": "words"}]
    assert middle == {
        "seq": newest["seq"] - 1,
        "event_id": middle["event_id"],
        "at": middle["at"],
        "type": "task.updated",
        "entity_type": "task",
        "entity_id": story.task_id,
        "version": 2,
        "actor": by_session,
        "user_id": None,
        "changes": [
            {"field": "title", "old": "a", "new": "b"},
            {"field": "priority", "old": "none", "new": "high"},
        ],
        "reason": None,
        "request_id": "a-request",
    }
    assert (oldest["type"], oldest["version"]) == ("task.created", 1)


async def test_h3_who_came_later_sees_all_and_who_does_not_see_the_task_nothing(story):
    await story.patch({"title": "b"})
    assert len(await story.entries(user=await story.joins())) == 2
    for user in (uuid7(), await story.joins("guest")):
        answer = await story.api.get(story.history_path, headers=story.headers(user))
        absent = await story.api.get(f"{TASKS}/{uuid7()}/history", headers=story.headers(user))
        assert (answer.status_code, absent.status_code) == (404, 404)


async def test_h3_the_history_of_one_field(story):
    await story.patch({"title": "b"})
    await story.patch({"priority": "low"})
    titles = await story.entries(field="title")
    assert [one["version"] for one in titles] == [2, 1]


async def test_h3_a_history_is_walked_both_ways_without_gaps(story):
    for number in range(9):
        await story.patch({"title": f"title {number}"})
    whole = [one["seq"] for one in (await story.read(story.history_path))["data"]]
    assert len(whole) == 10
    assert whole == sorted(whole, reverse=True)
    walked, cursor, pages = [], "", []
    while cursor is not None:
        page = await story.read(story.history_path, per_page=4, cursor=cursor)
        walked += [one["seq"] for one in page["data"]]
        pages.append(page)
        cursor = page["meta"]["next_cursor"]
    assert walked == whole
    back = await story.read(story.history_path, per_page=4, cursor=pages[-1]["meta"]["prev_cursor"])
    assert back["data"] == pages[-2]["data"]
    other = await story.api.get(
        story.audit_path, headers=story.headers(), params={"cursor": pages[0]["meta"]["next_cursor"]}
    )
    assert (other.status_code, other.json()["errors"][0]["code"]) == (400, "CURSOR_MISMATCH")


async def test_h3_a_deleted_user_is_named_as_such(story):
    tombstone = "INSERT INTO tasks.person (id, email_verified, kind, status, version)"
    await story.rows(f"{tombstone} VALUES (:id, false, 'human', 'deleted', 2)", id=story.ann)
    assert [one["actor"]["name"] for one in await story.entries()] == ["Deleted user"]


async def test_h4_the_audit_has_everything_in_the_workspace(story):
    await story.patch({"title": "b"})
    entries = (await story.read(story.audit_path))["data"]
    types = [one["type"] for one in entries]
    assert types[0] == "task.updated"
    assert {"workspace.created", "member.added", "project.created", "task.created"} <= set(types)
    assert [one["seq"] for one in entries] == list(range(len(entries), 0, -1))
    assert (entries[0]["task_id"], entries[0]["project_id"]) == (story.task_id, story.project_id)


async def test_h4_the_audit_by_actor_action_thing_and_time(story):
    other = await story.joins()
    made = await story.api.post(
        TASKS, json={"title": "other", "project_id": story.project_id}, headers=story.headers(other)
    )
    await story.patch({"title": "b"})
    newest, second, third, *older = await story.entries(story.audit_path)

    async def seqs(**parameters):
        return [one["seq"] for one in await story.entries(story.audit_path, **parameters)]

    assert await seqs(actor=str(other)) == [second["seq"]]
    assert await seqs(action="task.created") == [second["seq"], third["seq"]]
    assert await seqs(entity_id=made.json()["data"]["id"]) == [second["seq"]]
    assert await seqs(**{"from": newest["at"]}) == [newest["seq"]]
    assert await seqs(to=newest["at"]) == [one["seq"] for one in (second, third, *older)]
    wrong = await story.api.get(story.audit_path, headers=story.headers(), params={"action": "Task Created"})
    assert wrong.status_code == 422


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("member", 403), ("guest", 403)])
async def test_h4_the_audit_is_for_owners_and_admins(story, role, status):
    answer = await story.api.get(story.audit_path, headers=story.headers(await story.joins(role)))
    assert answer.status_code == status


async def test_h4_the_audit_is_exported_as_lines(story):
    for number in range(3):
        await story.patch({"title": f"title {number}"})
    headers = {**story.headers(), "accept": "application/x-ndjson"}
    answer = await story.api.get(story.audit_path, headers=headers)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == (await story.read(story.audit_path, per_page=100))["data"]


async def test_h4_an_export_is_longer_than_what_is_read_at_once(story):
    await story.rows(
        "INSERT INTO tasks.change (workspace_id, seq, event_id, type, occurred_at, entity_type, entity_id, project_id,"
        " version, actor, changes, resource, audience, request_id, state)"
        " SELECT workspace_id, 1000 + n, uuidv7(), type, occurred_at, entity_type, entity_id, project_id, version,"
        " actor, changes, resource, audience, request_id, 'sent' FROM tasks.change, generate_series(1, 1200) n"
        " WHERE entity_id = :task",
        task=story.task_id,
    )
    headers = {**story.headers(), "accept": "application/x-ndjson"}
    lines = (await story.api.get(story.audit_path, headers=headers)).text.splitlines()
    seqs = [json.loads(line)["seq"] for line in lines]
    assert seqs[:1200] == list(range(2200, 1000, -1))
    assert seqs[1200:] == list(range(seqs[1200], 0, -1))


async def test_h3_what_is_somebody_s_own_is_for_its_owner_alone(story):
    other = await story.joins()
    own = (
        "INSERT INTO tasks.change (workspace_id, seq, event_id, type, occurred_at, entity_type, entity_id, project_id,"
        " task_id, version, actor, changes, resource, audience, request_id, state)"
        " SELECT workspace_id, :seq, uuidv7(), :type, now(), :kind, uuidv7(), project_id, task_id, 1, actor, '[]',"
        " '{}', ARRAY[CAST(:owner AS uuid)], 'r', 'sent' FROM tasks.change WHERE task_id = :task AND version = 1"
        " AND entity_type = 'task'"
    )
    kinds = ("star", "personal_label", "task_metadata")
    for seq, kind in enumerate(kinds, 1001):
        await story.rows(own, seq=seq, type=f"{kind}.added.v1", kind=kind, owner=other, task=story.task_id)
    assert [one["entity_type"] for one in await story.entries()] == ["task"]
    assert [one["entity_type"] for one in await story.entries(user=other)] == [*reversed(kinds), "task"]
    audited = {one["entity_type"] for one in await story.entries(story.audit_path)}
    assert audited & set(kinds) == set()


async def test_h3_the_words_of_a_deleted_comment_are_not_told(story):
    comment = uuid7()
    await story.rows(
        "INSERT INTO tasks.comment (id, workspace_id, task_id, author_id, body, mentions, version, created_at)"
        " VALUES (:id, :workspace, :task, :ann, 'words', '{}', 1, now())",
        id=comment,
        workspace=story.workspace_id,
        task=story.task_id,
        ann=story.ann,
    )
    await story.rows(
        "INSERT INTO tasks.change (workspace_id, seq, event_id, type, occurred_at, entity_type, entity_id, project_id,"
        " task_id, version, actor, changes, resource, audience, request_id, state)"
        " SELECT workspace_id, 1001, uuidv7(), 'comment.created.v1', now(), 'comment', :id, project_id, task_id, 1,"
        ' actor, \'[{"field": "body", "old": null, "new": "words"}]\', \'{}\', audience, \'r\', \'sent\''
        " FROM tasks.change WHERE entity_id = :task",
        id=comment,
        task=story.task_id,
    )
    assert (await story.entries())[0]["changes"] == [{"field": "body", "old": None, "new": "words"}]
    await story.rows("UPDATE tasks.comment SET body = NULL, deleted_at = now() WHERE id = :id", id=comment)
    for path in (story.history_path, story.audit_path):
        assert (await story.entries(path))[0]["changes"] == [{"field": "body", "old": None, "new": None}]


async def test_h3_whom_a_change_is_about_is_told(story):
    path = f"{TASKS}/{story.task_id}/watchers"
    await story.api.delete(f"{path}/{story.ann}", headers=story.headers())
    await story.api.post(path, json={"user_id": str(story.ann)}, headers=story.headers())
    entries = (await story.read(story.history_path))["data"]
    assert {one["entity_type"]: one["user_id"] for one in entries} == {"watcher": str(story.ann), "task": None}


async def related(roster, task, who="owner", **parameters):
    """Return what a task's history says of relations: what happened, and by field the values before and after."""
    asked = "&".join(f"{name}={value}" for name, value in parameters.items())
    entries = await roster.ok(who, "GET", f"/tasks/{task['id']}/history?{asked}")
    return [
        (one["type"], {field["field"]: (field["old"], field["new"]) for field in one["changes"]})
        for one in entries
        if one["type"] in RELATED
    ]


async def relate(roster, one, other, kind="blocks"):
    return await roster.ok("owner", "POST", f"/tasks/{one['id']}/relations", {"type": kind, "task_id": other["id"]})


def is_made(kind, other):
    return "relation.created", {"type": (None, kind), "task_id": (None, other["id"])}


def is_gone(kind, other):
    return "relation.deleted", {"type": (kind, None), "task_id": (other["id"], None)}


@pytest.mark.parametrize(
    ("kind", "inverse"),
    [
        ("blocks", "blocked_by"),
        ("blocked_by", "blocks"),
        ("relates_to", "relates_to"),
        ("duplicates", "duplicated_by"),
        ("follows", "precedes"),
    ],
)
async def test_h3_a_relation_is_in_the_histories_of_both_tasks_as_each_has_it(roster, kind, inverse):
    one, other, third = [await roster.task() for _ in range(3)]
    made = await relate(roster, one, other, kind)
    await roster.ok("owner", "DELETE", f"/tasks/{other['id']}/relations/{made['id']}")
    assert await related(roster, one) == [is_gone(kind, other), is_made(kind, other)]
    assert await related(roster, other) == [is_gone(inverse, one), is_made(inverse, one)]
    assert await related(roster, third) == []
    log = [(told, fields.keys()) for told, fields, _ in await roster.log() if told.startswith("relation.")]
    stored = {"type", "from_task_id", "to_task_id"}
    assert log == [("relation.created.v1", stored), ("relation.deleted.v1", stored)]


async def test_h3_a_relation_is_the_same_entry_at_both_ends(roster):
    one, other = await roster.task(), await roster.task()
    made = await relate(roster, one, other)
    ends = [(await roster.ok("viewer", "GET", f"/tasks/{task['id']}/history"))[0] for task in (one, other)]
    assert [end.pop("changes")[0]["new"] for end in ends] == ["blocks", "blocked_by"]
    assert ends[0] == ends[1]
    assert ends[0]["entity_id"] == made["id"]


async def private_project(roster):
    body = {"name": "S", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    return (await roster.ok("owner", "POST", "/projects", body))["id"]


async def test_h3_a_relation_is_shown_to_who_sees_both_tasks_now(roster):
    """Not to who saw them then: from either end, and to whoever it is."""
    one, other = await roster.task(), await roster.task()
    await relate(roster, one, other)

    async def counts(who):
        return [len(await related(roster, task, who)) for task in (one, other)]

    assert [await counts(who) for who in ("owner", "member", "viewer")] == [[1, 1]] * 3
    project = await private_project(roster)
    await roster.ok("owner", "POST", f"/tasks/{other['id']}/move", {"project_id": project})
    assert [await counts("owner"), await counts("admin")] == [[1, 1]] * 2
    assert [len(await related(roster, one, who)) for who in ("member", "viewer")] == [0, 0]
    await roster.ok("owner", "PUT", f"/tasks/{other['id']}/shares/{roster.id('member')}", {"role": "viewer"})
    await roster.ok("owner", "PUT", f"/tasks/{other['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    assert await counts("member") == [1, 1]
    # A guest who was given the other end alone sees nothing of this one.
    assert await related(roster, other, "guest") == []
    await roster.ok("owner", "DELETE", f"/tasks/{other['id']}/shares/{roster.id('member')}")
    assert await related(roster, one, "member") == []
    late = uuid7()
    await roster.join(late, "admin")
    roster.ids["late"] = late
    assert await counts("late") == [1, 1]


async def test_h3_a_token_for_one_project_has_no_relation_to_another(roster):
    project = await private_project(roster)
    one, other, near = await roster.task(), await roster.task(project_id=project), await roster.task()
    await relate(roster, one, other)
    await relate(roster, near, one)
    headers = roster.gateway.token_headers(roster.ids["owner"], "tasks:read", project_ids=[roster.project_id])
    answer = await roster.api.get(f"{TASKS}/{one['id']}/history", headers=headers)
    told = [entry["changes"][1]["new"] for entry in answer.json()["data"] if entry["type"] in RELATED]
    assert told == [near["id"]]
    assert other["id"] not in answer.text


async def test_h3_a_relation_to_what_is_in_the_trash_comes_back_and_to_what_is_gone_does_not(roster):
    one, other = await roster.task(), await roster.task()
    await relate(roster, one, other)
    await roster.ok("owner", "DELETE", f"/tasks/{other['id']}")
    assert await related(roster, one) == []
    await roster.ok("owner", "POST", f"/tasks/{other['id']}/restore")
    assert await related(roster, one) == [is_made("blocks", other)]
    await roster.ok("owner", "DELETE", f"/tasks/{other['id']}?permanent=true")
    assert await related(roster, one) == []
    assert len([told for told, *_ in await roster.log() if told.startswith("relation.")]) == 1


@pytest.mark.parametrize("is_from", [True, False])
async def test_h3_pages_tell_nothing_of_relations_that_are_not_shown(roster, is_from):
    """Every page is full but the last one, however much between two entries is not shown."""
    task, seen = await roster.task(), await roster.task()
    hidden = await roster.task(project_id=await private_project(roster))
    for kind in ("blocks", "relates_to", "precedes"):
        await relate(roster, task, seen, kind)
        for one, other in [(task, hidden) if is_from else (hidden, task)]:
            await relate(roster, one, other, kind)
    for who, kinds in (("owner", 6), ("viewer", 3)):
        whole = await roster.ok(who, "GET", f"/tasks/{task['id']}/history?per_page=100")
        assert len([entry for entry in whole if entry["type"] in RELATED]) == kinds
        sizes, walked, pages, cursor = [], [], [], ""
        while cursor is not None:
            path = f"/tasks/{task['id']}/history?per_page=2&cursor={cursor}"
            page = (await roster.ask(who, "GET", path)).json()
            pages.append(page)
            walked += page["data"]
            sizes.append(len(page["data"]))
            cursor = page["meta"]["next_cursor"]
        assert walked == whole
        assert sizes == [2] * (len(whole) // 2) + [1] * (len(whole) % 2)
        back = f"/tasks/{task['id']}/history?per_page=2&cursor={pages[-1]['meta']['prev_cursor']}"
        assert await roster.ok(who, "GET", back) == pages[-2]["data"]


async def test_h3_the_history_of_one_field_knows_relations_by_the_fields_that_it_shows(roster):
    one, other = await roster.task(), await roster.task()
    await relate(roster, one, other)
    for task in (one, other):
        found = [await related(roster, task, field=field) for field in ("type", "task_id", "from_task_id", "title")]
        assert [len(entries) for entries in found] == [1, 1, 0, 0]


async def test_h3_copied_relations_are_in_the_histories_of_both_tasks(roster):
    one, other = await roster.task(), await roster.task()
    await relate(roster, one, other)
    copy = await roster.ok("owner", "POST", f"/tasks/{one['id']}/duplicate", {"include": ["relations"]})
    assert await related(roster, copy) == [is_made("blocks", other)]
    assert await related(roster, other) == [is_made("blocked_by", copy), is_made("blocked_by", one)]


async def test_h4_the_audit_tells_a_relation_as_it_is_stored(roster):
    one, other = await roster.task(), await roster.task()
    await relate(roster, one, other, "blocked_by")
    [entry] = await roster.ok("owner", "GET", f"/workspaces/{roster.workspace_id}/audit?action=relation.created")
    assert entry["task_id"] == one["id"]
    assert {told["field"]: told["new"] for told in entry["changes"]} == {
        "type": "blocks",
        "from_task_id": other["id"],
        "to_task_id": one["id"],
    }
