"""Which events go to which webhooks: what its owner sees, within its scope, that it asked for; each once."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.following.runner import FollowerRunner
from notifications_service.webhook_deliveries.service import plan_deliveries
from notifications_service.worker import WEBHOOKS
from sqlalchemy import text
from testkit.statements import statements_seen
from testkit.waiting import eventually

ME = {"type": "user"}


@pytest.fixture
def of(place):
    return {
        "workspace": {"type": "workspace", "id": str(place.workspace)},
        "project": {"type": "project", "id": str(place.project)},
        "private": {"type": "project", "id": str(place.private)},
    }


@pytest.fixture
def everybody(place):
    return [user for name, user in place.people.items() if name != "stranger"]


@pytest.fixture
def events(owner):
    async def told(webhook, caller=owner):
        """Return the ids of events that have a delivery to a webhook, in order."""
        return [one["event_id"] for one in reversed(await caller.deliveries(webhook))]

    return told


def ids(*events):
    return [str(one.event_id) for one in events]


def in_a_minute(event):
    return event.model_copy(update={"occurred_at": event.occurred_at + timedelta(minutes=1)})


async def test_k6_a_webhook_of_a_workspace_gets_everything_in_it_once(owner, of, world, place, keep, events):
    webhook = await owner.create(scope=of["workspace"])
    told = [world.task(), world.task(project_id=str(place.project)), world.project(place.project)]
    await keep(*told)
    await keep(*told)
    assert await events(webhook) == ids(*told)
    found = (await owner.deliveries(webhook))[0]
    assert found == {
        **found,
        "event": "project.updated",
        "kind": "event",
        "state": "pending",
        "attempt_count": 0,
        "status": None,
        "reason": None,
        "settled_at": None,
    }
    assert (await owner.get(f"/{webhook['id']}")).json()["data"]["last_delivery"] == {
        "id": found["id"],
        "event": "project.updated",
        "state": "pending",
        "status": None,
        "created_at": found["created_at"],
    }


async def test_k6_scopes_narrow_what_a_webhook_gets(acting, of, world, place, keep, events):
    manager = acting("manager")
    inside, private = await manager.create(scope=of["project"]), await manager.create(scope=of["private"])
    mine = await manager.create(scope=ME)
    loose, first, second = (
        world.task(),
        world.task(project_id=str(place.project)),
        world.task(project_id=str(place.private)),
    )
    await keep(loose, first, second)
    assert await events(inside, manager) == ids(first)
    assert await events(private, manager) == ids(second)
    assert await events(mine, manager) == ids(loose, first, second)


async def test_k6_a_webhook_gets_what_its_owner_was_told_and_sees_now(
    acting, of, world, place, keep, events, everybody
):
    webhooks = {name: await acting(name).create(scope=ME) for name in ("owner", "member", "manager", "stranger")}
    managers = [place.people["owner"], place.people["manager"]]
    alone = world.task("A secret", audience=[place.people["member"]])
    private = world.task("Private", project_id=str(place.private), audience=managers)
    told_too_much = world.task("Told by mistake", project_id=str(place.private), audience=everybody)
    # Something that a member may have lost sight by has come since.
    await keep(alone, private, told_too_much, world.project(place.private, visibility="private", audience=managers))
    assert await events(webhooks["member"], acting("member")) == ids(alone)
    for name in ("owner", "manager"):
        assert (await events(webhooks[name], acting(name)))[:2] == ids(private, told_too_much)
    assert await events(webhooks["stranger"], acting("stranger")) == []


async def test_k6_a_relation_needs_both_ends(acting, of, world, place, keep, events, everybody):
    inside, all_of_it = await acting("manager").create(scope=of["project"]), await acting("owner").create(scope=ME)
    member = await acting("member").create(scope=ME)
    relation = world.relation(place.project, place.private, audience=everybody)
    await keep(relation)
    assert await events(all_of_it) == ids(relation)
    assert await events(inside, acting("manager")) == []
    assert await events(member, acting("member")) == []


async def test_k7_who_is_told_before_it_is_known_to_see_is_sent_it(
    acting, world, feed, keep, events, place, receiver, send
):
    """What is made comes before who is in it: a workspace before its owner, a private project before its members."""
    member = acting("member")
    webhook = await member.create(receiver, scope=ME)
    user = place.people["member"]
    project = uuid7()
    made = world.project(project, visibility="private", audience=[user])
    await keep(made)
    other = type(world)()
    begun = other.event(
        "workspace.created.v1", entity_type="workspace", resource={"id": str(other.id)}, audience=[user]
    )
    await feed.keep(begun)

    async def came():
        return await events(webhook, member) == ids(made, begun)

    await eventually(came)
    assert await send() == 2
    assert sorted(receiver.ids) == sorted(ids(made, begun))
    lost = world.task(project_id=str(project), audience=[user])
    await keep(lost)
    await keep(world.role_in(project, user, "removed", audience=[user]))
    await send()
    assert str(lost.event_id) not in receiver.ids


async def test_k12_names_and_patterns(owner, of, world, keep, events):
    exact = await owner.create(scope=of["workspace"], events=["task.updated"])
    kind = await owner.create(scope=of["workspace"], events=["task.*", "comment.created"])
    made, changed = world.task(), world.task(event_type="task.updated.v1")
    moved = world.event(
        "task_share.added.v1",
        entity_type="task_share",
        resource={"id": str(uuid7()), "task_id": str(uuid7()), "user_id": str(uuid7())},
    )
    await keep(made, changed, moved)
    assert await events(exact) == ids(changed)
    assert await events(kind) == ids(made, changed)


async def test_k12_changed_fields(owner, of, world, keep, events):
    webhook = await owner.create(scope=of["workspace"], changed_fields=["status", "due"])
    other = {"changes": [{"field": "title", "old": "a", "new": "b"}]}
    wanted = {"changes": [{"field": "title", "old": "a", "new": "b"}, {"field": "due", "old": None, "new": None}]}
    hit = world.task(event_type="task.updated.v1", **wanted)
    await keep(world.task(), world.task(event_type="task.updated.v1", **other), hit)
    assert await events(webhook) == ids(hit)


async def test_k12_projects_and_what_leaves_them(owner, of, world, place, keep, events):
    webhook = await owner.create(scope=of["workspace"], project_ids=[str(place.project)])
    inside = world.task(project_id=str(place.project))
    left = world.task(
        event_type="task.moved.v1",
        project_id=str(place.private),
        changes=[{"field": "project_id", "old": str(place.project), "new": str(place.private)}],
    )
    await keep(world.task(), world.task(project_id=str(place.private)), inside, left)
    assert await events(webhook) == ids(inside, left)
    shown = await owner.delivery(webhook, (await owner.deliveries(webhook))[0])
    gone = shown["request"]["body"]["data"]
    assert (gone["data"], gone["changes"], gone["removed"]) == (None, [], {"reason": "access_lost"})
    assert gone["project_id"] == str(place.project)


async def test_k12_filters_and_what_leaves_them(owner, of, world, keep, events, place):
    webhook = await owner.create(scope=of["workspace"], filter="priority = high and assignee = me")

    def task(priority, who, event_type="task.created.v1", changes=()):
        told = world.event(
            event_type,
            entity_type="task",
            resource={"id": str(uuid7()), "title": "x", "priority": priority, "assignees": [str(who)]},
            changes=[*changes],
        )
        return told.model_copy(update={"data": {**told.data, "task_id": told.data["entity_id"]}})

    mine, other = place.people["owner"], place.people["admin"]
    hit = task("high", mine)
    left = task("low", mine, "task.updated.v1", [{"field": "priority", "old": "high", "new": "low"}])
    await keep(hit, task("high", other), task("low", mine), left, world.project(place.project))
    assert await events(webhook) == ids(hit, left)


async def test_k12_what_hangs_on_a_task_is_filtered_by_it(owner, of, world, keep, events, rows):
    webhook = await owner.create(scope=of["workspace"], filter="priority = high")
    task, other = str(uuid7()), str(uuid7())
    for one, priority in ((task, "high"), (other, "low")):
        await rows(
            "INSERT INTO notifications.task_card (task_id, workspace_id, project_id, version, seq, data)"
            " VALUES (:t, :w, :w, 1, 1, jsonb_build_object('priority', CAST(:p AS text)))",
            t=one,
            w=world.id,
            p=priority,
        )

    def comment(on):
        said = {"id": str(uuid7()), "body": "words", "task_id": on}
        return world.event("comment.created.v1", entity_type="comment", resource=said, task_id=on)

    hit = comment(task)
    await keep(hit, comment(other), comment(str(uuid7())))
    assert await events(webhook) == ids(hit)


async def test_k6_nothing_while_disabled_deleted_or_its_owner_gone(acting, owner, of, world, keep, events, rows, place):
    off = await owner.create(scope=of["workspace"], enabled=False)
    gone = await owner.create(scope=of["workspace"])
    await owner.delete(f"/{gone['id']}")
    orphan = await acting("admin").create(scope=of["workspace"])
    await rows(
        "INSERT INTO notifications.person (user_id, kind, status, email_verified, version)"
        " VALUES (:u, 'human', 'deactivated', false, 1)",
        u=place.people["admin"],
    )
    await keep(world.task())
    assert await events(off) == []
    assert await events(orphan, acting("admin")) == []
    assert await rows("SELECT count(*) FROM notifications.webhook_delivery") == [(0,)]


async def test_k6_a_removed_owner_hears_that_and_nothing_from_then_on(
    acting, owner, of, world, keep, events, place, rows
):
    webhook = await acting("admin").create(scope=of["workspace"])
    before = world.task()
    await keep(before)
    everybody = [*world.members]
    leaves = world.leaves(place.people["admin"], is_told=True)
    await keep(leaves, world.task(audience=everybody))
    assert await events(webhook, acting("admin")) == ids(before, leaves)


async def test_k9_events_of_ones_own_stream_go_to_ones_own_webhooks(
    owner, of, tell, database, place, following, events
):
    mine, shared = await owner.create(scope=ME), await owner.create(scope=of["workspace"])
    user = place.people["owner"]
    last = await tell(user, "Hello")
    await tell(user, "Disabled", event_type="webhook.disabled.v1")

    class Stream:
        id, seq = user, last + 1

    await following(Stream())
    assert [one["event"] for one in await owner.deliveries(mine)] == ["webhook.disabled"]
    assert await events(shared) == []


async def test_k6_a_batch_costs_as_many_statements_whatever_is_in_it(
    owner, acting, of, world, feed, database, place, everybody
):
    query = text("SELECT * FROM notifications.stream_event WHERE workspace_id = :w ORDER BY seq DESC LIMIT :n")

    async def cost(limit):
        await feed.keep(*(world.task(project_id=str(place.project)) for _ in range(limit)))
        async with transaction(database) as session:
            # Followers run beside us and may plan the same events at the same time.
            with statements_seen(await session.connection()) as seen:
                rows = (await session.execute(query, {"w": world.id, "n": limit})).mappings().all()
                await plan_deliveries(session, world.id, rows)
                await session.flush()
        return Counter(one.split()[0] for one in seen)

    await owner.create(scope=of["workspace"])
    few = await cost(1)
    for _ in range(19):
        await owner.create(scope=of["workspace"])
    await acting("member").create(scope=ME)
    many = await cost(200)
    assert few == many
    assert few["INSERT"] == 1
    assert sum(few.values()) <= 8


async def test_k6_two_followers_make_each_delivery_once(owner, of, world, feed, database, rows):
    webhook = await owner.create(scope=of["workspace"])
    stop = asyncio.Event()
    running = [asyncio.create_task(FollowerRunner(database, (WEBHOOKS,)).run(stop)) for _ in range(3)]
    await feed.keep(*world.tasks(60))
    counts = "SELECT count(*), count(DISTINCT event_id) FROM notifications.webhook_delivery WHERE webhook_id = :w"

    async def made():
        return (await rows(counts, w=webhook["id"]))[0][0] >= 60

    await eventually(made)
    stop.set()
    await asyncio.gather(*running)
    assert await rows(counts, w=webhook["id"]) == [(60, 60)]


async def test_k6_what_came_before_a_webhook_is_not_for_it(owner, of, world, keep, events):
    webhook = await owner.create(scope=of["workspace"])
    late = world.task()
    old = late.model_copy(update={"occurred_at": late.occurred_at - timedelta(minutes=2)})
    new = world.task()
    await keep(old, new)
    assert await events(webhook) == ids(new)


@pytest.mark.parametrize("scope", ["workspace", "project", "me"])
async def test_k6_what_was_here_before_a_webhook_is_not_for_it_however_late_it_is_followed(
    owner, of, world, feed, following, events, place, held_back, scope
):
    before, after = (world.task(project_id=str(place.project)) for _ in range(2))
    async with held_back("webhooks", world.id):
        await feed.keep(before)
        webhook = await owner.create(scope={**of, "me": ME}[scope])
        await feed.keep(after)
    await following(world)
    assert await events(webhook) == ids(after)


async def test_k6_of_ones_own_stream_a_webhook_is_sent_what_comes_after_it(owner, tell, following, place, held_back):
    class Own:
        id = place.people["owner"]

        async def grow(self):
            self.seq = await tell(self.id, "Disabled", event_type="webhook.disabled.v1")

    own = Own()
    await own.grow()
    await following(own)
    async with held_back("webhooks", own.id):
        await own.grow()
        webhook = await owner.create(scope=ME)
        await own.grow()
    await following(own)
    assert len(await owner.deliveries(webhook)) == 1


@pytest.mark.parametrize("scope", ["workspace", "project", "me"])
async def test_k6_what_happened_before_a_webhook_was_disabled_is_sent_when_it_is_enabled_again(
    owner, of, world, feed, keep, following, events, place, held_back, receiver, send, scope
):
    webhook = await owner.create(receiver, scope={**of, "me": ME}[scope])
    before, after = (world.task(project_id=str(place.project)) for _ in range(2))
    # What was still on its way when the webhook was disabled.
    async with held_back("webhooks", world.id):
        assert (await owner.patch(f"/{webhook['id']}", enabled=False)).status_code == 200
        await feed.keep(before, in_a_minute(after))
    await following(world)
    assert await events(webhook) == ids(before)
    assert await send() == 0
    await keep(in_a_minute(world.task(project_id=str(place.project))))
    assert await events(webhook) == ids(before)
    assert (await owner.post(f"/{webhook['id']}/enable")).status_code == 200
    assert await send() == 1
    assert receiver.ids == ids(before)


async def test_k6_what_happened_before_a_receiver_was_gone_is_there_when_it_is_back(
    owner, of, world, feed, keep, following, events, held_back, receiver, send
):
    webhook = await owner.create(receiver, scope=of["workspace"])
    receiver.says(410)
    first = world.task()
    await keep(first)
    second = world.task()
    async with held_back("webhooks", world.id):
        await feed.keep(second)
        assert await send() == 1
        assert (await owner.get(f"/{webhook['id']}")).json()["data"]["disabled_reason"] == "gone"
    await following(world)
    assert await events(webhook) == ids(first, second)
    receiver.says(200)
    await owner.post(f"/{webhook['id']}/enable")
    await send()
    assert receiver.ids[1:] == ids(second)
