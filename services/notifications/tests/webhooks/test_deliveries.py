"""The log of deliveries, sending them anew, replays and tests."""

import asyncio
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.webhook_deliveries.service import purge_deliveries
from notifications_service.webhooks.service import forget_webhooks
from standardwebhooks.webhooks import Webhook

ABSENT = "0199d3b2-7c10-7d3d-9a11-5b1e3c7f9a61"
ME = {"type": "user"}


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


async def purge(database, *, days=0):
    async with transaction(database) as session:
        await purge_deliveries(session, now=utcnow() + timedelta(days=days))


@pytest.fixture
def scope(place):
    return {"type": "workspace", "id": str(place.workspace)}


@pytest.fixture
async def webhook(owner, receiver, scope):
    return await owner.create(receiver, scope=scope)


@pytest.fixture
async def settled(webhook, owner, receiver, world, keep, send):
    """One that was delivered, one that is tried again, one that waits: by state, the youngest last."""
    await keep(world.task())
    await send()
    receiver.says(500, "no")
    await keep(world.task(event_type="task.updated.v1"))
    await send()
    await keep(world.project(uuid7()))
    receiver.says(200)
    return [one["id"] for one in reversed(await owner.deliveries(webhook))]


async def test_k11_the_log_is_walked_and_narrowed(owner, webhook, settled):
    async def listed(**wanted):
        return [settled.index(one["id"]) for one in await owner.deliveries(webhook, **wanted)]

    assert await listed() == [2, 1, 0]
    assert await listed(state="delivered") == [0]
    assert await listed(state="pending") == [2, 1]
    assert await listed(state="failed") == []
    assert await listed(event="task.*") == [1, 0]
    assert await listed(event="task.updated, project.updated") == [2, 1]
    assert await listed(event="*") == [2, 1, 0]
    assert await listed(event="%") == []
    path = f"/{webhook['id']}/deliveries"
    first = await owner.get(path, per_page=2)
    assert [settled.index(one["id"]) for one in first.json()["data"]] == [2, 1]
    meta = first.json()["meta"]
    assert meta["has_more"] is True
    rest = await owner.get(path, per_page=2, cursor=meta["next_cursor"])
    assert [settled.index(one["id"]) for one in rest.json()["data"]] == [0]
    back = await owner.get(path, per_page=2, cursor=rest.json()["meta"]["prev_cursor"])
    assert [settled.index(one["id"]) for one in back.json()["data"]] == [2, 1]
    other = await owner.get(path, state="pending", cursor=meta["next_cursor"])
    assert (other.status_code, codes(other)) == (400, [("CURSOR_MISMATCH", "cursor")])
    assert (await owner.get(path, cursor="x")).status_code == 400
    assert (await owner.get(path, state="lost")).status_code == 422


async def test_k11_a_delivery_is_another_webhooks_or_nobodys(owner, webhook, settled, scope):
    other = await owner.create(scope=scope)
    for path in (f"/{other['id']}/deliveries/{settled[0]}", f"/{webhook['id']}/deliveries/{ABSENT}"):
        assert (await owner.get(path)).status_code == 404
        assert (await owner.post(f"{path}/redeliver")).status_code == 404


async def test_k11_redelivering_keeps_the_id_and_the_log(owner, webhook, settled, receiver, send):
    before = receiver.ids
    answer = await owner.post(f"/{webhook['id']}/deliveries/{settled[0]}/redeliver")
    assert answer.status_code == 202
    assert (answer.json()["data"]["state"], answer.json()["data"]["attempt_count"]) == ("pending", 1)
    await owner.post(f"/{webhook['id']}/deliveries/{settled[1]}/redeliver")
    assert await send() == 3
    assert sorted(receiver.ids[len(before) :])[:2] == sorted(before)
    for delivery in settled[:2]:
        found = await owner.delivery(webhook, {"id": delivery})
        assert found["state"] == "delivered"
        assert [one["number"] for one in found["attempts"]] == [1, 2]
    for request in receiver.requests:
        Webhook(webhook["secret"]).verify(request.body, request.headers)


async def test_k11_what_was_given_up_has_all_its_attempts_again(owner, webhook, settled, receiver, send, rows):
    await rows(
        "UPDATE notifications.webhook_delivery SET state = 'failed', attempts = 10, settled_at = now() WHERE id = :i",
        i=settled[1],
    )
    receiver.says(500)
    await owner.post(f"/{webhook['id']}/deliveries/{settled[1]}/redeliver")
    await send()
    found = await owner.delivery(webhook, {"id": settled[1]})
    assert (found["state"], found["attempt_count"]) == ("pending", 11)


async def test_k11_a_replay_sends_what_came_between_once_and_under_the_same_ids(
    owner, webhook, receiver, world, keep, send, signer
):
    start = signer.position({world.id: world.seq})
    tasks = world.tasks(4)
    await keep(*tasks)
    end = signer.position({world.id: world.seq})
    tasks.append(world.task())
    await keep(tasks[-1])
    assert await send() + await send() == 5
    path = f"/{webhook['id']}/replay"
    answer = await owner.post(path, from_cursor=start, to_cursor=end)
    assert (answer.status_code, answer.json()["data"]) == (202, {"count": 4, "next_cursor": None})
    again = await owner.post(path, from_cursor=start)
    assert again.json()["data"] == {"count": 1, "next_cursor": None}
    assert await send() + await send() == 5
    ids = [str(one.event_id) for one in tasks]
    assert sorted(receiver.ids) == sorted([*ids, *ids])
    kinds = sorted(one["kind"] for one in await owner.deliveries(webhook))
    assert kinds == ["event"] * 5 + ["replay"] * 5
    assert (await owner.post(path, from_cursor=start)).json()["data"]["count"] == 5


async def test_k11_a_new_webhook_is_sent_what_came_before_it(owner, receiver, world, scope, keep, send, signer):
    start = signer.position({world.id: world.seq})
    tasks = world.tasks(3)
    await keep(*tasks, world.project(uuid7()))
    webhook = await owner.create(receiver, scope=scope, events=["task.*"])
    assert await send() == 0
    answer = await owner.post(f"/{webhook['id']}/replay", from_cursor=start)
    assert answer.json()["data"]["count"] == 3
    await send()
    assert sorted(receiver.ids) == sorted(str(one.event_id) for one in tasks)


async def test_k11_a_replay_sends_nothing_that_its_owner_does_not_see(
    acting, receiver, world, keep, send, signer, place, rows
):
    member = acting("member")
    webhook = await member.create(receiver, scope=ME)
    other = type(world)()
    start = signer.position({world.id: world.seq, other.id: 0})
    everybody = [*world.members]
    shown = world.task(project_id=str(place.project))
    lost, alone = world.task(project_id=str(place.private), audience=everybody), world.task(audience=[uuid7()])
    await keep(shown, lost, alone, world.project(place.private, visibility="private", audience=[uuid7()]))
    answer = await member.post(f"/{webhook['id']}/replay", from_cursor=start)
    assert answer.json()["data"]["count"] == 1
    await send()
    assert set(receiver.ids) == {str(shown.event_id)}


async def test_k11_cursors_that_are_too_old_forged_or_turned_around(owner, webhook, world, keep, signer, rows):
    path = f"/{webhook['id']}/replay"
    await keep(*world.tasks(4))
    await rows(
        "DELETE FROM notifications.stream_event WHERE workspace_id = :w AND seq <= :s", w=world.id, s=world.seq - 2
    )
    old = await owner.post(path, from_cursor=signer.position({world.id: world.seq - 4}))
    assert (old.status_code, codes(old)) == (410, [("CURSOR_EXPIRED", "from_cursor")])
    kept = await owner.post(path, from_cursor=signer.position({world.id: world.seq - 2}))
    assert kept.json()["data"]["count"] == 2
    forged = await owner.post(path, from_cursor="c1.forged")
    assert (forged.status_code, codes(forged)) == (400, [("INVALID_CURSOR", "from_cursor")])
    turned = await owner.post(
        path, from_cursor=signer.position({world.id: world.seq}), to_cursor=signer.position({world.id: 1})
    )
    assert (turned.status_code, codes(turned)) == (422, [("CURSORS_REVERSED", "to_cursor")])
    assert (await owner.post(path)).status_code == 422
    await owner.patch(f"/{webhook['id']}", enabled=False)
    disabled = await owner.post(path, from_cursor=signer.position({world.id: world.seq}))
    assert (disabled.status_code, codes(disabled)) == (409, [("WEBHOOK_DISABLED", None)])


async def test_k11_a_replay_sends_of_what_was_deleted_for_good_no_more_than_that(
    owner, webhook, receiver, world, keep, send, signer, place
):
    start = signer.position({world.id: world.seq})
    about = {"project_id": str(place.project)}
    gone = world.task("secret", **about)
    resource = {"id": str(place.project), "name": "secret", "visibility": "workspace"}
    await keep(gone, world.event("project.purged.v1", entity_type="project", resource=resource, **about))
    await send()
    receiver.requests.clear()
    answer = await owner.post(f"/{webhook['id']}/replay", from_cursor=start)
    assert answer.json()["data"]["count"] == 1
    assert await send() == 1
    [sent] = receiver.requests
    assert (sent.event["type"], sent.event["removed"], sent.event["data"]) == (
        "project.purged",
        {"reason": "purged"},
        None,
    )


@pytest.fixture
def told_again(receiver, signer, world, send):
    """Returns what a webhook is sent by a replay from a position of the workspace on, as types and what is gone."""

    async def told_again(caller, webhook, start):
        await send()
        receiver.requests.clear()
        answer = await caller.post(f"/{webhook['id']}/replay", from_cursor=signer.position({world.id: start}))
        assert answer.json()["data"]["count"] == await send()
        return [(one.event["type"], one.event.get("removed"), one.event["data"]) for one in receiver.requests]

    return told_again


def of_task(world, task, verb, project, *, was=None, **told):
    """Return an event of a task that is told in full."""
    resource = {"id": task, "title": "secret", "priority": "low", **told}
    changes = [{"field": field, "old": old} for field, old in (was or {}).items()]
    about = {"task_id": task, "project_id": str(project), "changes": changes}
    return world.event(f"task.{verb}.v1", entity_type="task", resource=resource, **about)


async def test_k11_a_replay_through_a_filter_sends_nothing_of_what_was_deleted_for_good_either(
    owner, receiver, scope, world, keep, place, told_again
):
    webhook = await owner.create(receiver, scope=scope, filter="priority = high")
    gone, start = str(uuid7()), world.seq
    await keep(
        of_task(world, gone, "created", place.project, priority="high"),
        of_task(world, gone, "updated", place.project, was={"priority": "high"}),
        of_task(world, gone, "purged", place.project),
    )
    assert await told_again(owner, webhook, start) == []


async def test_k11_a_replay_tells_a_deletion_for_good_as_sockets_do(acting, receiver, world, keep, place, told_again):
    """To whom was told it: what it was only where its project is seen now."""
    task, guest, member = str(uuid7()), place.people["guest"], place.people["member"]
    await keep(world.share(task, guest, project_id=str(place.private)), world.role_in(place.private, member))
    webhooks = {name: await acting(name).create(receiver, scope=ME) for name in ("manager", "guest", "member")}
    start = world.seq
    purged = of_task(world, task, "purged", place.private)
    await keep(purged)
    await keep(world.role_in(place.private, member, "removed", audience=[]))
    found = {name: await told_again(acting(name), one, start) for name, one in webhooks.items()}
    gone = {"reason": "purged"}
    assert found == {
        "manager": [("task.purged", gone, purged.data["resource"])],
        "guest": [("task.purged", gone, None)],
        "member": [("task.purged", gone, None)],
    }


async def test_k11_a_long_replay_goes_on_where_it_stopped(owner, webhook, world, keep, signer, rows, place):
    start = world.seq
    await rows(
        "INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at)"
        " SELECT CAST(:w AS uuid), n, 'task.created.v1', CAST(:members AS uuid[]),"
        " jsonb_build_object('seq', n, 'event_id', gen_random_uuid(), 'type', 'task.created', 'subject', :w,"
        " 'workspace_id', :w, 'changes', '[]'::jsonb, 'data', '{}'::jsonb), now() - interval '1 day'"
        " FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n",
        w=str(world.id),
        members=[*place.people.values()],
        first=start + 1,
        last=start + 2500,
    )
    await rows(
        "UPDATE notifications.stream_head SET contiguous_seq = :s WHERE workspace_id = :w", s=start + 2500, w=world.id
    )
    world.seq = start + 2500
    path = f"/{webhook['id']}/replay"
    first = (await owner.post(path, from_cursor=signer.position({world.id: start}))).json()["data"]
    assert first["count"] == 2000
    rest = (await owner.post(path, from_cursor=first["next_cursor"])).json()["data"]
    assert rest == {"count": 500, "next_cursor": None}
    [counted] = await rows("SELECT count(*), count(DISTINCT event_id) FROM notifications.webhook_delivery")
    assert counted == (2500, 2500)


@pytest.mark.parametrize("enabled", [True, False])
async def test_k11_a_test_is_sent_once_whatever_comes_of_it(owner, receiver, scope, send, enabled):
    webhook = await owner.create(receiver, scope=scope, enabled=enabled)
    receiver.says(503, "not yet", retry_after="1")
    answer = await owner.post(f"/{webhook['id']}/test")
    assert answer.status_code == 202
    made = answer.json()["data"]
    assert (made["kind"], made["event"], made["state"]) == ("test", "webhook.test", "pending")
    assert await send() == 1
    assert await send(utcnow() + timedelta(days=1)) == 0
    found = await owner.delivery(webhook, made)
    assert (found["state"], found["status"], found["attempts"][0]["excerpt"]) == ("failed", 503, "not yet")
    [request] = receiver.requests
    body = Webhook(webhook["secret"]).verify(request.body, request.headers)
    assert body["type"] == "webhook.test"
    assert body["data"]["event_id"] == request.headers["webhook-id"] == made["event_id"]
    assert body["data"]["data"] == {"id": webhook["id"], "name": "Webhook"}
    assert found["request"]["body"] == body
    assert (await owner.get(f"/{webhook['id']}")).json()["data"]["failing_since"] is None
    receiver.says(200)
    assert (await owner.post(f"/{webhook['id']}/deliveries/{made['id']}/redeliver")).status_code == 202
    assert await send() == 1


@pytest.mark.parametrize(
    ("who", "status", "sees_shared", "sees_alone"),
    [("admin", 200, True, True), ("owner", 200, True, False), ("manager", 404, False, False), ("member", 404, 0, 0)],
)
async def test_k11_who_manages_a_scope_is_shown_what_it_sees_itself(
    acting, scope, world, keep, place, who, status, sees_shared, sees_alone
):
    webhook = await acting("admin").create(scope=scope)
    await keep(world.task(), world.task("For the admin", audience=[place.people["admin"]]))
    alone, shared = await acting("admin").deliveries(webhook)
    for delivery, is_shown in ((shared, sees_shared), (alone, sees_alone)):
        answer = await acting(who).get(f"/{webhook['id']}/deliveries/{delivery['id']}")
        assert answer.status_code == status
        if status == 200:
            assert (answer.json()["data"]["request"] is not None) is is_shown
            assert ("For the admin" in answer.text) is (is_shown and delivery is alone)
        again = await acting(who).post(f"/{webhook['id']}/deliveries/{delivery['id']}/redeliver")
        assert again.status_code == {"admin": 202, "owner": 403}.get(who, 404)


async def test_k11_keys_make_one_of_each(owner, webhook, settled, world, signer):
    for path, body in (
        (f"/{webhook['id']}/test", {}),
        (f"/{webhook['id']}/replay", {"from_cursor": signer.position({world.id: world.seq - 1})}),
        (f"/{webhook['id']}/deliveries/{settled[0]}/redeliver", {}),
    ):
        answers = [await owner.post(path, more={"idempotency-key": path[-20:]}, **body) for _ in range(2)]
        assert {one.status_code for one in answers} == {202}
        assert answers[0].json()["data"] == answers[1].json()["data"]
        assert answers[1].headers["idempotency-replayed"] == "true"
    kinds = sorted(one["kind"] for one in await owner.deliveries(webhook))
    assert kinds == ["event"] * 3 + ["replay", "test"]


async def test_k11_many_at_once_make_one_replay_of_each_event(owner, webhook, world, keep, signer, rows):
    start = signer.position({world.id: world.seq})
    await keep(*world.tasks(10))
    path = f"/{webhook['id']}/replay"
    answers = await asyncio.gather(*(owner.post(path, from_cursor=start) for _ in range(20)))
    assert sum(one.json()["data"]["count"] for one in answers) == 10
    assert await rows("SELECT count(*) FROM notifications.webhook_delivery WHERE kind = 'replay'") == [(10,)]


async def test_k11_thirty_days_are_kept(owner, webhook, settled, database, rows):
    await purge(database, days=29)
    assert len(await owner.deliveries(webhook)) == 3
    await purge(database, days=31)
    assert await owner.deliveries(webhook) == []
    assert await rows("SELECT count(*) FROM notifications.webhook_attempt") == [(0,)]
    await owner.delete(f"/{webhook['id']}")
    await purge(database)
    assert await rows("SELECT count(*) FROM notifications.webhook") == [(0,)]


async def test_k6_webhooks_go_with_their_owner(acting, owner, scope, rows, place, database):
    kept, _ = await owner.create(scope=scope), await acting("admin").create(scope=scope)
    async with transaction(database) as session:
        await forget_webhooks(session, user_id=place.people["admin"])
    assert [one["id"] for one in (await owner.get()).json()["data"]] == [kept["id"]]
    await purge(database)
    assert await rows("SELECT id::text FROM notifications.webhook") == [(kept["id"],)]


async def test_k6_webhooks_of_a_workspace_that_ends_go_once_that_is_told(
    owner, scope, receiver, world, keep, send, place, database
):
    ending = await owner.create(receiver, scope=scope)
    mine = await owner.create(receiver, scope=ME)
    owner_id = place.people["owner"]

    async def left():
        await purge(database)
        return [one["id"] for one in (await owner.get()).json()["data"]]

    await keep(*(world.leaves(one) for one in [*world.members] if one != owner_id))
    await send()
    assert await left() == [ending["id"], mine["id"]]
    await keep(world.leaves(owner_id, is_told=True))
    assert await left() == [ending["id"], mine["id"]]
    await send()
    assert [one.event["type"] for one in receiver.requests[-2:]] == ["member.removed"] * 2
    assert await left() == [mine["id"]]
