"""Scopes and filters (J1): what a reader asks for, what comes of it, and what ends it (J7)."""

import json
import random

import pytest
import websockets
from chassis.ids import uuid7


@pytest.fixture
async def scene(world, feed, tasks_api):
    """Ann, Bob, and two projects that both see."""
    return await Scene(world, feed).settle()


class Scene:
    def __init__(self, world, feed):
        self.world, self.feed = world, feed
        self.ann, self.bob = uuid7(), uuid7()
        self.one, self.two = uuid7(), uuid7()

    async def settle(self):
        world = self.world
        await self.feed.keep(
            world.joins(self.ann), world.joins(self.bob), world.project(self.one), world.project(self.two)
        )
        return self

    def task(self, title, project, event_type="task.created.v1", *, task_id=None, old=(), **fields):
        """Return an event of a task with these fields; `old` are fields as they were before."""
        task = task_id or str(uuid7())
        data = {"id": task, "title": title, "project_id": str(project), "workspace_id": str(self.world.id)}
        data |= {
            "priority": "none",
            "status": "todo",
            "assignees": [],
            "labels": [],
            "created_by": str(uuid7()),
        } | fields
        changes = [{"field": name, "old": value, "new": data[name]} for name, value in dict(old).items()]
        about = {"task_id": task, "project_id": str(project), "changes": changes}
        return self.world.event(event_type, entity_type="task", resource=data, **about)

    def comment(self, task, project, body="Hello", **fields):
        resource = {"id": str(uuid7()), "task_id": task, "body": body, "mentions": [], **fields}
        about = {"task_id": task, "project_id": str(project)}
        return self.world.event("comment.created.v1", entity_type="comment", resource=resource, **about)


def named(frames):
    return [(frame["data"] or {}).get("title") or (frame["data"] or {}).get("body") for frame in frames]


async def test_j1_the_first_subscription_narrows_and_others_widen(service, scene, feed, signer):
    async with service.reading(scene.ann) as reader:
        answer = await reader.ask({"type": "subscribe", "id": "one", "project": str(scene.one)})
        assert answer == {"type": "subscribed", "id": "one", "cursor": answer["cursor"]}
        assert signer.read_position(answer["cursor"])[scene.world.id] == scene.world.seq
        await feed.keep(scene.task("b", scene.two), scene.world.task("nowhere"), scene.task("a", scene.one))
        frame = await reader.frame()
        assert (named([frame]), frame["subscriptions"]) == (["a"], ["one"])
        assert await reader.is_idle()
        await reader.ask({"type": "subscribe", "id": "all", "workspace": str(scene.world.id)})
        await feed.keep(scene.task("c", scene.one), scene.task("d", scene.two))
        first, second = await reader.frames(2)
        assert (named([first]), sorted(first["subscriptions"])) == (["c"], ["all", "one"])
        assert (named([second]), second["subscriptions"]) == (["d"], ["all"])
        assert await reader.ask({"type": "unsubscribe", "id": "all"}) == {"type": "unsubscribed", "id": "all"}
        answer = await reader.ask({"type": "unsubscribe", "project": str(scene.one)})
        assert answer == {"type": "unsubscribed", "id": "one"}
        await reader.ask({"type": "subscribe", "project": str(scene.two)})
        await feed.keep(scene.task("e", scene.one), scene.task("f", scene.two))
        assert named(await reader.frames(1)) == ["f"]
        assert await reader.is_idle()


async def test_j1_a_task_and_what_hangs_on_it(service, scene, feed, tasks_api):
    task = str(uuid7())
    tasks_api.shows(scene.ann, task, workspace_id=scene.world.id, project_id=scene.one)
    async with service.reading(scene.ann, query={"scopes": f"task:{task}"}) as reader:
        await feed.keep(
            scene.task("mine", scene.one, "task.updated.v1", task_id=task),
            scene.task("other", scene.one),
            scene.comment(task, scene.one, "on it"),
            scene.comment(str(uuid7()), scene.one, "elsewhere"),
            scene.world.relation(scene.one, scene.two, tasks=(str(uuid7()), task)),
        )
        frames = await reader.frames(3)
        assert named(frames[:2]) == ["mine", "on it"]
        assert frames[2]["type"] == "relation.created"
        assert all("subscriptions" not in frame for frame in frames)
        assert await reader.is_idle()


async def test_j1_me_is_what_is_mine(service, scene, feed, tell):
    """What is told to me alone, and what happens to tasks that are mine in whatever way."""
    ann, bob = str(scene.ann), str(scene.bob)
    made, done, watched, mentioned = (str(uuid7()) for _ in range(4))
    watching = {"id": str(uuid7()), "task_id": watched, "user_id": ann}
    async with service.reading(scene.ann, query={"scopes": "me"}) as reader:
        await tell(scene.ann, "told")
        assert [(await reader.frame())["data"]["text"]] == ["told"]
        await feed.keep(
            scene.task("not mine", scene.one, assignees=[bob], created_by=bob),
            scene.task("made", scene.one, task_id=made, created_by=ann),
            scene.task("mine", scene.one, task_id=done, assignees=[ann, bob]),
            scene.comment(made, scene.one, "on made"),
            scene.comment(done, scene.one, "on mine"),
            scene.task("no more", scene.one, "task.updated.v1", task_id=done, old={"assignees": [ann, bob]}),
            scene.task("whose", scene.one, "task.updated.v1", task_id=done),
            scene.world.event(
                "watcher.added.v1", entity_type="watcher", resource=watching, task_id=watched, audience=[scene.ann]
            ),
            scene.comment(watched, scene.one, "on what I watch"),
            scene.comment(mentioned, scene.one, "hello Ann", mentions=[ann]),
            scene.comment(mentioned, scene.one, "not for Ann"),
            scene.world.event(
                "star.added.v1", entity_type="star", resource={"id": str(uuid7()), "body": "star"}, audience=[scene.ann]
            ),
        )
        frames = await reader.frames(9)
        assert named(frames[:3]) == ["made", "mine", "on made"]
        assert named(frames[3:]) == ["on mine", "no more", None, "on what I watch", "hello Ann", "star"]
        assert await reader.is_idle()


async def test_j1_a_filter_gives_what_fits_and_what_leaves(service, scene, feed):
    task = str(uuid7())
    async with service.reading(scene.ann) as reader:
        subscribe = {"type": "subscribe", "id": "urgent", "workspace": str(scene.world.id)}
        await reader.ask({**subscribe, "filter": "priority >= high"})
        await feed.keep(
            scene.task("low", scene.one, task_id=task, priority="low"),
            scene.comment(task, scene.one, "on low"),
            scene.task(
                "raised", scene.one, "task.updated.v1", task_id=task, priority="urgent", old={"priority": "low"}
            ),
            scene.comment(task, scene.one, "on urgent"),
            scene.task(
                "lowered", scene.one, "task.updated.v1", task_id=task, priority="low", old={"priority": "urgent"}
            ),
            scene.comment(task, scene.one, "on low again"),
            scene.task("high", scene.one, task_id=task, priority="high"),
            scene.task("high", scene.one, "task.deleted.v1", task_id=task, priority="high"),
            scene.world.project(scene.two),
        )
        frames = await reader.frames(5)
        assert named(frames) == ["raised", "on urgent", "lowered", "high", "high"]
        assert [frame.get("left_filter", False) for frame in frames] == [False, False, True, False, True]
        assert frames[-1]["removed"] == {"reason": "deleted"}
        assert {tuple(frame["subscriptions"]) for frame in frames} == {("urgent",)}
        assert await reader.is_idle()


async def test_j1_of_several_subscriptions_those_are_named_that_it_leaves(service, scene, feed):
    async with service.reading(scene.ann) as reader:
        where = {"type": "subscribe", "workspace": str(scene.world.id)}
        for name, filter_ in (("high", "priority = high"), ("low", {"field": "priority", "op": "=", "value": "low"})):
            await reader.ask({**where, "id": name, "filter": filter_})
        await feed.keep(scene.task("both", scene.one, "task.updated.v1", priority="low", old={"priority": "high"}))
        frame = await reader.frame()
        assert (frame["subscriptions"], frame["left_subscriptions"]) == (["low"], ["high"])
        assert "left_filter" not in frame


async def test_j1_a_filter_in_the_address(service, scene, feed, signer):
    beginning = signer.position({scene.world.id: scene.world.seq})
    await feed.keep(*(scene.task(name, scene.one, priority=name) for name in ("low", "high", "none", "urgent")))
    query = {"scopes": f"project:{scene.one}", "filter": "priority >= high", "tz": "Europe/Berlin"}
    async with service.reading(scene.ann, beginning, query=query) as reader:
        assert named(await reader.frames(2)) == ["high", "urgent"]
        assert await reader.is_idle()
    async with service.reading(scene.ann, beginning, query={"filter": "priority = none"}) as reader:
        assert named(await reader.frames(1)) == ["none"]
        assert await reader.is_idle()


async def refused(service, user, query):
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await service.open(user, query=query)
    answer = refusal.value.response
    return answer.status_code, json.loads(answer.body)["errors"][0]["code"], answer.body


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"scopes": ""}, 422, "UNKNOWN_SCOPE"),
        ({"scopes": "you"}, 422, "UNKNOWN_SCOPE"),
        ({"scopes": "task:1"}, 422, "UNKNOWN_SCOPE"),
        ({"scopes": f"tasks:{uuid7()}"}, 422, "UNKNOWN_SCOPE"),
        ({"scopes": ",".join(f"task:{uuid7()}" for _ in range(51))}, 422, "TOO_MANY_SUBSCRIPTIONS"),
        ({"filter": "priority"}, 400, "INVALID_FILTER"),
        ({"filter": "is_starred = true"}, 422, "UNKNOWN_FIELD"),
        ({"filter": "a = 1 and " * 500}, 400, "FILTER_TOO_COMPLEX"),
        ({"filter": "due = today()", "tz": "Nowhere"}, 422, "UNKNOWN_TIMEZONE"),
        ({"tz": "Nowhere", "scopes": "me"}, 422, "UNKNOWN_TIMEZONE"),
    ],
)
async def test_an_address_that_can_not_be_followed(service, query, status, code):
    assert (await refused(service, uuid7(), query))[:2] == (status, code)


async def test_what_is_hidden_is_refused_as_what_is_not(service, scene, feed, world, test_gateway):
    """In the address and in messages, byte for byte."""
    elsewhere, secret = type(world)(), uuid7()
    await feed.keep(elsewhere.joins(scene.bob), scene.world.project(secret, visibility="private"))
    hidden = [("workspace", elsewhere.id), ("project", secret), ("task", uuid7()), ("workspace", scene.ann)]
    absent = [("workspace", uuid7()), ("project", uuid7()), ("task", uuid7())]
    bodies = set()
    for kind, name in (*hidden, *absent):
        status, code, body = await refused(service, scene.ann, {"scopes": f"me,{kind}:{name}"})
        assert (status, code) == (404, "NOT_FOUND")
        told = json.loads(body)
        told["meta"].pop("request_id")
        bodies.add(json.dumps(told))
    assert len(bodies) == 1
    async with service.reading(scene.ann) as reader:
        answers = [
            await reader.ask({"type": "subscribe", "id": "x", kind: str(name)}) for kind, name in hidden + absent
        ]
        assert len({json.dumps(one) for one in answers}) == 1
        assert (answers[0]["type"], answers[0]["id"], answers[0]["code"]) == ("error", "x", "NOT_FOUND")
        await feed.keep(scene.task("still everything", scene.one))
        assert named(await reader.frames(1)) == ["still everything"]
    headers = test_gateway.token_headers(scene.ann, "tasks:read", project_ids=[scene.two])
    with pytest.raises(websockets.InvalidStatus):
        await service.open(scene.ann, headers=headers, query={"scopes": f"project:{scene.one}"})


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"type": "subscribe"}, "ONE_SCOPE", None),
        ({"type": "subscribe", "me": True, "task": str(uuid7())}, "ONE_SCOPE", None),
        ({"type": "subscribe", "me": False}, "NOT_ALLOWED", "me"),
        ({"type": "subscribe", "me": 1}, "WRONG_TYPE", "me"),
        ({"type": "subscribe", "me": True, "filter": 10**30}, "NUMBER_OUT_OF_RANGE", None),
        ({"type": "subscribe", "task": "A-1"}, "INVALID_ID", "task"),
        ({"type": "subscribe", "me": True, "filters": "x = 1"}, "UNKNOWN_FIELD", "filters"),
        ({"type": "subscribe", "me": True, "id": "x" * 65}, "TOO_LONG", "id"),
        ({"type": "subscribe", "me": True, "id": ""}, "TOO_SHORT", "id"),
        ({"type": "subscribe", "me": True, "tz": "\0"}, "NULL_CHARACTER", "tz"),
        ({"type": "subscribe", "me": True, "id": 7}, "WRONG_TYPE", "id"),
        ({"type": "subscribe", "me": True, "filter": 7}, "WRONG_TYPE", "filter"),
        ({"type": "subscribe", "me": True, "filter": "x = 1"}, "UNKNOWN_FIELD", "filter"),
        ({"type": "subscribe", "me": True, "filter": {"and": []}}, "INVALID_FILTER", "filter"),
        ({"type": "subscribe", "me": True, "tz": "Mars/Base"}, "UNKNOWN_TIMEZONE", "tz"),
        ({"type": "unsubscribe"}, "ONE_SCOPE", None),
        ({"type": "unsubscribe", "id": "nothing"}, "NOT_FOUND", None),
        ({"type": "unsubscribe", "me": True}, "NOT_FOUND", None),
    ],
)
async def test_r28_a_message_that_can_not_be_followed(service, message, code, field):
    async with service.reading(uuid7()) as reader:
        answer = await reader.ask(message)
        assert (answer["type"], answer["code"]) == ("error", code)
        named = message.get("id") if isinstance(message.get("id"), str) else None
        assert answer["id"] == named
        assert answer["errors"][0]["field"] == field
        assert await reader.is_idle()


async def test_r28_a_message_with_a_wrong_field_is_told_which_there_are(service):
    async with service.reading(uuid7()) as reader:
        answer = await reader.ask({"type": "unsubscribe", "scope": "me"})
        assert answer["errors"] == [
            {
                "field": "scope",
                "code": "UNKNOWN_FIELD",
                "message": "There is no such field here.",
                "allowed": ["id", "workspace", "project", "task", "me", "type"],
            }
        ]


async def test_r54_fifty_subscriptions_and_no_more(service, scene, feed, tasks_api):
    tasks = [str(uuid7()) for _ in range(49)]
    for task in tasks:
        tasks_api.shows(scene.ann, task, workspace_id=scene.world.id, project_id=scene.one)
    scopes = ",".join(["me", *(f"task:{one}" for one in tasks), "me"])
    async with service.reading(scene.ann, query={"scopes": scopes}) as reader:
        wider = {"type": "subscribe", "id": "p", "project": str(scene.one)}
        answer = await reader.ask(wider)
        assert (answer["type"], answer["code"]) == ("error", "TOO_MANY_SUBSCRIPTIONS")
        assert (await reader.ask({"type": "subscribe", "me": True, "filter": "priority = low"}))["type"] == "subscribed"
        assert (await reader.ask({"type": "unsubscribe", "me": True})) == {"type": "unsubscribed", "id": None}
        assert (await reader.ask(wider))["type"] == "subscribed"
        await feed.keep(scene.task("once", scene.one, task_id=tasks[-1]))
        assert (await reader.frame())["subscriptions"] == ["p"]
        assert await reader.is_idle()


async def test_j7_a_project_that_is_lost_ends_its_subscription(service, scene, feed):
    """A project that becomes private, and one whose role is taken away."""
    secret = uuid7()
    await feed.keep(
        scene.world.project(secret, visibility="private"), scene.world.role_in(secret, scene.ann, audience=[scene.ann])
    )
    async with service.reading(scene.ann) as reader:
        for name, project in (("one", scene.one), ("secret", secret), ("two", scene.two)):
            answer = await reader.ask({"type": "subscribe", "id": name, "project": str(project)})
            assert answer["type"] == "subscribed"
        changes = [{"field": "visibility", "old": "workspace", "new": "private"}]
        await feed.keep(
            scene.world.project(scene.one, visibility="private", changes=changes, audience=[], lost_by=[str(scene.ann)])
        )
        assert (await reader.frame(seconds=1))["removed"] == {"reason": "access_lost"}
        revoked = await reader.frame(seconds=1)
        assert revoked == {
            "type": "subscription_revoked",
            "project_id": str(scene.one),
            "id": "one",
            "cursor": revoked["cursor"],
        }
        await feed.keep(scene.world.role_in(secret, scene.ann, "removed", audience=[scene.ann]))
        assert (await reader.frame(seconds=1))["type"] == "project_member.removed"
        revoked = await reader.frame(seconds=1)
        assert (revoked["type"], revoked["project_id"]) == ("subscription_revoked", str(secret))
        await feed.keep(scene.task("gone", secret, audience=[scene.bob]), scene.task("seen", scene.two))
        assert named(await reader.frames(1)) == ["seen"]
        assert await reader.is_idle()


async def test_j7_a_role_that_sees_less_ends_what_it_does_not_see(service, scene, feed):
    """A member who becomes a guest sees no project any more but those with a role."""
    await feed.keep(scene.world.role_in(scene.two, scene.ann))
    async with service.reading(scene.ann) as reader:
        for project in (scene.one, scene.two):
            assert (await reader.ask({"type": "subscribe", "project": str(project)}))["type"] == "subscribed"
        await reader.ask({"type": "subscribe", "workspace": str(scene.world.id)})
        await feed.keep(scene.world.becomes(scene.ann, "guest"))
        assert (await reader.frame())["type"] == "member.updated"
        revoked = await reader.frame(seconds=1)
        assert (revoked["type"], revoked["project_id"]) == ("subscription_revoked", str(scene.one))
        await feed.keep(scene.task("two", scene.two))
        assert named(await reader.frames(1)) == ["two"]
        assert await reader.is_idle()


async def test_j7_a_task_that_is_lost_ends_its_subscription(service, scene, feed, tasks_api):
    """One that is shared no more, and one that moves to where the reader does not see it."""
    secret, shared, moved = uuid7(), str(uuid7()), str(uuid7())
    await feed.keep(scene.world.project(secret, visibility="private"), scene.world.share(shared, scene.ann))
    tasks_api.shows(scene.ann, shared, workspace_id=scene.world.id, project_id=secret)
    tasks_api.shows(scene.ann, moved, workspace_id=scene.world.id, project_id=scene.one)
    async with service.reading(scene.ann, query={"scopes": f"task:{shared},task:{moved}"}) as reader:
        await feed.keep(scene.world.share(shared, scene.ann, "removed", audience=[scene.ann]))
        assert (await reader.frame())["type"] == "task_share.removed"
        revoked = await reader.frame(seconds=1)
        assert revoked == {"type": "subscription_revoked", "task_id": shared, "cursor": revoked["cursor"]}
        move = {"task_id": moved, "old": {"project_id": str(scene.two)}}
        await feed.keep(scene.task("here", scene.one, "task.moved.v1", **move))
        assert named(await reader.frames(1)) == ["here"]
        away = {"task_id": moved, "old": {"project_id": str(scene.one)}, "audience": [scene.bob]}
        event = scene.task("away", secret, "task.moved.v1", task_id=moved, old=away["old"])
        event.data.update(audience=[str(scene.bob)], lost_by=[str(scene.ann)])
        await feed.keep(event)
        assert (await reader.frame())["removed"] == {"reason": "access_lost"}
        revoked = await reader.frame(seconds=1)
        assert (revoked["type"], revoked["task_id"]) == ("subscription_revoked", moved)
        assert await reader.is_idle()


async def test_j7_a_workspace_that_is_lost_ends_all_of_it(service, scene, feed, signer):
    async with service.reading(scene.ann) as reader:
        await reader.ask({"type": "subscribe", "id": "w", "workspace": str(scene.world.id)})
        await reader.ask({"type": "subscribe", "id": "p", "project": str(scene.one)})
        await reader.ask({"type": "subscribe", "id": "me", "me": True})
        await feed.keep(scene.world.leaves(scene.ann, is_told=True), scene.task("after", scene.one))
        frame = await reader.frame()
        assert (frame["type"], frame["data"], frame["removed"]) == ("member.removed", None, {"reason": "access_lost"})
        revoked = await reader.frames(2)
        assert [one["type"] for one in revoked] == ["subscription_revoked"] * 2
        assert {one["id"] for one in revoked} == {"w", "p"}
        assert signer.read_position(revoked[-1]["cursor"]) == {scene.ann: 0}
        assert await reader.is_idle()


async def test_j3_a_workspace_that_was_lost_meanwhile_is_told_to_who_comes_back(service, scene, feed, signer):
    """Once, to who knew of it by the cursor; and it is nothing to subscribe to any more."""
    async with service.reading(scene.ann) as reader:
        await feed.keep(scene.task("before", scene.one))
        cursor = (await reader.frame())["cursor"]
    missed = scene.task("missed", scene.one)
    await feed.keep(missed, scene.world.leaves(scene.ann, is_told=True), scene.task("after", scene.one))
    query = {"cursor": cursor, "scopes": f"workspace:{scene.world.id}"}
    assert (await refused(service, scene.ann, query))[:2] == (404, "NOT_FOUND")
    async with service.reading(scene.ann, cursor) as reader:
        gone, revoked = await reader.frames(2)
        assert (gone["type"], gone["data"], gone["removed"]) == ("member.removed", None, {"reason": "access_lost"})
        assert (revoked["type"], revoked["workspace_id"]) == ("subscription_revoked", str(scene.world.id))
        assert signer.read_position(revoked["cursor"]) == {scene.ann: 0}
        assert await reader.is_idle()
    async with service.reading(scene.ann, cursor, query={"scopes": "me"}) as reader:
        assert (await reader.frame())["type"] == "subscription_revoked"
        assert await reader.is_idle()
    for told in (gone["cursor"], revoked["cursor"]):
        async with service.reading(scene.ann, told) as reader:
            assert await reader.is_idle()
    # Who is in it again since then has missed a time, and is told when that began.
    await feed.keep(scene.world.joins(scene.ann), scene.task("again", scene.one))
    async with service.reading(scene.ann, cursor) as reader:
        frames = await reader.frames(4)
        assert [one["type"] for one in frames] == ["task.created", "member.removed", "member.added", "task.created"]
        assert await reader.is_idle()


async def test_j3_a_cursor_of_some_scopes_is_one_of_everything(service, scene, feed):
    """What was passed over is not missed by who asks for it later."""
    async with service.reading(scene.ann, query={"scopes": f"project:{scene.one}"}) as reader:
        await feed.keep(scene.task("a", scene.one), scene.task("b", scene.two), scene.task("c", scene.one))
        first, second = await reader.frames(2)
    async with service.reading(scene.ann, first["cursor"]) as again:
        assert named(await again.frames(2)) == ["b", "c"]
    async with service.reading(scene.ann, second["cursor"]) as again:
        assert await again.is_idle()


PRIORITIES = ["none", "low", "medium", "high", "urgent"]


def is_wanted(scope, name, filter_, event, user):
    """Say by plain Python whether an event fits a subscription: None, or whether it is there or has left."""
    data = event.data["resource"]
    scopes = {("project", event.data["project_id"]), ("task", event.data["task_id"])}
    scopes.add(("workspace", event.data["workspace_id"]))
    former = {one["field"]: one["old"] for one in event.data["changes"]}
    people = {*data["assignees"], *former.get("assignees", []), data["created_by"]}
    if (scope, name) not in scopes and not (scope == "me" and user in people):
        return None
    if filter_ is None:
        return True
    place, before = (PRIORITIES.index(one) for one in (data["priority"], former.get("priority", data["priority"])))
    wanted = PRIORITIES.index(filter_)
    if place >= wanted:
        return True
    return False if before >= wanted else None


async def test_j1_sixty_random_sets_of_subscriptions_against_a_plain_model(start, scene, feed, world):
    rng = random.Random(11)
    ann, bob = str(scene.ann), str(scene.bob)
    tasks = [str(uuid7()) for _ in range(4)]
    events = [
        scene.task(
            f"{number}",
            rng.choice([scene.one, scene.two]),
            "task.updated.v1",
            task_id=rng.choice(tasks),
            priority=rng.choice(PRIORITIES),
            assignees=rng.choice([[], [ann], [bob], [bob, ann]]),
            created_by=rng.choice([ann, bob]),
            old={"priority": rng.choice(PRIORITIES), "assignees": rng.choice([[], [ann]])},
        )
        for number in range(30)
    ]
    choices = [("me", None), ("workspace", str(world.id)), *(("task", one) for one in tasks[:2])]
    choices += [("project", str(scene.one)), ("project", str(scene.two))]
    async with start(max_sockets_per_user=100) as service:
        readers = []
        for _ in range(60):
            reader = await service.open(scene.ann)
            await reader.ready()
            wanted = [(*rng.choice(choices), rng.choice([None, *PRIORITIES])) for _ in range(rng.randint(1, 5))]
            taken = []
            for number, (scope, name, filter_) in enumerate(wanted):
                if scope == "task":
                    continue
                message = {"type": "subscribe", "id": str(number), scope: True if scope == "me" else name}
                message |= {} if filter_ is None else {"filter": f"priority >= {filter_}"}
                assert (await reader.ask(message))["type"] == "subscribed"
                taken.append((str(number), scope, name, filter_))
            readers.append((reader, taken))
        await feed.keep(*events)
        for reader, taken in readers:
            for event in events:
                fits = {one: is_wanted(*rest, event, ann) for one, *rest in taken}
                there = [one for one, fit in fits.items() if fit]
                left = [one for one, fit in fits.items() if fit is False]
                if taken and not (there or left):
                    continue
                frame = await reader.frame()
                assert frame["event_id"] == str(event.event_id)
                assert sorted(frame.get("subscriptions", [])) == sorted(there or left)
                assert frame.get("left_filter", False) == (bool(left) and not there)
                assert sorted(frame.get("left_subscriptions", [])) == sorted(left if there else [])
            assert await reader.is_idle()
            await reader.socket.close()


CARD = (
    "INSERT INTO notifications.task_card (task_id, workspace_id, project_id, version, seq, data)"
    " VALUES (:t, :w, :p, 1, 1, CAST(:data AS jsonb))"
)
WATCHES = "INSERT INTO notifications.watcher (task_id, user_id, is_watching, is_muted) VALUES (:t, :u, :is, false)"


async def test_j1_a_task_of_long_ago_is_known_by_its_card(service, scene, feed, rows, tasks_api):
    """Its scope, the filters that it fits, and who watches it, without a question to anybody."""
    tasks = [uuid7() for _ in range(3)]
    for task, priority in zip(tasks, ("high", "low", "none"), strict=True):
        data = {"workspace_id": str(scene.world.id), "project_id": str(scene.one), "priority": priority}
        await rows(CARD, t=task, w=scene.world.id, p=scene.one, data=json.dumps({"id": str(task), **data}))
    await rows(WATCHES, t=tasks[1], u=scene.ann, **{"is": True})
    await rows(WATCHES, t=tasks[2], u=scene.ann, **{"is": False})
    async with service.reading(scene.ann) as reader:
        tasks_api.calls.clear()
        for message in (
            {"id": "task", "task": str(tasks[2])},
            {"id": "high", "workspace": str(scene.world.id), "filter": "priority >= medium"},
            {"id": "me", "me": True},
        ):
            assert (await reader.ask({"type": "subscribe", **message}))["type"] == "subscribed"
        assert tasks_api.calls == []
        await feed.keep(*(scene.comment(str(task), scene.one, f"{n}") for n, task in enumerate([uuid7(), *tasks])))
        frames = await reader.frames(3)
        assert [(one["data"]["body"], one["subscriptions"]) for one in frames] == [
            ("1", ["high"]),
            ("2", ["me"]),
            ("3", ["task"]),
        ]
        secret = uuid7()
        await feed.keep(scene.world.project(secret, visibility="private"))
        hidden = uuid7()
        data = {"workspace_id": str(scene.world.id), "project_id": str(secret)}
        await rows(CARD, t=hidden, w=scene.world.id, p=secret, data=json.dumps(data))
        answer = await reader.ask({"type": "subscribe", "task": str(hidden)})
        assert (answer["type"], answer["code"]) == ("error", "NOT_FOUND")


async def test_j1_what_one_is_told_of_a_task_is_filtered_by_the_task_as_it_is_then(service, scene, tell, rows):
    """What happens to a task is in its workspace's stream, and not in one's own: nothing is remembered there."""
    task, urgent = uuid7(), uuid7()
    place = {"workspace_id": scene.world.id, "project_id": scene.one}
    data = {**{name: str(value) for name, value in place.items()}, "id": str(task), "priority": "low"}
    high = json.dumps({**data, "priority": "high"})
    await rows(CARD, t=task, w=scene.world.id, p=scene.one, data=json.dumps(data))
    await rows(CARD, t=urgent, w=scene.world.id, p=scene.one, data=high)
    async with service.reading(scene.ann, query={"scopes": "me", "filter": "priority >= high"}) as reader:
        await tell(scene.ann, "while it is low", **place, task_id=task)
        # What comes after it shows that it was judged.
        await tell(scene.ann, "of another", **place, task_id=urgent)
        assert (await reader.frame())["data"]["text"] == "of another"
        await rows(
            "UPDATE notifications.task_card SET data = CAST(:data AS jsonb) WHERE task_id = :t", t=task, data=high
        )
        await tell(scene.ann, "while it is high", **place, task_id=task)
        assert (await reader.frame())["data"]["text"] == "while it is high"
