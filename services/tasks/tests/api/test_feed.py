"""The feed of changes (J4): what has happened since a position, as its reader sees it now."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.cursors import CursorSigner
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


@pytest.fixture
def signer(settings):
    return CursorSigner(settings.cursors.secret.get_secret_value())


@pytest.fixture
def feed(roster):
    """Reads the feed of a member of the team to its end, or a page of it."""

    class Feed:
        async def page(self, who, cursor=None, **query):
            params = {name: str(value) for name, value in query.items()}
            if cursor is not None:
                params["cursor"] = cursor
            headers = params.pop("headers", None) or roster.gateway.headers(roster.ids[who])
            answer = await roster.api.get(CHANGES, params=params, headers=headers)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert {name: body["data"][name] for name in ("next_cursor", "has_more")} == {
                name: body["meta"][name] for name in ("next_cursor", "has_more")
            }
            return body["data"]

        async def start(self, who):
            found = await self.page(who)
            assert (found["changes"], found["has_more"]) == ([], False)
            return found["next_cursor"]

        async def all(self, who, cursor, **query):
            found, more = [], True
            while more:
                page = await self.page(who, cursor, **query)
                found += page["changes"]
                cursor, more = page["next_cursor"], page["has_more"]
            return found

    return Feed()


def told(entries):
    return [(one["type"], one["subject"], one.get("removed", {}).get("reason")) for one in entries]


async def test_j4_the_feed_begins_with_a_cursor_and_tells_what_comes_after_it(roster, feed, signer):
    await roster.task()
    cursor = await feed.start("member")
    assert (await feed.page("member", cursor))["changes"] == []
    task = await roster.task(title="Buy milk")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "Buy oat milk"})
    page = await feed.page("member", cursor)
    created, watched, updated = page["changes"]
    assert list(created) == KEYS
    assert told(page["changes"]) == [
        ("task.created", task["id"], None),
        ("watcher.added", watched["subject"], None),
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
    assert told((await feed.page("member", created["cursor"]))["changes"]) == told([watched, updated])


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
    position = signer.position({**signer.read_position(cursor), me: 17})
    page = await feed.page("owner", position, limit=1)
    assert [one["type"] for one in page["changes"]] == ["task.created"]
    for told in (page["next_cursor"], page["changes"][0]["cursor"]):
        assert signer.read_position(told)[me] == 17
    assert [one["type"] for one in await feed.all("owner", page["next_cursor"])] == ["watcher.added"]
    read = await roster.ask("owner", "GET", "/tasks", **{"x-min-cursor": position})
    assert read.status_code == 200


async def test_j4_deletions_are_told_with_what_they_were_about(roster, feed):
    task, label = await roster.task(title="gone"), None
    label = await roster.ok("owner", "POST", "/labels", {"workspace_id": str(roster.workspace_id), "name": "l"})
    cursor = await feed.start("member")
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    await roster.ok("owner", "DELETE", f"/labels/{label['id']}")
    trashed, unlabelled = await feed.all("member", cursor)
    assert told([trashed, unlabelled]) == [
        ("task.deleted", task["id"], "deleted"),
        ("label.deleted", label["id"], "deleted"),
    ]
    assert (trashed["data"]["title"], trashed["data"]["deleted_at"] is not None) == ("gone", True)
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}?permanent=true")
    # What there is no more is not told of as it was.
    assert told(await feed.all("member", cursor)) == [
        ("label.deleted", label["id"], "deleted"),
        ("task.purged", task["id"], "purged"),
    ]


async def test_j4_what_was_said_in_a_deleted_comment_is_not_told(roster, feed):
    task, cursor = await roster.task(), None
    cursor = await feed.start("member")
    comments = f"/tasks/{task['id']}/comments"
    gone = await roster.ok("owner", "POST", comments, {"body": "secret one"})
    await roster.ok("owner", "PATCH", f"{comments}/{gone['id']}", {"body": "secret two"})
    stays = await roster.ok("owner", "POST", comments, {"body": "for all"})
    assert (await feed.all("member", cursor))[0]["data"]["body"] == "secret one"
    await roster.ok("owner", "DELETE", f"{comments}/{gone['id']}")
    changes = await feed.all("member", cursor)
    assert "secret" not in str(changes)
    bodies = {(one["type"], one["subject"]): one["data"]["body"] for one in changes if "comment" in one["type"]}
    assert bodies == {
        ("comment.created", gone["id"]): None,
        ("comment.updated", gone["id"]): None,
        ("comment.created", stays["id"]): "for all",
        ("comment.deleted", gone["id"]): None,
    }


async def private_project(roster, who):
    body = {"name": "Private", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    project = await roster.ok("owner", "POST", "/projects", body)
    added = await roster.ok("owner", "PUT", f"/projects/{project['id']}/members/{roster.id(who)}", {"role": "editor"})
    return project["id"], added


async def test_j4_what_is_seen_no_more_is_told_as_lost_and_nothing_else(roster, feed):
    project, _ = await private_project(roster, "member")
    old = await roster.task(title="old secret", project_id=project)
    cursor = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/tasks/{old['id']}", {"title": "secret"})
    await roster.ok("owner", "PATCH", f"/tasks/{old['id']}", {"title": "secrets"})
    new = await roster.task(title="new secret", project_id=project)
    await roster.ok("owner", "POST", f"/tasks/{new['id']}/comments", {"body": "secret words"})
    assert len(await feed.all("member", cursor)) == 5
    await roster.ok("owner", "DELETE", f"/projects/{project}/members/{roster.id('member')}")
    await roster.task(title="a later secret", project_id=project)
    lost = await feed.all("member", cursor)
    assert [(one["type"], one["subject"] == old["id"], one["removed"]) for one in lost] == [
        ("task.updated", True, {"reason": "access_lost"}),
        ("project_member.removed", False, {"reason": "access_lost"}),
    ]
    assert [(one["data"], one["changes"], one["project_id"]) for one in lost] == [(None, [], project)] * 2
    assert "secret" not in str(lost)
    # The owner goes on to see it all.
    assert len(await feed.all("owner", cursor)) == 8


async def test_j4_a_project_that_becomes_private_is_lost_to_who_has_no_role_in_it(roster, feed):
    task = await roster.task(title="in the open")
    cursor = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"visibility": "private"})
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "hidden"})
    project = str(roster.project_id)
    assert told(await feed.all("member", cursor)) == [("project.updated", project, "access_lost")]
    assert ("task.updated", task["id"], None) in told(await feed.all("editor", cursor))
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"visibility": "workspace"})
    again = await feed.all("member", cursor)
    assert told(again) == [("project.updated", project, "access_lost"), ("project.updated", project, None)]


async def test_j4_a_share_that_ends_and_a_task_that_moves_away_are_lost(roster, feed):
    hidden, _ = await private_project(roster, "admin")
    shared = await roster.task(title="shared")
    await roster.ok("owner", "PUT", f"/tasks/{shared['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    moved = await roster.task(title="moves")
    cursor = await feed.start("guest")
    mine = await feed.start("member")
    await roster.ok("owner", "PATCH", f"/tasks/{shared['id']}", {"title": "shared still"})
    assert told(await feed.all("guest", cursor)) == [("task.updated", shared["id"], None)]
    await roster.ok("owner", "DELETE", f"/tasks/{shared['id']}/shares/{roster.id('guest')}")
    await roster.ok("owner", "POST", f"/tasks/{moved['id']}/move", {"project_id": hidden})
    [gone, ended] = await feed.all("guest", cursor)
    assert told([gone]) == [("task.updated", shared["id"], "access_lost")]
    assert (ended["type"], ended["task_id"], ended["removed"]) == (
        "task_share.removed",
        shared["id"],
        {"reason": "access_lost"},
    )
    [away] = [one for one in await feed.all("member", mine) if one["type"] == "task.moved"]
    assert (away["subject"], away["project_id"], away["data"], away["changes"], away["removed"]) == (
        moved["id"],
        str(roster.project_id),
        None,
        [],
        {"reason": "access_lost"},
    )


async def test_j4_a_project_with_a_shared_task_that_is_deleted_and_restored_is_told_to_who_it_is_shared_with(
    roster, feed
):
    """They see nothing of the project itself, so it is no more than that what they see of it is not as before."""
    place = {"workspace_id": str(roster.workspace_id)}
    project = (await roster.ok("owner", "POST", "/projects", {"name": "secret name", **place}))["id"]
    task = await roster.task(project_id=project)
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    cursor = await feed.start("guest")
    await roster.ok("owner", "DELETE", f"/projects/{project}")
    await roster.ok("owner", "POST", f"/projects/{project}/restore")
    changes = await feed.all("guest", cursor)
    assert told(changes) == [(f"project.{verb}", project, "access_lost") for verb in ("deleted", "restored")]
    assert "secret name" not in str(changes)
    await roster.ok("owner", "DELETE", f"/projects/{project}?permanent=true")
    assert told(await feed.all("guest", cursor))[-1] == ("project.purged", project, "access_lost")
    assert {one[2] for one in told(await feed.all("member", cursor))} == {"purged"}


async def test_j4_a_workspace_that_one_is_out_of_is_one_entry_and_leaves_the_cursor(roster, feed, signer):
    await roster.task(title="secret")
    cursor = await feed.start("member")
    await roster.task(title="another secret")
    removed = await roster.ok("owner", "GET", f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}")
    await roster.ok("owner", "DELETE", f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}")
    await roster.task(title="a third secret")
    page = await feed.page("member", cursor)
    [entry] = page["changes"]
    assert told([entry]) == [("member.removed", removed["id"], "access_lost")]
    assert (entry["workspace_id"], entry["data"], entry["changes"]) == (str(roster.workspace_id), None, [])
    assert (signer.read_position(page["next_cursor"]), page["has_more"]) == ({}, False)
    assert signer.read_position(entry["cursor"]) == {}
    assert (await feed.page("member", page["next_cursor"]))["changes"] == []
    # It is not told to others, and is not there for who asks for other things.
    assert (await feed.page("member", cursor, types="task.*"))["changes"] == []
    assert (await feed.page("member", cursor, workspace_id=uuid7()))["changes"] == []


async def test_j4_several_workspaces_that_are_lost_come_page_by_page(roster, feed, rows, test_gateway, api):
    me, boss = uuid7(), test_gateway.headers(uuid7())
    places = []
    for name in ("A", "B", "C"):
        place = (await api.post("/api/v1/workspaces", json={"name": name}, headers=boss)).json()["data"]["id"]
        await rows("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'member', 1, 1, now())", w=place, u=me)
        places.append(place)
    mine = test_gateway.headers(me)
    cursor = (await api.get(CHANGES, headers=mine)).json()["data"]["next_cursor"]
    for place in places:
        assert (await api.delete(f"/api/v1/workspaces/{place}", headers=boss)).status_code < 300
    found, more = [], True
    while more:
        page = (await api.get(CHANGES, params={"cursor": cursor, "limit": 1}, headers=mine)).json()["data"]
        found += page["changes"]
        cursor, more = page["next_cursor"], page["has_more"]
    assert [one["type"] for one in found] == ["member.removed"] * 3
    assert {one["workspace_id"] for one in found} == set(places)


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
    assert told(changes)[0] == ("member.added", str(draft.entity_id), None)
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
    assert ("task.created", task["id"], None) in told(changes)
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
    assert told(await feed.all("member", now)) == [("task.updated", task["id"], None)]


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
        "owner": ["task.created", "watcher.added", "star.added", "invitation.created"],
        "admin": ["task.created", "watcher.added", "invitation.created"],
        "member": ["task.created", "watcher.added"],
        "guest": [],
    }
    # Who is no admin any more does not see what admins see.
    await roster.ok(
        "owner", "PATCH", f"/workspaces/{roster.workspace_id}/members/{roster.id('admin')}", {"role": "member"}
    )
    assert [one["type"] for one in await feed.all("admin", cursors["admin"])] == [
        "task.created",
        "watcher.added",
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
    assert [one["seq"] for one in seen] == list(range(seen[0]["seq"], seen[0]["seq"] + 60))
    titles = sorted(int(one["data"]["title"]) for one in seen if one["type"] == "task.created")
    assert titles == list(range(30))
