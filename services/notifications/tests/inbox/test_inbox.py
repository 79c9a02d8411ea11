"""K1: what happens to a task is in the inboxes of whom it concerns; what they may not see at that moment is not."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.activity.service import follow
from notifications_service.inbox.service import forget_notifications
from notifications_service.live.schemas import ChangeData, PersonalEvent
from notifications_service.live.service import frame_of, tell_user
from notifications_service.people.service import bury_person
from notifications_service.scheduler import jobs
from testkit.jobs import run_to_end
from testkit.statements import statements_seen
from testkit.waiting import eventually

OF_TASK = "SELECT count(*) FROM notifications.{} WHERE task_id = :t"
PERSON = """
    INSERT INTO notifications.person (user_id, kind, status, display_name, email_verified, version)
    VALUES (:u, :k, :s, :n, true, 1)
"""


async def test_k1_assigned_commented_mentioned_completed(office):
    ann, bob, cem = office.ann, office.bob, office.cem
    made = office.task(by=ann, assignees=[str(bob)])
    task = made.data["task_id"]
    said = office.comment(task, by=ann, mentions=(cem,), body="@[user:x]  whole\nor skimmed?")
    await office.happen(made, said)
    done = (("status", "todo", "done"), ("status_category", "todo", "done"))
    await office.happen(office.task("task.updated.v1", by=bob, task_id=task, changes=done, status="done"))
    assert await office.kinds(ann) == ["completed"]
    assert await office.kinds(bob) == ["commented", "assigned"]
    (mentioned,) = await office.inbox(cem)
    assert mentioned == {
        "id": mentioned["id"],
        "user_id": str(cem),
        "seq": mentioned["seq"],
        "kind": "mentioned",
        "text": "Somebody mentioned you in HOME-1 Buy milk",
        "task": {"id": task, "key": "HOME-1", "title": "Buy milk"},
        "workspace_id": str(office.world.id),
        "project_id": str(office.project),
        "task_id": task,
        "comment_id": said.data["entity_id"],
        "excerpt": "@[user:x] whole or skimmed?",
        "changes": [],
        "actor": {"id": str(ann), "name": None, "type": "user"},
        "event_id": str(said.event_id),
        "event_type": "comment.created",
        "read_at": None,
        "archived_at": None,
        "created_at": mentioned["created_at"],
    }
    (completed,) = await office.inbox(ann)
    assert completed["changes"] == [
        {"field": "status", "old": "todo", "new": "done"},
        {"field": "status_category", "old": "todo", "new": "done"},
    ]
    assert (await office.call(cem, "GET", f"/{mentioned['id']}"))["data"] == mentioned


async def test_k1_an_event_that_comes_twice_is_told_once(office):
    made = office.task(by=office.ann, assignees=[str(office.bob)])
    await office.happen(made, made.model_copy(update={"event_id": uuid7()}))
    await office.rows("UPDATE notifications.follower_position SET seq = 0 WHERE stream_id = :s", s=office.world.id)
    await office.happen(office.task(by=office.ann))
    assert (await office.kinds(office.bob)).count("assigned") == 1


async def test_k1_lost_access_takes_notifications_away_and_restored_access_brings_them_back(office):
    bob, world = office.bob, office.world
    await office.happen(*[office.task(by=office.ann, assignees=[str(bob)]) for _ in range(3)])
    (one, *_) = await office.inbox(bob)
    assert await office.unread(bob) == 3
    private = {"visibility": "private", "id": str(office.project), "name": "Home"}

    def project(event_type="project.updated.v1", **changed):
        resource = {**private, **changed}
        return world.event(event_type, entity_type="project", resource=resource, project_id=str(office.project))

    async def sees(count, listed=None):
        assert len(await office.inbox(bob)) == count
        assert (await office.call(bob, "GET"))["meta"]["unread_count"] == count
        assert (await office.call(bob, "GET", "?group_by=task"))["meta"]["unread_count"] == count
        assert len(await office.inbox(bob, "?group_by=task")) == count
        assert await office.unread(bob) == count
        status = 200 if count == 3 else 404
        await office.call(bob, "GET", f"/{one['id']}", status=status)
        for verb in ("read", "unread", "archive", "unarchive"):
            await office.call(bob, "POST", f"/{one['id']}/{verb}", status=status)
        await office.call(bob, "PATCH", f"/{one['id']}", json={"read": False}, status=status)
        if count == 0:
            assert (await office.call(bob, "POST", "/read-all"))["data"] == {"changed": 0, "unread_count": 0}
            assert (await office.call(bob, "POST", "/archive-all"))["data"] == {"changed": 0, "unread_count": 0}

    await sees(3)
    await office.happen(project())
    await sees(0)
    await office.happen(world.role_in(office.project, bob))
    await office.rows("DELETE FROM notifications.notification WHERE kind = 'added_to_project'")
    await sees(3)
    await office.happen(world.role_in(office.project, bob, "removed"))
    await sees(0)
    await office.happen(project(visibility="workspace"))
    await sees(3)
    await office.happen(project("project.deleted.v1", visibility="workspace"))
    await sees(0)
    await office.happen(project("project.restored.v1", visibility="workspace"))
    await sees(3)
    await office.happen(world.leaves(bob))
    await sees(0)
    await office.happen(world.joins(bob))
    await office.rows("DELETE FROM notifications.notification WHERE kind = 'added_to_workspace'")
    await sees(3)


async def test_k1_a_guest_sees_what_is_told_of_a_task_that_is_shared(office):
    guest, world = uuid7(), office.world
    made = office.task(by=office.ann)
    task = made.data["task_id"]
    await office.happen(world.joins(guest, role="guest"), made, world.share(task, guest))
    assert await office.kinds(guest, f"?task_id={task}") == ["shared"]
    await office.happen(office.comment(task, by=office.ann, mentions=(guest,)))
    assert await office.kinds(guest, f"?task_id={task}") == ["mentioned", "shared"]
    await office.happen(world.share(task, guest, "removed"))
    assert await office.kinds(guest, f"?task_id={task}") == []


async def test_k1_a_task_that_moves_takes_its_notifications_to_where_it_is(office):
    made = office.task(by=office.ann, assignees=[str(office.bob)])
    hidden = uuid7()
    secret = {"id": str(hidden), "visibility": "private", "name": "Secret"}
    await office.happen(made)
    await office.happen(
        office.world.event("project.created.v1", entity_type="project", resource=secret, project_id=str(hidden)),
        office.task("task.moved.v1", by=office.ann, task_id=made.data["task_id"], project=hidden),
    )
    assert await office.inbox(office.bob) == []


async def test_r22_a_restricted_token_sees_and_changes_what_is_within_its_restriction(office):
    bob, elsewhere = office.bob, uuid7()
    here = office.task(by=office.ann, assignees=[str(bob)])
    there = office.task(by=office.ann, assignees=[str(bob)], project=elsewhere)
    await office.happen(here, there)
    of_workspace = office.gateway.token_headers(bob, "notifications:read", workspace_id=office.world.id)
    of_other = office.gateway.token_headers(bob, "notifications:read", workspace_id=uuid7())
    scopes = ("notifications:read", "notifications:write")
    of_project = office.gateway.token_headers(bob, *scopes, project_ids=[elsewhere])

    async def seen(headers):
        answer = await office.call(bob, "GET", headers=headers)
        count = (await office.call(bob, "GET", "/unread-count", headers=headers))["data"]["unread_count"]
        assert answer["meta"]["unread_count"] == count
        return [one["task_id"] for one in answer["data"]]

    both = [there.data["task_id"], here.data["task_id"]]
    assert await seen(of_workspace) == both
    assert await seen(of_other) == []
    assert await seen(of_project) == both[:1]
    (outside,) = [one for one in await office.inbox(bob) if one["task_id"] == both[1]]
    await office.call(bob, "POST", f"/{outside['id']}/read", headers=of_project, status=404)
    answer = await office.call(bob, "POST", "/read-all", headers=of_project)
    assert answer["data"] == {"changed": 1, "unread_count": 0}
    assert await office.unread(bob) == 1


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "", "notifications:read"),
        ("GET", "/unread-count", "notifications:read"),
        ("GET", "/{absent}", "notifications:read"),
        ("PATCH", "/{absent}", "notifications:write"),
        ("POST", "/{absent}/read", "notifications:write"),
        ("POST", "/{absent}/unread", "notifications:write"),
        ("POST", "/{absent}/archive", "notifications:write"),
        ("POST", "/{absent}/unarchive", "notifications:write"),
        ("POST", "/read-all", "notifications:write"),
        ("POST", "/archive-all", "notifications:write"),
    ],
)
async def test_an_api_token_needs_the_scope(api, service, method, path, scope):
    user, path = uuid7(), path.format(absent=uuid7())
    other = {"notifications:read", "notifications:write", "tasks:read"} - {scope}
    refused = service.gateway.token_headers(user, *other)
    answer = await api.request(method, f"/api/v1/notifications{path}", headers=refused, json=body_of(method))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "INSUFFICIENT_SCOPE")
    answer = await api.request(method, f"/api/v1/notifications{path}", json=body_of(method))
    assert answer.status_code == 401
    allowed = service.gateway.token_headers(user, scope)
    answer = await api.request(method, f"/api/v1/notifications{path}", headers=allowed, json=body_of(method))
    assert answer.status_code == (404 if len(path) > 20 else 200)


def body_of(method):
    return {} if method in {"PATCH", "POST"} else None


async def test_k1_the_inbox_by_state_kind_place_and_task(office):
    ann, bob = office.ann, office.bob
    first, second = (office.task(by=ann, assignees=[str(bob)], title=title) for title in ("First", "Second"))
    await office.happen(first, second, office.comment(first.data["task_id"], by=ann))
    comment, of_second, of_first = await office.inbox(bob)
    await office.call(bob, "POST", f"/{of_first['id']}/read")
    await office.call(bob, "POST", f"/{of_second['id']}/archive")

    async def ids(query):
        return [one["id"] for one in await office.inbox(bob, query)]

    assert await ids("") == [comment["id"], of_first["id"]]
    assert await ids("?state=unread") == [comment["id"]]
    assert await ids("?state=read") == [of_first["id"]]
    assert await ids("?archived=true") == [of_second["id"]]
    assert await ids("?archived=true&state=read") == []
    assert await ids("?kind=assigned") == [of_first["id"]]
    assert await ids("?kind=assigned,commented") == [comment["id"], of_first["id"]]
    assert await ids(f"?workspace_id={office.world.id}&state=unread") == [comment["id"]]
    assert await ids(f"?workspace_id={uuid7()}") == []
    assert await ids(f"?task_id={second.data['task_id']}&archived=true") == [of_second["id"]]
    for query in ("?kind=nonsense", "?archived=1", "?per_page=0", "?per_page=101", "?group_by=day", "?page=1"):
        await office.call(bob, "GET", query, status=422)
    await office.call(bob, "GET", "?cursor=nonsense", status=400)


async def test_k1_grouped_by_task_the_latest_first_and_five_of_each(office):
    ann, bob = office.ann, office.bob
    busy = office.task(by=ann, assignees=[str(bob)], title="Busy")
    said = [office.comment(busy.data["task_id"], by=ann) for _ in range(6)]
    await office.happen(busy, *said, office.task(by=ann, assignees=[str(bob)], title="Quiet"))
    await office.call(bob, "POST", f"/{(await office.inbox(bob, '?kind=commented'))[0]['id']}/read")
    groups = await office.inbox(bob, "?group_by=task")
    assert [(one["task"]["title"], one["count"], one["unread_count"]) for one in groups] == [
        ("Quiet", 1, 1),
        ("Busy", 7, 6),
    ]
    assert [one["kind"] for one in groups[1]["latest"]] == ["commented"] * 5
    assert groups[1]["updated_at"] == groups[1]["latest"][0]["created_at"]
    assert [one["task"]["title"] for one in await office.inbox(bob, "?group_by=task&kind=assigned")] == [
        "Quiet",
        "Busy",
    ]
    first = await office.call(bob, "GET", "?group_by=task&per_page=1")
    assert (first["data"], first["meta"]["has_more"]) == (groups[:1], True)
    second = await office.call(bob, "GET", f"?group_by=task&per_page=1&cursor={first['meta']['next_cursor']}")
    assert (second["data"], second["meta"]["has_more"]) == (groups[1:], False)
    back = await office.call(bob, "GET", f"?group_by=task&per_page=1&cursor={second['meta']['prev_cursor']}")
    assert back["data"] == groups[:1]
    await office.call(bob, "GET", f"?per_page=1&cursor={first['meta']['next_cursor']}", status=400)


async def test_k1_a_walk_sees_each_once_though_more_comes_meanwhile(office):
    ann, bob = office.ann, office.bob
    await office.happen(*[office.task(by=ann, assignees=[str(bob)]) for _ in range(7)])
    all_of_them = [one["id"] for one in await office.inbox(bob)]
    seen, cursor = [], ""
    while cursor is not None:
        answer = await office.call(bob, "GET", f"?per_page=3&cursor={cursor}")
        seen += [one["id"] for one in answer["data"]]
        cursor = answer["meta"]["next_cursor"]
        await office.happen(office.task(by=ann, assignees=[str(bob)]))
    assert seen == all_of_them


async def test_k1_mark_and_unmark(office):
    ann, bob = office.ann, office.bob
    await office.happen(office.task(by=ann, assignees=[str(bob)]))
    (one,) = await office.inbox(bob)
    path = f"/{one['id']}"
    read = (await office.call(bob, "POST", f"{path}/read"))["data"]
    assert read == {**one, "read_at": read["read_at"]}
    assert (await office.call(bob, "POST", f"{path}/read"))["data"] == read
    assert await office.unread(bob) == 0
    assert (await office.call(bob, "POST", f"{path}/unread"))["data"] == one
    both = (await office.call(bob, "PATCH", path, json={"read": True, "archived": True}))["data"]
    assert (both["read_at"] is None, both["archived_at"] is None) == (False, False)
    assert (await office.call(bob, "PATCH", path, json={}))["data"] == both
    assert (await office.call(bob, "POST", f"{path}/unarchive"))["data"] == {**both, "archived_at": None}
    await office.call(bob, "PATCH", path, json={"read": None}, status=422)
    await office.call(bob, "PATCH", path, json={"read": "true"}, status=422)
    await office.call(bob, "PATCH", path, json={"kind": "x"}, status=422)
    # Somebody else's is answered as what is not there.
    absent = await office.call(ann, "GET", f"/{uuid7()}", status=404)
    hidden = await office.call(ann, "GET", path, status=404)
    assert {**hidden, "meta": None} == {**absent, "meta": None}
    await office.call(ann, "POST", f"{path}/read", status=404)


async def test_o4_an_idempotency_key_marks_once(office):
    await office.happen(office.task(by=office.ann, assignees=[str(office.bob)]))
    key = {"idempotency-key": "once"}
    first = await office.call(office.bob, "POST", "/read-all", headers=key, json={})
    assert first["data"] == {"changed": 1, "unread_count": 0}
    again = await office.call(office.bob, "POST", "/read-all", headers=key, json={})
    assert again["data"] == first["data"]


async def test_k1_read_all_leaves_what_came_after_what_was_shown(office):
    ann, bob = office.ann, office.bob
    await office.happen(*[office.task(by=ann, assignees=[str(bob)]) for _ in range(3)])
    newest = (await office.inbox(bob))[0]
    late = office.task(by=ann, assignees=[str(bob)])
    await office.happen(late)
    answer = await office.call(bob, "POST", "/read-all", json={"up_to": newest["seq"]})
    assert answer["data"] == {"changed": 3, "unread_count": 1}
    (left,) = await office.inbox(bob, "?state=unread")
    assert left["task_id"] == late.data["task_id"]
    by_task = await office.call(bob, "POST", "/read-all", json={"task_id": late.data["task_id"]})
    assert by_task["data"] == {"changed": 1, "unread_count": 0}
    archived = await office.call(bob, "POST", "/archive-all", json={"up_to": newest["seq"]})
    assert archived["data"] == {"changed": 3, "unread_count": 0}
    assert len(await office.inbox(bob)) == 1
    for body in ({"up_to": -1}, {"up_to": "7"}, {"up_to": 2**70}, {"task_id": "x"}, {"nonsense": 1}):
        await office.call(bob, "POST", "/read-all", json=body, status=422)


async def test_k1_read_all_races_with_what_comes_in_and_with_itself(office):
    """Whatever is unread in the end came after the last marking; nothing is marked that came after it."""
    ann, bob = office.ann, office.bob
    events = [office.task(by=ann, assignees=[str(bob)]) for _ in range(40)]

    async def arrive():
        for event in events:
            await office.feed.put(event)

    answers = await asyncio.gather(
        arrive(), *[office.call(bob, "POST", "/read-all" if n % 2 else "/archive-all") for n in range(30)]
    )
    await office.followed()
    query = "SELECT seq, read_at IS NULL AND archived_at IS NULL FROM notifications.notification"
    states = await office.rows(f"{query} WHERE user_id = :u ORDER BY seq", u=bob)
    assert len(states) == 40
    unmarked = [state for _, state in states]
    assert unmarked == sorted(unmarked)
    assert await office.unread(bob) == sum(unmarked)
    changed = sum(answer["data"]["changed"] for answer in answers[1:])
    assert changed >= 40 - sum(unmarked)


async def test_k1_twenty_at_once_read_one_and_the_frame_comes_once(office, service):
    ann, bob = office.ann, office.bob
    await office.happen(office.task(by=ann, assignees=[str(bob)]))
    (one,) = await office.inbox(bob)
    async with service.reading(bob) as reader:
        await asyncio.gather(*(office.call(bob, "POST", f"/{one['id']}/read") for _ in range(20)))
        await office.call(bob, "POST", "/read-all")
        frame = await reader.frame()
        assert (frame["type"], frame["data"]["id"]) == ("notification.updated", one["id"])
        assert await reader.is_idle()


async def test_k1_frames_tell_open_connections_of_the_inbox(office, service):
    ann, bob = office.ann, office.bob
    async with service.reading(bob) as reader:
        await office.happen(office.task(by=ann, assignees=[str(bob)]))
        frames = {(frame := await reader.frame())["type"]: frame for _ in range(2)}
        created = frames["notification.created"]
        (one,) = await office.inbox(bob)
        assert created["data"] == {name: value for name, value in one.items() if name != "excerpt"}
        assert (created["seq"], created["workspace_id"], created["subject"]) == (one["seq"], None, one["id"])
        assert frames["task.created"]["event_id"] == one["event_id"]
        await office.call(bob, "POST", f"/{one['id']}/archive")
        archived = await reader.frame()
        assert (archived["type"], archived["data"]["archived_at"] is None) == ("notification.updated", False)
        await office.call(bob, "POST", f"/{one['id']}/unarchive")
        assert (await reader.frame())["data"]["archived_at"] is None
        await office.call(bob, "POST", "/read-all", json={"workspace_id": str(office.world.id)})
        all_read = await reader.frame()
        assert all_read["type"] == "notification.all_read"
        assert all_read["data"] == {
            "id": all_read["subject"],
            "user_id": str(bob),
            "up_to": all_read["seq"] - 1,
            "workspace_id": str(office.world.id),
            "project_ids": None,
            "task_id": None,
            "changed": 1,
            "at": all_read["data"]["at"],
        }
        await office.call(bob, "POST", "/archive-all")
        assert (await reader.frame())["type"] == "notification.all_archived"
        await office.call(bob, "POST", "/archive-all")
        assert await reader.is_idle()


async def test_k1_each_notification_has_the_next_number_of_its_user(office):
    """R55: what was told is in one sequence, without gaps, in the order of the events."""
    ann, bob, cem = office.ann, office.bob, office.cem
    await office.happen(*[office.task(by=ann, assignees=[str(bob), str(cem)]) for _ in range(30)])
    for user in (bob, cem):
        query = "SELECT n.seq, e.frame->'data'->>'id' = n.id::text FROM notifications.notification n"
        query += " JOIN notifications.stream_event e ON e.workspace_id = n.user_id AND e.seq = n.seq"
        found = await office.rows(f"{query} WHERE n.user_id = :u ORDER BY n.seq", u=user)
        first = found[0][0]
        assert found == [(first + n, True) for n in range(30)]


async def test_h2_an_edit_tells_those_alone_whom_it_mentions_anew(office):
    ann, bob, cem = office.ann, office.bob, office.cem
    made = office.task(by=ann)
    said = office.comment(made.data["task_id"], by=ann, mentions=(bob,))
    edited = office.comment(
        made.data["task_id"],
        by=ann,
        event_type="comment.updated.v1",
        comment_id=said.data["entity_id"],
        mentions=(bob, cem),
        before=(bob,),
        body="Both of you?",
    )
    await office.happen(made, said, edited)
    assert (await office.kinds(bob), await office.kinds(cem)) == (["mentioned"], ["mentioned"])
    # What it says now, for whoever was told of what it said before.
    assert [one["excerpt"] for one in await office.inbox(bob)] == ["Both of you?"]


async def test_h1_a_deleted_comment_leaves_no_words_in_any_inbox(office):
    ann, bob = office.ann, office.bob
    made = office.task(by=ann, assignees=[str(bob)])
    task = made.data["task_id"]
    said = office.comment(task, by=ann, body="a secret")
    await office.happen(made, said)
    assert (await office.inbox(bob))[0]["excerpt"] == "a secret"
    gone = office.comment(task, by=ann, body=None, event_type="comment.deleted.v1", comment_id=said.data["entity_id"])
    await office.happen(gone)
    told = await office.inbox(bob)
    assert [(one["kind"], one["excerpt"]) for one in told] == [("commented", None), ("assigned", None)]
    left = "SELECT 1 FROM notifications.{} t WHERE t::text LIKE '%a secret%'"
    assert await office.rows(left.format("notification")) == await office.rows(left.format("comment_card")) == []
    assert await office.rows(left.format("stream_event") + " AND workspace_id = :u", u=bob) == []


async def test_k1_replies_and_reactions_tell_the_author(office):
    ann, bob, cem = office.ann, office.bob, office.cem
    made = office.task(by=ann)
    task = made.data["task_id"]
    said = office.comment(task, by=bob)
    answer = office.comment(task, by=cem, parent_id=said.data["entity_id"])
    liked = {"id": str(uuid7()), "comment_id": said.data["entity_id"], "user_id": str(cem), "emoji": "👍"}
    about = {"project_id": str(office.project), "task_id": task, "actor": office.by(cem)}
    reaction = office.world.event("reaction.added.v1", entity_type="reaction", resource=liked, **about)
    await office.happen(made, said, answer, reaction)
    assert [(one["kind"], one["text"], one["excerpt"]) for one in await office.inbox(bob)] == [
        ("reacted", "Somebody reacted 👍 to your comment on HOME-1 Buy milk", "Whole or skimmed?"),
        ("replied", "Somebody replied to your comment on HOME-1 Buy milk", "Whole or skimmed?"),
    ]
    assert await office.kinds(ann) == ["commented", "commented"]


async def test_k1_who_has_muted_a_task_hears_nothing_of_it(office):
    ann, bob = office.ann, office.bob
    made = office.task(by=ann, assignees=[str(bob)])
    task = made.data["task_id"]

    def watching(event_type="watcher.updated.v1", **state):
        resource = {"id": str(uuid7()), "task_id": task, "user_id": str(bob), **state}
        about = {"project_id": str(office.project), "task_id": task, "audience": [str(bob)]}
        return office.world.event(event_type, entity_type="watcher", resource=resource, **about)

    await office.happen(made, watching(is_watching=True, is_muted=True), office.comment(task, by=ann, mentions=(bob,)))
    assert await office.kinds(bob) == ["assigned"]
    await office.happen(watching(is_watching=True, is_muted=False), office.comment(task, by=ann))
    assert await office.kinds(bob) == ["commented", "assigned"]


async def test_p2_imports_tell_nobody_and_are_known_all_the_same(office):
    ann, bob = office.ann, office.bob
    made = office.task(by=ann, assignees=[str(bob)], data={"quiet": True})
    await office.happen(made)
    assert await office.inbox(bob) == []
    title = (("title", "Buy milk", "Buy oat milk"),)
    await office.happen(
        office.task("task.updated.v1", by=ann, task_id=made.data["task_id"], changes=title, title="Buy oat milk")
    )
    assert [one["text"] for one in await office.inbox(bob)] == ["Somebody changed HOME-1 Buy oat milk"]


async def test_what_is_older_than_a_week_is_known_and_told_to_nobody(office):
    ann, bob = office.ann, office.bob
    old, young = (office.task(by=ann, assignees=[str(bob)]) for _ in range(2))
    week = timedelta(days=7)
    await office.happen(
        old.model_copy(update={"occurred_at": utcnow() - week}),
        young.model_copy(update={"occurred_at": utcnow() - week + timedelta(minutes=1)}),
    )
    assert [one["task_id"] for one in await office.inbox(bob)] == [young.data["task_id"]]
    assert await office.rows("SELECT count(*) FROM notifications.task_card") == [(2,)]


async def test_of_a_task_that_is_gone_for_good_nothing_is_left(office):
    ann, bob = office.ann, office.bob
    made = office.task(by=ann, assignees=[str(bob)])
    task = made.data["task_id"]
    await office.happen(made, office.comment(task, by=ann))
    await office.happen(office.task("task.deleted.v1", by=ann, task_id=task))
    assert await office.kinds(bob) == ["deleted", "commented", "assigned"]
    await office.happen(office.task("task.purged.v1", by=ann, task_id=task))
    assert await office.inbox(bob) == []
    for table in ("notification", "task_card", "comment_card", "watcher"):
        assert await office.rows(OF_TASK.format(table), t=UUID(task)) == [(0,)]


async def test_notifications_are_kept_for_ninety_days(office, database, rows):
    await office.happen(*[office.task(by=office.ann, assignees=[str(office.bob)]) for _ in range(3)])
    age = (
        "UPDATE notifications.notification SET created_at = now() - make_interval(days => 90, mins => :m) WHERE id = :i"
    )
    first, second, third = await office.inbox(office.bob)
    await rows(age, m=1, i=UUID(first["id"]))
    await rows(age, m=-1, i=UUID(second["id"]))
    await run_to_end(database, jobs(30), "purge-notifications")
    assert await office.inbox(office.bob) == [
        second | {"created_at": (await office.inbox(office.bob))[0]["created_at"]},
        third,
    ]


@pytest.mark.parametrize("query", ["", "?group_by=task"])
async def test_a_list_is_two_statements_however_much_there_is(office, database, query):
    ann, bob = office.ann, office.bob
    for count in (1, 30):
        await office.happen(*[office.task(by=ann, assignees=[str(bob)]) for _ in range(count)])
        with statements_seen(database.reader) as statements:
            await office.call(bob, "GET", query)
        assert len([one for one in statements if "notifications.notification" in one]) == 2
        assert len(statements) == 2


async def test_a_thousand_notifications_are_told_in_few_statements(office, database):
    """Of one kind in one place: what is asked does not grow, and rows are written by the hundred."""
    people = [uuid7() for _ in range(20)]
    await office.happen(*[office.world.joins(one) for one in people])
    counts = []
    for many in (1, 50):
        tasks = [office.task(by=office.ann, assignees=[str(one) for one in people]) for _ in range(many)]
        rows = [stream_row(event) for event in tasks]
        with statements_seen(database.writer) as statements:
            async with transaction(database) as session:
                await follow(session, office.world.id, rows)
        counts.append(len([one for one in statements if "follower_position" not in one]))
    assert counts[0] <= 40
    assert counts[1] <= counts[0] + 100


async def test_events_of_many_projects_and_kinds_ask_once_what_people_want(office, database):
    projects = [uuid7() for _ in range(12)]
    await office.happen(*[office.world.project(one) for one in projects])
    tasks = [office.task(by=office.ann, assignees=[str(office.bob)], project_id=str(one)) for one in projects]
    rows = [stream_row(event) for event in tasks]
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            await follow(session, office.world.id, rows)
    assert len([one for one in statements if "notifications.notification_preference" in one]) == 1


def stream_row(event):
    values = {
        "workspace_id": event.stream_id,
        "seq": event.sequence,
        "type": event.type,
        "audience": [UUID(str(one)) for one in event.data["audience"]],
        "lost_by": None,
        "quiet": None,
        "occurred_at": event.occurred_at,
    }
    return {**values, "frame": frame_of(event, ChangeData.model_validate(event.data))}


async def test_two_workspaces_tell_the_same_people_at_once(office, following):
    """Batches of several streams lock whom they tell in one order: none waits in a ring."""
    others = [
        type(office)(
            type(office.world)(),
            office.feed,
            office.rows,
            office.client,
            office.gateway,
            ann=office.ann,
            bob=office.bob,
            cem=office.cem,
        )
        for _ in range(4)
    ]
    await asyncio.gather(*(one.open() for one in others))
    await office.rows("DELETE FROM notifications.notification")
    offices = [office, *others]
    for each in offices:
        pairs = [[str(office.bob), str(office.cem)], [str(office.cem), str(office.bob)]]
        await each.feed.put(*[each.task(by=office.ann, assignees=pairs[n % 2]) for n in range(40)])
    await asyncio.gather(*(one.followed() for one in offices))
    for user in (office.bob, office.cem):
        assert await office.unread(user) == 200
    assert await office.rows("SELECT max(failures) FROM notifications.follower_position") == [(0,)]


async def test_preferences_turn_the_inbox_off_and_name_the_channels(office):
    ann, bob = office.ann, office.bob
    headers = office.gateway.headers(bob)
    lines = [{"kind": "commented", "channel": "inbox", "scope": {"type": "all"}, "mode": "off"}]
    answer = await office.client.put(
        "/api/v1/users/me/notification-preferences", headers=headers, json={"preferences": lines}
    )
    assert answer.status_code == 200, answer.text
    made = office.task(by=ann, assignees=[str(bob)])
    task = made.data["task_id"]
    done = (("status_category", "todo", "done"),)
    await office.happen(
        made, office.comment(task, by=ann), office.task("task.updated.v1", by=ann, task_id=task, changes=done)
    )
    assert await office.kinds(bob) == ["completed", "assigned"]
    digest = "SELECT kind, in_digest FROM notifications.notification ORDER BY seq"
    assert await office.rows(digest) == [("assigned", False), ("completed", True)]
    planned = (
        "SELECT n.kind, d.channel FROM notifications.delivery d"
        " JOIN notifications.notification n ON n.id = d.notification_id"
    )
    assert set(await office.rows(planned)) >= {("assigned", "email")}
    assert {kind for kind, _ in await office.rows(planned)} == {"assigned"}


async def test_programs_and_people_who_are_gone_are_told_nothing(office):
    await office.rows(PERSON, u=office.bob, k="service", s="active", n="Robot")
    await office.rows(PERSON, u=office.cem, k="human", s="disabled", n="Cem")
    await office.happen(office.task(by=office.ann, assignees=[str(office.bob), str(office.cem)]))
    assert await office.rows("SELECT count(*) FROM notifications.notification") == [(0,)]


async def test_names_are_those_of_today(office):
    await office.happen(office.task(by=office.ann, assignees=[str(office.bob)]))
    await office.rows(PERSON, u=office.ann, k="human", s="active", n="Ann")
    (one,) = await office.inbox(office.bob)
    assert (one["text"], one["actor"]["name"]) == ("Ann assigned HOME-1 Buy milk to you", "Ann")
    await office.rows("UPDATE notifications.person SET status = 'deleted', display_name = NULL")
    (one,) = await office.inbox(office.bob)
    assert (one["text"], one["actor"]["name"]) == ("Deleted user assigned HOME-1 Buy milk to you", "Deleted user")


async def test_members_and_roles(office):
    ann, new, world = office.ann, uuid7(), office.world
    joins = world.joins(new)
    joins.data["actor"] = office.by(ann)
    role = world.role_in(office.project, new)
    role.data["actor"], role.data["resource"]["role"] = office.by(ann), "viewer"
    raised = world.role_in(office.project, new, "updated")
    raised.data["actor"], raised.data["resource"]["role"] = office.by(ann), "editor"
    await office.happen(joins, role, raised)
    assert [one["text"] for one in await office.inbox(new)] == [
        "Somebody made you editor of Home",
        "Somebody added you to Home",
        "Somebody added you to Team",
    ]


async def test_a_job_that_has_ended_is_told_to_who_began_it(office):
    ann = office.ann
    resource = {"id": str(uuid7()), "created_by": str(ann), "kind": "export", "status": "succeeded"}
    about = {
        "audience": [ann],
        "actor": office.by(ann),
        "changes": [{"field": "status", "old": "running", "new": "succeeded"}],
    }
    await office.happen(office.world.event("job.updated.v1", entity_type="job", resource=resource, **about))
    (one,) = await office.inbox(ann)
    assert (one["kind"], one["text"], one["task"]) == ("job_finished", "Your export is done", None)
    (group,) = await office.inbox(ann, "?group_by=task")
    assert (group["task"], group["count"], group["latest"]) == (None, 1, [one])


async def test_what_was_told_to_somebody_who_is_deleted_is_gone(office, database):
    ann, bob = office.ann, office.bob
    await office.happen(*[office.task(by=ann, assignees=[str(bob)]) for _ in range(3)])
    coming = [office.task(by=ann, assignees=[str(bob)]) for _ in range(20)]

    async def goes():
        async with transaction(database) as session:
            await bury_person(session, user_id=bob, kind="human")
            await forget_notifications(session, user_id=bob)

    await asyncio.gather(office.happen(*coming), goes())
    assert await office.rows("SELECT count(*) FROM notifications.notification WHERE user_id = :u", u=bob) == [(0,)]


async def test_k10_the_owner_of_a_webhook_that_is_turned_off_is_told_once(office, database):
    ann = office.ann
    resource = {"id": str(uuid7()), "name": "Board sync", "disabled_reason": "failing"}
    draft = PersonalEvent(
        type="webhook.disabled.v1",
        entity_type="webhook",
        subject=uuid7(),
        resource=resource,
        workspace_id=office.world.id,
        changes=({"field": "enabled", "old": True, "new": False},),
    )
    async with transaction(database) as session:
        await tell_user(session, user_id=ann, drafts=[draft])

    async def told():
        return await office.inbox(ann)

    (one,) = await eventually(told)
    text = "Your webhook Board sync was turned off: nothing has been accepted for five days"
    assert (one["kind"], one["text"], one["actor"]) == ("webhook_disabled", text, None)
    assert (one["event_id"], one["event_type"]) == (str(draft.event_id), "webhook.disabled")
    # It has been told in that stream, and what is told of it there is no news again.
    await office.rows("UPDATE notifications.follower_position SET seq = 0 WHERE stream_id = :s", s=ann)
    await office.happen(office.task(by=office.bob))
    assert await office.inbox(ann) == [one]


async def test_k1_whoever_has_lost_access_before_an_event_is_followed_is_not_told_of_it(office, rows):
    """Its audience saw it; of what is followed later those alone are told who see it then."""
    ann, bob, cem = office.ann, office.bob, office.cem
    hidden = {"id": str(office.project), "visibility": "private", "name": "Home"}
    about = {"entity_type": "project", "resource": hidden, "project_id": str(office.project)}
    await office.happen(
        office.world.event("project.updated.v1", **about),
        office.world.role_in(office.project, cem, actor=office.by(cem)),
    )
    audience = {"audience": [str(one) for one in (ann, bob, cem)]}
    await office.happen(office.task(by=ann, assignees=[str(bob), str(cem)], data=audience))
    told = "SELECT user_id, kind FROM notifications.notification"
    assert await rows(told) == [(cem, "assigned")]
    assert await rows("SELECT user_id FROM notifications.delivery WHERE user_id = :u", u=bob) == []
    personal = (
        "SELECT type FROM notifications.stream_event WHERE workspace_id = :u AND frame->'data'->>'kind' = 'assigned'"
    )
    assert await rows(personal, u=bob) == []
