"""From a plan to one message on a channel, whatever happens on the way."""

import asyncio
import os
import signal
import sys
from collections import Counter
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.deliveries import repository, service
from notifications_service.deliveries.drivers import Postpone, Refused, Sent, TargetGone
from notifications_service.deliveries.jobs import purge_deliveries
from notifications_service.deliveries.rules import SCHEDULES, delay_after
from notifications_service.deliveries.schemas import PlannedDelivery
from sqlalchemy import text
from testkit.statements import statements_seen
from testkit.waiting import eventually


def raising(error):
    async def answer(_message):
        raise error

    return answer


async def _true(value):
    return bool(value)


async def test_a_plan_becomes_one_message_and_is_noted(book, channel, sending):
    planned = await book.plan(collapse_key="a-task")
    async with sending(chat=channel):
        row = await book.becomes(planned, "sent")
    assert [one.delivery_id for one in channel.messages] == [planned]
    assert (row["attempts"], row["reason"], row["lease_until"]) == (1, None, None)
    assert row["provider_id"] == f"at-the-service-{planned}"
    assert row["settled_at"] >= row["created_at"]


async def test_the_same_plan_again_is_the_same_one(book, database, rows):
    one = PlannedDelivery(user_id=uuid7(), channel="email", notification_id=uuid7())
    digest = PlannedDelivery(user_id=one.user_id, channel="email", digest_id=uuid7())
    event = PlannedDelivery(user_id=one.user_id, channel="chat", event_id=uuid7(), target_id=uuid7())
    async with transaction(database) as session:
        assert await service.plan(session, rows=[one, digest, event]) == 3
    async with transaction(database) as session:
        assert await service.plan(session, rows=[one, digest, event]) == 0
        assert await service.plan(session, rows=[]) == 0
    assert await rows("SELECT count(*) FROM notifications.delivery") == [(3,)]


async def test_what_many_are_told_at_once_is_planned_in_one_statement(database, rows):
    about = {"channel": "email", "due_at": utcnow() + timedelta(days=2), "collapse_key": str(uuid7())}
    many = [PlannedDelivery(user_id=uuid7(), notification_id=uuid7(), **about) for _ in range(2_500)]
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            assert await service.plan(session, rows=many) == 2_500
    assert len([one for one in statements if "INSERT INTO notifications.delivery" in one]) == 1
    query = "SELECT count(DISTINCT user_id), min(due_at), max(due_at) FROM notifications.delivery"
    assert await rows(f"{query} WHERE collapse_key = :key", key=about["collapse_key"]) == [
        (2_500, about["due_at"], about["due_at"])
    ]


async def test_what_nobody_could_send_for_a_week_is_told_nobody_any_more(book, channel, sending, database):
    stale, late = [await book.plan(channel="email") for _ in range(2)]
    unsent = await book.plan(channel="push")
    for one in (stale, unsent):
        await book.alter(one, "due_at = now() - interval '8 days'")
    await book.alter(late, "due_at = now() - interval '6 days'")
    async with sending(email=channel):
        await book.becomes(late, "sent")
        row = await book.becomes(stale, "skipped")
    assert (row["reason"], row["attempts"], [one.delivery_id for one in channel.messages]) == ("expired", 0, [late])
    assert (await book.row(unsent))["state"] == "new"
    async with transaction(database) as session:
        assert await purge_deliveries(session) is False
    assert (await book.row(unsent))["reason"] == "expired"


async def test_r45_three_senders_at_once_send_each_message_once(book, channel, sending, rows):
    planned = [await book.plan() for _ in range(20)] + [await book.plan(channel="email") for _ in range(20)]
    async with sending(senders=3, chat=channel, email=channel):

        async def all_sent():
            return await rows("SELECT count(*) FROM notifications.delivery WHERE state = 'sent'") == [(40,)]

        await eventually(all_sent)
    assert Counter(one.delivery_id for one in channel.messages) == dict.fromkeys(planned, 1)


async def test_r52_what_is_due_later_waits_for_its_time(book, channel, sending):
    later = await book.plan(due_at=utcnow() + timedelta(hours=1))
    async with sending(chat=channel):
        await book.becomes(await book.plan(), "sent")
        assert (await book.row(later))["state"] == "new"
        await book.alter(later, "due_at = now()")
        await book.becomes(later, "sent")


async def test_who_lost_its_lease_notes_nothing_any_more(book, channels, sending):
    held, released = asyncio.Event(), asyncio.Event()

    async def hang(_message):
        held.set()
        await released.wait()
        raise Refused("too_late")

    slow, quick = channels(hang), channels()
    planned = await book.plan()
    async with sending(chat=slow):
        await held.wait()
        await book.alter(planned, "claim = claim + 1")
        released.set()
    row = await book.row(planned)
    assert (row["state"], row["reason"], row["claim"]) == ("new", None, 2)
    await book.alter(planned, "lease_until = now()")
    async with sending(chat=quick):
        row = await book.becomes(planned, "sent")
    assert (len(slow.messages), len(quick.messages), row["claim"], row["attempts"]) == (1, 1, 3, 2)


@pytest.mark.parametrize(("channel_name", "seconds", "attempts"), [("email", 85_000, 29), ("chat", 7_200, 9)])
def test_each_channel_has_its_own_schedule(channel_name, seconds, attempts):
    waits = [delay_after(channel_name, number, chance=0.5) for number in range(1, attempts)]
    assert waits[:3] == [timedelta(seconds=5), timedelta(seconds=30), timedelta(seconds=120)]
    assert sum(waits, timedelta()) >= timedelta(seconds=seconds)
    assert delay_after(channel_name, attempts, chance=0.5) is None
    assert delay_after(channel_name, 1, chance=0) == timedelta(seconds=4)
    assert delay_after(channel_name, 1, chance=1) == timedelta(seconds=6)


async def test_what_was_not_taken_is_tried_again_and_given_up_at_last(book, channel, sending):
    channel.answer = raising(Postpone("status_503"))
    planned = await book.plan()
    async with sending(chat=channel):
        row = await book.attempted(planned)
        assert (row["state"], row["reason"]) == ("new", "status_503")
        assert 3 <= (row["due_at"] - utcnow()).total_seconds() <= 6
        await book.alter(planned, f"due_at = now(), attempts = {SCHEDULES['chat'].last_attempt - 1}")
        row = await book.becomes(planned, "failed")
    assert (row["reason"], row["attempts"]) == ("status_503", SCHEDULES["chat"].last_attempt)
    assert len(channel.messages) == 2


async def test_k4_a_service_is_left_alone_for_as_long_as_it_asks(book, channel, sending):
    target = uuid7()
    channel.answer = raising(Postpone("status_429", timedelta(minutes=5)))
    first, second = await book.plan(target_id=target), await book.plan(target_id=target)
    async with sending(chat=channel):
        await book.attempted(first)
        await book.becomes(await book.plan(channel="chat", due_at=utcnow() + timedelta(days=1)), "new")
    for one in (first, second):
        assert 290 <= ((await book.row(one))["due_at"] - utcnow()).total_seconds() <= 301
    assert [one.delivery_id for one in channel.messages] == [first]


async def test_k4_what_is_planned_while_a_service_asks_to_be_left_alone_waits_as_well(book, channel, sending):
    target = uuid7()
    taken, channel.answer = channel.answer, raising(Postpone("status_429", timedelta(minutes=5)))
    first = await book.plan(target_id=target)
    async with sending(chat=channel):
        await book.attempted(first)
        channel.answer = taken
        later, elsewhere = await book.plan(target_id=target), await book.plan(target_id=uuid7())
        await book.becomes(elsewhere, "sent")
        assert (await book.row(later))["state"] == "new"
        await book.alter(first, "due_at = now(), paused_until = now()")
        await book.becomes(first, "sent")
        await book.becomes(later, "sent")
    assert [one.delivery_id for one in channel.messages].count(first) == 2


async def test_nobody_is_left_alone_for_longer_than_a_day(book, channel, sending):
    channel.answer = raising(Postpone("status_429", timedelta(days=400)))
    planned = await book.plan()
    async with sending(chat=channel):
        row = await book.attempted(planned)
    assert timedelta(hours=23) < row["due_at"] - utcnow() <= timedelta(hours=24)


async def test_k5_a_target_that_is_gone_takes_nothing_more(book, channel, sending):
    target = uuid7()
    channel.answer = raising(TargetGone("status_410"))
    first, second = await book.plan(target_id=target), await book.plan(target_id=target)
    elsewhere = await book.plan(due_at=utcnow() + timedelta(hours=1))
    async with sending(chat=channel):
        row = await book.becomes(first, "failed")
        waiting = await book.becomes(second, "skipped")
    assert (row["reason"], waiting["reason"]) == ("status_410", "target_gone")
    assert channel.dropped == [(first, "status_410")]
    assert (await book.row(elsewhere))["state"] == "new"


async def test_what_is_refused_for_good_is_not_tried_again(book, channel, sending):
    channel.answer = raising(Refused("status_400"))
    planned = await book.plan()
    async with sending(chat=channel):
        row = await book.becomes(planned, "failed")
    assert (row["reason"], row["attempts"], channel.dropped) == ("status_400", 1, [])


async def test_what_breaks_our_own_code_is_tried_again_and_keeps_nobody_back(book, channel, sending):
    planned = await book.plan()

    async def answer(message):
        if message.delivery_id == planned:
            raise ZeroDivisionError
        return Sent()

    channel.answer = answer
    async with sending(chat=channel):
        await book.becomes(await book.plan(), "sent")
        row = await book.attempted(planned)
    assert (row["state"], row["reason"]) == ("new", "broken")


async def test_what_nothing_can_be_told_of_is_tried_again_and_keeps_nobody_back(book, channel, sending):
    """One whose telling breaks our own code, and one that the database refuses to tell of."""
    broken, refused = await book.plan(), await book.plan()
    others = [await book.plan() for _ in range(5)]

    async def prepare(session, rows):
        if any(row["id"] == refused for row in rows):
            await session.execute(text("SELECT 1 / 0"))
        return {row["id"]: book.message(row) for row in rows if row["id"] != broken or 1 / 0}

    async with sending(chat=channel, prepare=prepare):
        for one in others:
            await book.becomes(one, "sent")
        rows = [await book.attempted(one) for one in (broken, refused)]
    assert [(row["state"], row["reason"], row["attempts"]) for row in rows] == [("new", "broken", 1)] * 2
    assert sorted(one.delivery_id for one in channel.messages) == sorted(others)


async def test_what_is_skipped_makes_room_at_once(book, channel, sending):
    for reason in ["read"] * 20:
        book.skips[await book.plan()] = reason
    last = await book.plan()
    async with sending(chat=channel, poll=600):
        await book.becomes(last, "sent")
    assert [one.delivery_id for one in channel.messages] == [last]


@pytest.mark.parametrize("reason", ["read", "not_visible", "inactive"])
async def test_what_is_not_to_be_told_any_more_is_skipped(book, channel, sending, reason):
    planned = await book.plan()
    book.skips[planned] = reason
    async with sending(chat=channel):
        row = await book.becomes(planned, "skipped")
    assert (row["reason"], channel.messages) == (reason, [])


async def test_a_channel_that_hangs_keeps_no_other_one_back(book, channels, channel, sending):
    released = asyncio.Event()

    async def hang(_message):
        await released.wait()
        return Sent()

    hanging = [await book.plan(channel="push") for _ in range(30)]
    async with sending(push=channels(hang), chat=channel):
        await book.becomes(await book.plan(), "sent")
        released.set()
        for one in hanging:
            await book.becomes(one, "sent")


async def test_a_target_that_hangs_keeps_no_other_one_back_and_has_one_message_at_a_time(book, channel, sending):
    released, target = asyncio.Event(), uuid7()
    hanging = [await book.plan(target_id=target) for _ in range(20)]

    async def answer(message):
        if message.delivery_id in hanging:
            await released.wait()
        return Sent()

    channel.answer = answer
    async with sending(senders=2, chat=channel):
        await book.becomes(await book.plan(), "sent")
        assert len([one for one in channel.messages if one.delivery_id in hanging]) == 1
        released.set()
        for one in hanging:
            await book.becomes(one, "sent")
    order = [one.delivery_id for one in channel.messages if one.delivery_id in hanging]
    assert order == hanging


async def test_k4_what_waits_is_replaced_by_what_comes_later_of_the_same_task(book, channel, sending):
    same = {"target_id": uuid7(), "collapse_key": "a-task"}
    first, last = await book.plan(**same), await book.plan(**same)
    other = await book.plan(target_id=same["target_id"], collapse_key="another-task")
    async with sending(chat=channel):
        await book.becomes(last, "sent")
        await book.becomes(other, "sent")
    row = await book.row(first)
    assert (row["state"], row["reason"], row["attempts"]) == ("skipped", "replaced", 0)
    assert [one.delivery_id for one in channel.messages] == [last, other]


async def test_k3_no_mail_is_replaced_by_another_of_the_same_task(book, channel, sending):
    mails = [await book.plan(channel="email", collapse_key="a-task") for _ in range(3)]
    async with sending(email=channel):
        for one in mails:
            await book.becomes(one, "sent")
    assert sorted(one.delivery_id for one in channel.messages) == sorted(mails)


async def test_k4_of_one_task_there_is_one_message_a_minute(book, channel, sending):
    same = {"target_id": uuid7(), "collapse_key": "a-task", "spacing_seconds": 60}
    async with sending(senders=2, chat=channel):
        first = await book.plan(**same)
        sent = await book.becomes(first, "sent")
        second = await book.plan(**same)

        async def put_off():
            return (await book.row(second))["due_at"] == sent["settled_at"] + timedelta(seconds=60)

        await eventually(put_off)
        third = await book.plan(**same)
        await book.becomes(await book.plan(target_id=same["target_id"]), "sent")
        assert {(await book.row(one))["state"] for one in (second, third)} == {"new"}
        await book.alter(first, "settled_at = settled_at - interval '61 seconds'")
        # At once: a sender who looks in between would send the first of them.
        await book.alter_all([second, third], "due_at = now()")
        await book.becomes(third, "sent")
    assert (await book.row(second))["reason"] == "replaced"
    assert [one.delivery_id for one in channel.messages if one.collapse_key] == [first, third]


async def test_k4_what_comes_in_between_spacing_and_claiming_is_not_sent_too_soon(book, channel, sending, database):
    same = {"target_id": uuid7(), "collapse_key": "a-task", "spacing_seconds": 60}
    first = await book.plan(**same)
    async with sending(chat=channel):
        await book.becomes(first, "sent")
    async with transaction(database) as session:
        await repository.hold_channel(session, "chat")
        await repository.space(session, "chat")
        second = await book.plan(**same, due_at=utcnow() - timedelta(seconds=5))
        other = await book.plan(target_id=uuid7(), due_at=utcnow() - timedelta(seconds=5))
        chosen = await repository.choose(session, "chat", limit=8)
    assert chosen == [other]
    assert (await book.row(second))["attempts"] == 0


KILLED = """
import asyncio, sys
from uuid import UUID
from chassis.db.engine import open_database
from chassis.settings import DatabaseSettings
from notifications_service.deliveries.drivers import Notice, Outgoing, Person
from notifications_service.deliveries.sender import DeliverySender
from chassis.clock import utcnow

class Channel:
    async def send(self, message):
        print("sending", flush=True)
        await asyncio.sleep(600)

async def prepare(session, rows):
    notice = Notice(UUID(int=1), "assigned", "Told", utcnow())
    return {
        row["id"]: Outgoing(row["id"], "chat", 1, None, None, [notice], Person(row["user_id"], "Ada")) for row in rows
    }

async def main():
    database = open_database(DatabaseSettings(), application_name="killed")
    await DeliverySender(database, {"chat": Channel()}, prepare).run(asyncio.Event())

asyncio.run(main())
"""


async def test_r52_what_a_killed_sender_had_is_sent_when_its_lease_is_over(book, channel, sending, database_settings):
    planned = await book.plan()
    environment = {**os.environ, "DATABASE_URL": database_settings.url.get_secret_value()}
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert await asyncio.wait_for(killed.stdout.readline(), 60) == b"sending\n"
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    leased = await book.row(planned)
    assert timedelta(seconds=30) < leased["lease_until"] - utcnow() <= timedelta(seconds=60)
    async with sending(chat=channel):
        await book.becomes(await book.plan(), "sent")
        assert await book.row(planned) == leased
        await book.alter(planned, "lease_until = now()")
        row = await book.becomes(planned, "sent")
    assert (row["attempts"], row["claim"]) == (2, 2)
    assert [one.delivery_id for one in channel.messages].count(planned) == 1


async def test_trouble_with_the_database_is_waited_out(book, channel, sending, lane, distant_database, lines):
    async with lines() as caught, sending(chat=channel, on=distant_database):
        await book.becomes(await book.plan(), "sent")
        await lane.cut()
        await eventually(lambda: _true([line for line in caught if line["event"] == "sending.trouble"]))
        planned = await book.plan()
        await lane.restore()
        await book.becomes(planned, "sent")


async def test_a_plan_wakes_the_senders(book, channel, sending, rows):
    query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%notifications_delivery%'"
    others = set(await rows(query))
    async with sending(chat=channel, poll=600):

        async def listens():
            return set(await rows(query)) - others

        await eventually(listens)
        await book.becomes(await book.plan(), "sent")


async def test_settled_deliveries_are_forgotten_after_90_days(book, database, rows):
    old, new = await book.plan(), await book.plan()
    await book.alter(old, "state = 'sent', settled_at = now() - interval '91 days'")
    await book.alter(new, "state = 'sent', settled_at = now() - interval '89 days'")

    async with transaction(database) as session:
        assert await purge_deliveries(session) is False
        assert (await session.execute(text("SELECT id FROM notifications.delivery"))).scalars().all() == [new]
