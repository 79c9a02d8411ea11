"""Events of a workspace or project in its chats: each once, as the maker of the connection sees it."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from notifications_service.chat.repository import find_all_unscoped
from notifications_service.chat.rules import EVENTS, PATTERNS, SENTENCES, fields_of, is_told, sentence_of, wants_event
from notifications_service.chat_posts.consumers import CHAT
from notifications_service.chat_posts.service import tell_events
from notifications_service.deliveries.drivers import Outgoing, Person
from notifications_service.following.runner import FollowerRunner
from notifications_service.following.service import Follower
from notifications_service.worker import FOLLOWERS
from testkit.waiting import eventually

PATH = "/api/v1/chat-connections"
FOLLOWED = "SELECT seq FROM notifications.follower_position WHERE follower = 'chat' AND stream_id = :s"
POSTS = "SELECT event_id::text, target_id::text, user_id, collapse_key, spacing_seconds FROM notifications.delivery"


@pytest.fixture
async def follow(database, rows, clean):
    """Lets the follower of chats walk to the end of a world's stream: from the start, so past no others."""
    stop = asyncio.Event()
    running = asyncio.create_task(FollowerRunner(database, [Follower(CHAT.name, CHAT.work, "start")]).run(stop))

    async def follow(world):
        async def reached():
            return await rows(FOLLOWED, s=world.id) == [(world.seq,)]

        await eventually(reached)

    yield follow
    stop.set()
    await running


@pytest.fixture
async def place(feed, world, follow, me):
    """A workspace that the caller owns, with a member, an open project and a private one."""
    opened, private, member = uuid7(), uuid7(), uuid7()
    events = [world.joins(me, role="owner"), world.joins(member), world.project(opened)]
    await feed.keep(*events, world.project(private, visibility="private"))
    await follow(world)
    return {"opened": opened, "private": private, "member": member}


@pytest.fixture
def connect(api, headers):
    async def connect(scope, scope_id, **changed):
        body = {"name": "C", "kind": "slack", "url": "http://127.0.0.1:1999/"}
        body["scope"] = {"type": scope, "id": str(scope_id)}
        made = await api.post(PATH, json={**body, **changed}, headers=headers)
        assert made.status_code == 201
        return made.json()["data"]["id"]

    return connect


def of(project, **more):
    return {"project_id": str(project), **more}


async def posts(rows):
    return [(event, target) for event, target, *_ in await rows(POSTS)]


def test_the_worker_tells_chats():
    assert CHAT in FOLLOWERS


async def test_k4_an_event_is_posted_once_however_many_see_it(feed, world, follow, place, connect, rows, me):
    everywhere = await connect("workspace", world.id)
    inside = await connect("project", place["opened"], events=["task.created"], kind="discord")
    task = world.task("Buy milk", **of(place["opened"]))
    await feed.keep(task)
    await follow(world)
    found = {target: rest for event, target, *rest in await rows(POSTS) if event == str(task.event_id)}
    key = task.data["task_id"]
    assert found == {everywhere: [me, key, 60], inside: [me, key, 0]}


async def test_a_scope_is_told_what_it_asks_for_and_of_nothing_else(feed, world, follow, place, connect, rows):
    inside = await connect("project", place["opened"], events=["task.*"])
    comments = await connect("workspace", world.id, events=["comment.created"])
    told = world.task(**of(place["opened"]))
    elsewhere = world.task(**of(uuid7()))
    comment = world.event(
        "comment.created.v1",
        entity_type="comment",
        resource={"id": str(uuid7()), "body": "Hi"},
        **of(place["opened"], task_id=told.data["task_id"]),
    )
    label = world.event("label.created.v1", entity_type="label", resource={"id": str(uuid7())})
    await feed.keep(told, elsewhere, comment, label)
    await follow(world)
    assert sorted(await posts(rows)) == sorted([(str(told.event_id), inside), (str(comment.event_id), comments)])


async def test_what_the_maker_does_not_see_an_import_brings_or_nothing_changes_is_not_posted(
    feed, world, follow, place, connect, rows
):
    await connect("workspace", world.id, events=["*"])
    hidden = world.task(audience=[place["member"]], **of(place["opened"]))
    quiet = world.task(quiet=True, **of(place["opened"]))
    moved = world.task(
        event_type="task.updated.v1", changes=[{"field": "position", "old": "a", "new": "b"}], **of(place["opened"])
    )
    old = world.task(**of(place["opened"])).model_copy(update={"occurred_at": utcnow() - timedelta(days=8)})
    await feed.keep(hidden, quiet, moved, old)
    await follow(world)
    assert await posts(rows) == []


async def test_a_private_project_is_told_in_its_own_chat_alone(feed, world, follow, place, connect, rows):
    await connect("workspace", world.id)
    own = await connect("project", place["private"])
    task = world.task(**of(place["private"]))
    await feed.keep(task)
    await follow(world)
    assert await posts(rows) == [(str(task.event_id), own)]


async def test_a_connection_that_is_turned_off_is_told_nothing(api, headers, feed, world, follow, place, connect, rows):
    found = await connect("workspace", world.id)
    await api.patch(f"{PATH}/{found}", json={"enabled": False}, headers=headers)
    await feed.keep(world.task(**of(place["opened"])))
    await follow(world)
    assert await posts(rows) == []


@pytest.mark.parametrize("scope", ["workspace", "project"])
async def test_what_was_here_before_a_connection_is_not_posted_however_late_it_is_followed(
    feed, world, follow, place, connect, rows, held_back, scope
):
    before, after = (world.task(**of(place["opened"])) for _ in range(2))
    async with held_back("chat", world.id):
        await feed.keep(before)
        found = await connect(scope, world.id if scope == "workspace" else place["opened"])
        await feed.keep(after)
    await follow(world)
    assert await posts(rows) == [(str(after.event_id), found)]


async def test_what_comes_late_of_before_a_connection_is_not_posted(feed, world, follow, place, connect, rows):
    found = await connect("workspace", world.id)
    new = world.task(**of(place["opened"]))
    old = world.task(**of(place["opened"]))
    await feed.keep(new, old.model_copy(update={"occurred_at": new.occurred_at - timedelta(minutes=2)}))
    await follow(world)
    assert await posts(rows) == [(str(new.event_id), found)]


@pytest.fixture
def telling(sending, channel):
    """Sends what is planned, as it is by then, to a channel that takes everything."""

    async def prepare(session, deliveries):
        connections = await find_all_unscoped(session, [one["target_id"] for one in deliveries])
        notices = await tell_events(session, deliveries, connections, tasks_url="https://app.example/tasks")
        return {
            one["id"]: Outgoing(
                one["id"], "chat", 1, None, None, [notices[one["id"]]], Person(one["user_id"], ""), collapse_key=None
            )
            if one["id"] in notices
            else "not_visible"
            for one in deliveries
        }

    @asynccontextmanager
    async def telling():
        async with sending(chat=channel, prepare=prepare):
            yield

    return telling


async def settled(rows, count):
    query = "SELECT state, reason FROM notifications.delivery WHERE state <> 'new'"

    async def all_settled():
        found = await rows(query)
        return found if len(found) == count else None

    return Counter(await eventually(all_settled))


async def test_k4_a_post_says_what_happened_to_what(feed, world, follow, place, connect, rows, telling, channel):
    await connect("workspace", world.id)
    task = world.task("Buy milk", **of(place["opened"]))
    task.data["resource"]["key"] = "HOME-1"
    await feed.keep(task)
    await follow(world)
    async with telling():
        assert await settled(rows, 1) == {("sent", None): 1}
    (notice,) = [one.notice for one in channel.messages]
    assert (notice.text, notice.link) == (
        "Somebody created HOME-1 Buy milk",
        f"https://app.example/tasks/{task.data['task_id']}",
    )


async def test_who_lost_sight_meanwhile_tells_nothing(feed, world, follow, place, connect, rows, me, telling, channel):
    await connect("workspace", world.id)
    await feed.keep(world.task(**of(place["opened"])))
    await follow(world)
    await feed.keep(world.leaves(me))
    async with telling():
        assert await settled(rows, 1) == {("skipped", "not_visible"): 1}
    assert channel.messages == []


async def test_what_is_deleted_for_good_meanwhile_is_not_told(
    feed, world, follow, place, connect, rows, telling, channel
):
    await connect("workspace", world.id)
    task = world.task(**of(place["opened"]))
    await feed.keep(task)
    await follow(world)
    gone = {"resource": task.data["resource"], "entity_type": "task", "task_id": task.data["task_id"]}
    await feed.keep(world.event("task.purged.v1", **of(place["opened"], **gone)))
    async with telling():
        assert await settled(rows, 1) == {("skipped", "not_visible"): 1}
    assert channel.messages == []


async def test_who_has_left_a_workspace_meanwhile_tells_nothing_of_it(
    feed, world, follow, place, connect, rows, me, telling, channel
):
    await connect("workspace", world.id, events=["member.added"])
    await feed.keep(world.joins(uuid7()))
    await follow(world)
    await feed.keep(world.leaves(me))
    async with telling():
        assert await settled(rows, 1) == {("skipped", "not_visible"): 1}
    assert channel.messages == []


async def test_what_has_become_private_meanwhile_is_not_told_to_all(
    feed, world, follow, place, connect, rows, telling, channel
):
    await connect("workspace", world.id)
    await feed.keep(world.task(**of(place["opened"])))
    await follow(world)
    await feed.keep(world.project(place["opened"], visibility="private"))
    async with telling():
        assert await settled(rows, 1) == {("skipped", "not_visible"): 1}
    assert channel.messages == []


def frame(kind, *fields, **data):
    return {"type": kind, "data": data, "changes": [{"field": one} for one in fields]}


def test_each_event_that_chats_are_told_of_has_a_sentence():
    assert set(SENTENCES) == set(EVENTS)
    assert all(any(wants_event([pattern], name) for name in EVENTS) for pattern in PATTERNS)
    assert not wants_event(["*"], "label.created")
    for name in EVENTS:
        assert "{" not in sentence_of(frame(name, "title"), who="Ada", task="HOME-1 {x}").replace("{x}", "")


def test_what_changed_is_said_in_words():
    assert sentence_of(frame("task.updated", "title", "due"), who="Ada", task="HOME-1 Milk") == (
        "Ada changed title, due of HOME-1 Milk"
    )
    many = [{"field": one} for one in ("title", "due", "priority", "status_id", "assignees")]
    assert fields_of(many) == "title, due, priority and 2 more"
    assert fields_of([]) == "something"
    assert not is_told(frame("task.updated", "position", "updated_at"))
    assert is_told(frame("task.created"))
