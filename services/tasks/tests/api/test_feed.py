"""The feed of changes (J4): what has happened since a position, as its reader sees it now."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from tasks_service.changes.service import record
from tasks_service.workspaces.service import join

CHANGES = "/api/v1/changes"
KEYS = [
    "seq",
    "cursor",
    "event_id",
    "type",
    "workspace_id",
    "project_id",
    "task_id",
    "subject",
    "version",
    "changes",
    "actor",
    "data",
    "occurred_at",
    "origin_request_id",
]


async def test_j4_the_feed_begins_with_a_cursor_and_tells_what_comes_after_it(roster, feed, signer):
    await roster.task()
    cursor = await feed.start("member")
    assert (await feed.page("member", cursor))["changes"] == []
    task = await roster.task(title="Buy milk")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "Buy oat milk"})
    page = await feed.page("member", cursor)
    created, updated = page["changes"]
    assert list(created) == KEYS
    assert feed.told(page["changes"]) == [
        ("task.created", task["id"], None),
        ("task.updated", task["id"], None),
    ]
    assert updated["changes"] == [{"field": "title", "old": "Buy milk", "new": "Buy oat milk"}]
    assert (updated["data"]["title"], updated["version"], updated["actor"]["id"]) == (
        "Buy oat milk",
        2,
        roster.id("owner"),
    )
    assert signer.read_position(updated["cursor"]) == {roster.workspace_id: updated["seq"]}
    assert page["next_cursor"] == updated["cursor"]
    # From the position after any of them on comes what is after it.
    assert feed.told((await feed.page("member", created["cursor"]))["changes"]) == feed.told([updated])


async def test_j4_a_page_goes_on_where_the_last_one_ended_over_all_workspaces(roster, feed, test_gateway, api):
    me = test_gateway.headers(roster.ids["owner"])
    other = (await api.post("/api/v1/workspaces", json={"name": "Other"}, headers=me)).json()["data"]["id"]
    cursor = await feed.start("owner")
    project = (await api.post("/api/v1/projects", json={"name": "P", "workspace_id": other}, headers=me)).json()["data"]
    for number in range(4):
        await roster.task(title=f"here {number}")
        await api.post("/api/v1/tasks", json={"title": "there", "project_id": project["id"]}, headers=me)
    whole = await feed.page("owner", cursor, limit=500)
    assert whole["has_more"] is False
    order = [(one["workspace_id"], one["seq"]) for one in whole["changes"]]
    assert order == sorted(order, key=lambda one: (UUID(one[0]), one[1]))
    for limit in (1, 2, 3, 7):
        assert await feed.all("owner", cursor, limit=limit) == whole["changes"]
    for entry, after in zip(whole["changes"], range(1, 1 + len(order)), strict=True):
        assert await feed.all("owner", entry["cursor"], limit=5) == whole["changes"][after:]


async def test_j4_the_cursor_of_any_write_works(roster, feed):
    made = await roster.ask("owner", "POST", "/tasks", {"title": "a", "project_id": str(roster.project_id)})
    await roster.task(title="b")
    changes = await feed.all("owner", made.headers["x-cursor"])
    assert [one["data"]["title"] for one in changes if one["type"] == "task.created"] == ["b"]


async def test_j4_a_position_of_the_live_channels_has_ones_own_stream_which_is_kept(roster, feed, signer):
    me, cursor = roster.ids["owner"], await feed.start("owner")
    await roster.task()
    await roster.task()
    position = signer.position({**signer.read_position(cursor), me: 17})
    page = await feed.page("owner", position, limit=1)
    assert [one["type"] for one in page["changes"]] == ["task.created"]
    for told in (page["next_cursor"], page["changes"][0]["cursor"]):
        assert signer.read_position(told)[me] == 17
    assert [one["type"] for one in await feed.all("owner", page["next_cursor"])] == ["task.created"]
    read = await roster.ask("owner", "GET", "/tasks", **{"x-min-cursor": position})
    assert read.status_code == 200


def join_of(roster, database):
    """Return what makes somebody a member of the team from the next change on, as an invitation does."""

    async def run(user_id, role):
        async with transaction(database) as session:
            draft = await join(session, workspace_id=roster.workspace_id, user_id=user_id, role=role)
            if draft is not None:
                await record(session, workspace_id=roster.workspace_id, actor=None, drafts=[draft])
        return draft

    return run


async def test_j4_who_joins_reads_from_the_first_day_on(roster, feed, database):
    await roster.task(title="before")
    cursor = await feed.start("stranger")
    draft = await join_of(roster, database)(roster.ids["stranger"], "member")
    await roster.task(title="after")
    changes = await feed.all("stranger", cursor)
    assert feed.told(changes)[0] == ("member.added", str(draft.entity_id), None)
    assert [one["data"]["title"] for one in changes if one["type"] == "task.created"] == ["after"]


async def test_j4_filters_narrow_what_is_told_and_not_the_cursor(roster, feed):
    cursor = await feed.start("owner")
    project = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    here, there = await roster.task(), await roster.task(project_id=project["id"])
    await roster.ok("owner", "POST", f"/tasks/{here['id']}/comments", {"body": "c"})
    whole = await feed.page("owner", cursor)

    async def types(**query):
        page = await feed.page("owner", cursor, **query)
        assert page["next_cursor"] == whole["next_cursor"]
        return sorted({one["type"] for one in page["changes"]})

    assert await types(types="task.created,comment.*") == ["comment.created", "task.created"]
    assert await types(types="*.created") == ["comment.created", "project.created", "task.created"]
    assert await types(types="*") == sorted({one["type"] for one in whole["changes"]})
    assert await types(workspace_id=uuid7()) == []
    assert await types(project_id=uuid7()) == []
    assert await types(workspace_id=roster.workspace_id, types="project.*") == ["project.created"]
    of_project = await feed.all("owner", cursor, project_id=project["id"])
    assert {one["project_id"] for one in of_project} == {project["id"]}
    await roster.ok("owner", "POST", f"/tasks/{there['id']}/move", {"project_id": str(roster.project_id)})
    assert (await feed.all("owner", cursor, project_id=project["id"]))[-1]["type"] == "task.moved"


async def test_j4_a_type_that_there_is_not_is_refused_with_the_closest(roster, feed):
    answer = await roster.ask("owner", "GET", "/changes?types=task.update,comment.created,tusk.*")
    assert answer.status_code == 422
    assert [(one["code"], one["field"], one["hint"]) for one in answer.json()["errors"]] == [
        ("UNKNOWN_EVENT", "types", "did you mean task.updated?"),
        ("UNKNOWN_EVENT", "types", "did you mean task.*?"),
    ]
    for types in ("task", "invitation_mail.requested", "*.*.*", "", "task.*.v1"):
        refused = await roster.ask("owner", "GET", f"/changes?types={types}")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "UNKNOWN_EVENT"), types
    assert (await feed.page("owner", types="reminder.fired"))["changes"] == []


@pytest.mark.parametrize("cursor", ["", "x", "A" * 16_384, "%00", "💥", "AAAA" * 12])
async def test_j4_a_cursor_that_is_none_is_refused(roster, cursor):
    headers = roster.gateway.headers(roster.ids["owner"])
    answer = await roster.api.get(CHANGES, params={"cursor": cursor}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "INVALID_CURSOR")
    assert cursor == "" or cursor not in answer.text


async def test_j4_a_cursor_beyond_all_bounds_and_limits_out_of_bounds_are_refused(roster, signer):
    long = await roster.ask("owner", "GET", f"/changes?cursor={'A' * 20_000}")
    assert (long.status_code, long.json()["errors"][0]["code"]) == (422, "TOO_LONG")
    for limit in ("0", "501", "-1", "1e3", "x", ""):
        answer = await roster.ask("owner", "GET", f"/changes?limit={limit}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "limit")
    page = signer.page(query=b"q", after=["a"])
    assert (await roster.ask("owner", "GET", f"/changes?cursor={page}")).status_code == 400


async def test_j4_a_position_of_somebody_else_shows_nothing_of_theirs(roster, feed, signer, api, test_gateway):
    await roster.task(title="secret")
    theirs = await feed.start("owner")
    await roster.task(title="another secret")
    stranger = test_gateway.headers(uuid7())
    own = (await api.get(CHANGES, headers=stranger)).json()["data"]["next_cursor"]
    for cursor in (theirs, signer.position({roster.workspace_id: 0}), signer.position({uuid7(): 0})):
        answer = await api.get(CHANGES, params={"cursor": cursor}, headers=stranger)
        assert (answer.status_code, answer.json()["data"]["changes"]) == (200, [])
        assert answer.json()["data"]["next_cursor"] == own


async def test_j4_a_position_after_somebody_elses_write_is_one_in_what_is_shared(roster, feed, signer):
    """Its `X-Cursor` names their personal workspace, too."""
    await roster.ok("owner", "POST", "/tasks", {"title": "to their own Inbox"})
    answer = await roster.ask("owner", "POST", "/tasks", {"title": "a", "project_id": str(roster.project_id)})
    assert len(signer.read_position(answer.headers["x-cursor"])) == 2
    task = await roster.task(title="b")
    changes = await feed.all("member", answer.headers["x-cursor"])
    assert ("task.created", task["id"], None) in feed.told(changes)
    assert {one["workspace_id"] for one in changes} == {str(roster.workspace_id)}


async def test_j4_a_position_in_a_workspace_that_is_gone_for_good_has_expired(roster, feed, rows, signer):
    gone = uuid7()
    await rows("INSERT INTO tasks.purged_workspace (id, purged_at) VALUES (:id, now())", id=gone)
    cursor = signer.position({**signer.read_position(await feed.start("member")), gone: 7})
    answer = await roster.ask("member", "GET", f"/changes?cursor={cursor}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (410, "CURSOR_EXPIRED")


async def test_j4_a_position_from_which_something_is_unread_for_too_long_has_expired(roster, feed, rows):
    cursor = await feed.start("member")
    task = await roster.task()
    here = {"w": roster.workspace_id}
    for days, status in ((29, 200), (31, 410)):
        await rows(
            "UPDATE tasks.change SET occurred_at = :at WHERE workspace_id = :w",
            at=utcnow() - timedelta(days=days),
            **here,
        )
        answer = await roster.ask("member", "GET", f"/changes?cursor={cursor}")
        assert answer.status_code == status
    assert answer.json()["errors"][0]["code"] == "CURSOR_EXPIRED"
    # Who has read all that is there is not too late, however long ago that was.
    now = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "b"})
    assert feed.told(await feed.all("member", now)) == [("task.updated", task["id"], None)]


async def test_j4_what_is_for_somebody_alone_or_for_some_roles_is_told_to_nobody_else(roster, feed):
    cursors = {who: await feed.start(who) for who in ("owner", "admin", "member", "guest")}
    task = await roster.task()
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/star")
    await roster.ok(
        "owner",
        "POST",
        f"/workspaces/{roster.workspace_id}/invitations",
        {"email": "feed.invited@example.com", "role": "member"},
    )
    found = {who: [one["type"] for one in await feed.all(who, cursor)] for who, cursor in cursors.items()}
    assert found == {
        "owner": ["task.created", "star.added", "invitation.created"],
        "admin": ["task.created", "invitation.created"],
        "member": ["task.created"],
        "guest": [],
    }
    # Who is no admin any more does not see what admins see.
    await roster.ok(
        "owner", "PATCH", f"/workspaces/{roster.workspace_id}/members/{roster.id('admin')}", {"role": "member"}
    )
    assert [one["type"] for one in await feed.all("admin", cursors["admin"])] == [
        "task.created",
        "member.updated",
    ]


async def test_a8_a_restricted_token_is_told_of_its_projects_alone(roster, feed, api):
    project = (await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)}))[
        "id"
    ]
    inside, outside = await roster.task(project_id=project), await roster.task()
    token = roster.gateway.token_headers(roster.ids["owner"], "tasks:read", project_ids=[UUID(project)])
    cursor = (await api.get(CHANGES, headers=token)).json()["data"]["next_cursor"]
    await roster.ok("owner", "PATCH", f"/tasks/{inside['id']}", {"title": "in"})
    await roster.ok("owner", "PATCH", f"/tasks/{outside['id']}", {"title": "out"})
    await roster.ok("owner", "POST", "/labels", {"workspace_id": str(roster.workspace_id), "name": "l"})
    await roster.ok("owner", "POST", f"/tasks/{inside['id']}/move", {"project_id": str(roster.project_id)})
    await roster.ok("owner", "PATCH", f"/tasks/{inside['id']}", {"title": "away"})

    async def read(headers, **query):
        answer = await api.get(CHANGES, params={"cursor": cursor, **query}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["changes"]

    [gone] = [one for one in await read(token) if one["subject"] == inside["id"]]
    assert (gone["type"], gone["project_id"], gone["data"], gone["removed"]) == (
        "task.moved",
        project,
        None,
        {"reason": "access_lost"},
    )
    assert {one["project_id"] for one in await read(token)} == {project}
    elsewhere = roster.gateway.token_headers(roster.ids["owner"], "tasks:read", workspace_id=uuid7())
    assert await read(elsewhere) == []
    other = roster.gateway.token_headers(roster.ids["owner"], "tasks:write")
    refused = await api.get(CHANGES, params={"cursor": cursor}, headers=other)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "INSUFFICIENT_SCOPE")


async def test_r33_what_is_unchanged_is_not_sent_again(roster, feed):
    cursor = await feed.start("owner")
    await roster.task()
    headers = roster.gateway.headers(roster.ids["owner"])
    first = await roster.api.get(CHANGES, params={"cursor": cursor}, headers=headers)
    again = await roster.api.get(
        CHANGES, params={"cursor": cursor}, headers={**headers, "if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    await roster.task()
    changed = await roster.api.get(
        CHANGES, params={"cursor": cursor}, headers={**headers, "if-none-match": first.headers["etag"]}
    )
    assert changed.status_code == 200


async def test_j4_readers_beside_many_writers_miss_nothing(roster, feed, patient_api):
    """Whatever commits while pages are read comes later in the order than what was read."""
    cursor = await feed.start("member")
    project, headers = str(roster.project_id), roster.gateway.headers(roster.ids["owner"])
    writing = [
        asyncio.create_task(
            patient_api.post("/api/v1/tasks", json={"title": f"{n}", "project_id": project}, headers=headers)
        )
        for n in range(30)
    ]
    seen = []
    while not all(one.done() for one in writing):
        page = await feed.page("member", cursor, limit=7)
        seen += page["changes"]
        cursor = page["next_cursor"]
    seen += await feed.all("member", cursor)
    assert [(await one).status_code for one in writing] == [201] * 30
    assert [one["seq"] for one in seen] == list(range(seen[0]["seq"], seen[0]["seq"] + 30))
    titles = sorted(int(one["data"]["title"]) for one in seen if one["type"] == "task.created")
    assert titles == list(range(30))
