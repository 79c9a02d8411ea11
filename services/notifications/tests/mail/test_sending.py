"""From an event to a mail: once, whatever happens on the way."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message
from chassis.broker.rabbitmq import RabbitTransport
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from notifications_service.account_mail import service
from notifications_service.account_mail.consumers import ACCOUNT_MAIL, on_account_mail
from notifications_service.account_mail.rules import LAST_ATTEMPT, delay_after
from notifications_service.account_mail.schemas import AccountMail
from notifications_service.db import Inbox
from notifications_service.scheduler import jobs
from notifications_service.worker import QUEUES, consumers
from prometheus_client import REGISTRY
from sqlalchemy import event
from testkit.waiting import eventually

LINK = "https://app.example/#/password/reset?token=a-token%2Bof%2Fa%20link"


@pytest.fixture(params=["streams", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def transport(request):
    space = f"t{uuid7().hex}"
    if request.param == "streams":
        found = StreamsTransport(request.getfixturevalue("valkey_url"), prefix=space)
    else:
        found = RabbitTransport(request.getfixturevalue("rabbitmq_url"), exchange=space)
    yield found
    await found.close()


@pytest.fixture
async def publish(database, transport):
    """Hands events to a broker whose consumer is ours, until the end of the test."""
    stop = asyncio.Event()
    await transport.declare(ACCOUNT_MAIL)
    runner = ConsumerRunner(database, table_of(Inbox), transport, on_account_mail)
    running = asyncio.create_task(runner.run(stop))

    async def publish(*bodies):
        """Publish events, or what is none, as JSON."""
        events = [json.loads(one.to_json()) if hasattr(one, "to_json") else one for one in bodies]
        messages = [Message(one["id"], one["type"], one["partitionkey"], json.dumps(one).encode()) for one in events]
        assert await transport.publish(messages) == [None] * len(messages)

    yield publish
    stop.set()
    await running


def answers(text):
    async def answer(_server):
        return text

    return answer


def counted(kind, outcome):
    return REGISTRY.get_sample_value("taskloom_mails_total", {"kind": kind, "outcome": outcome}) or 0


async def becomes(post, mail_id, state):
    async def there():
        return await post.state(mail_id) == state

    await eventually(there)


def test_the_worker_consumes_requests_for_mail():
    assert ACCOUNT_MAIL in QUEUES
    names = ["notifications.live", "notifications.account-mail", "notifications.people"]
    assert [one.queue.name for one in consumers(None)] == names


async def test_a_request_becomes_one_mail_and_its_token_is_forgotten(publish, post, mail_server, sending, lines):
    wanted = post.new()
    event = post.event(wanted)
    before = counted("reset_password", "sent")
    async with lines() as caught, sending(mail_server):
        await publish(event)
        await eventually(lambda: _true(mail_server.to(wanted.to)))
        await becomes(post, wanted.id, "sent")
    (message,) = mail_server.messages
    assert message["subject"] == "Choose a new password"
    assert message["message-id"] == f"<{wanted.id}@tasks.example>"
    assert LINK in message.get_body(("plain",)).get_content()
    assert LINK in message.get_body(("html",)).get_content()
    row = await post.row(wanted.id)
    assert (row["token_sealed"], row["attempts"], row["reason"], row["lease_until"]) == (None, 1, None, None)
    assert counted("reset_password", "sent") == before + 1
    mine = [line for line in caught if line.get("mail_id") == str(wanted.id)]
    assert [(line["event"], line["outcome"], line["noted"]) for line in mine] == [("mail.settled", "sent", True)]
    assert wanted.to not in json.dumps(caught, default=str)


async def _true(value):
    return bool(value)


async def test_a_token_is_in_no_row_and_no_line_in_the_clear(publish, post, rows, lines):
    wanted = post.new()
    async with lines() as caught:
        await publish(post.event(wanted))

        async def kept():
            return await rows("SELECT mail_delivery::text FROM notifications.mail_delivery")

        ((row,),) = await eventually(kept)
    assert wanted.token_sealed in row
    assert "a-token" not in row + json.dumps(caught, default=str)


async def test_r48_a_redelivered_request_is_one_mail(publish, post, mail_server, sending, rows):
    wanted, last = post.new(), post.new()
    event = post.event(wanted)
    again = event.model_copy(update={"event_id": uuid7()})
    async with sending(mail_server):
        await publish(event, event)
        await becomes_known(post, rows, wanted.id)
        await becomes(post, wanted.id, "sent")
        await publish(event, again, post.event(last))
        await becomes_known(post, rows, last.id)
        await becomes(post, last.id, "sent")
        taken_in = "SELECT count(*) FROM notifications.inbox WHERE event_id IN (:first, :again)"

        async def both():
            return await rows(taken_in, first=event.event_id, again=again.event_id) == [(2,)]

        await eventually(both)
    assert Counter(str(one["to"]) for one in mail_server.messages) == {wanted.to: 1, last.to: 1}
    assert await rows("SELECT count(*) FROM notifications.mail_delivery") == [(2,)]


async def becomes_known(post, rows, mail_id):
    async def known():
        return await rows("SELECT 1 FROM notifications.mail_delivery WHERE id = :id", id=mail_id)

    await eventually(known)


async def test_r49_what_is_no_request_goes_to_the_dead_letters(publish, post, transport, rows):
    good, bad = post.event(post.new()), post.event(post.new())
    naive = post.event(post.new())
    del bad.data["resource"]["to"]
    naive.data["resource"]["expires_at"] = "2026-11-25T09:00:00"
    dead_before = await transport.dead(ACCOUNT_MAIL.name)
    await publish(bad, naive, good)

    async def settled():
        return await transport.dead(ACCOUNT_MAIL.name) == dead_before + 2

    await eventually(settled)
    await becomes_known(post, rows, good.subject)
    assert await rows("SELECT count(*) FROM notifications.mail_delivery") == [(1,)]


async def test_the_example_of_the_producer_is_understood(publish, post, rows, schema_of_kinds, contract_path):
    example = json.loads(contract_path.with_name(f"{contract_path.name}.example.json").read_bytes())
    resource = AccountMail.model_validate(example["data"]["resource"])
    assert resource.kind in schema_of_kinds
    future = {**example["data"]["resource"], "id": str(uuid7()), "kind": "fax_received", "of_tomorrow": [1]}
    newer = {**example, "id": str(uuid7()), "data": {**example["data"], "resource": future}}
    example["id"] = str(uuid7())
    await publish(example, newer)
    await becomes_known(post, rows, resource.id)
    row = await post.row(resource.id)
    expected = resource.model_dump(exclude={"to", "address", "device"})
    assert {name: row[name] for name in expected} == expected
    assert (row["recipient"], row["state"], row["attempts"]) == (resource.to, "waiting", 0)
    await becomes_known(post, rows, future["id"])


async def test_where_a_request_came_from_is_among_the_details(post, mail_server, sending):
    origin = {"address": "203.0.113.7", "device": "Firefox"}
    wanted = await post.put(kind="password_changed", token_sealed=None, details={"device": "mine"}, **origin)
    other = await post.put(kind="password_changed", token_sealed=None, details={})
    assert (await post.row(wanted.id))["details"] == {"address": "203.0.113.7", "device": "mine"}
    assert (await post.row(other.id))["details"] == {}
    async with sending(mail_server):
        await becomes(post, wanted.id, "sent")
    (message,) = mail_server.to(wanted.to)
    assert "Address: 203.0.113.7\nDevice: mine\n" in message.get_body(("plain",)).get_content().replace("\r\n", "\n")


async def test_r45_two_senders_at_once_send_each_mail_once(post, mail_server, sending):
    wanted = [await post.put() for _ in range(30)]
    async with sending(mail_server, senders=3):

        async def all_sent():
            return {await post.state(one.id) for one in wanted} == {"sent"}

        await eventually(all_sent)
    assert Counter(str(one["to"]) for one in mail_server.messages) == {one.to: 1 for one in wanted}


async def test_a_sender_is_woken_by_a_mail_that_comes_in(post, mail_server, sending):
    first = await post.put()
    async with sending(mail_server, senders=2, poll=3600):
        await becomes(post, first.id, "sent")
        later = [await post.put() for _ in range(3)]
        for one in later:
            await becomes(post, one.id, "sent")


async def test_a_refusal_for_now_is_tried_again_with_the_same_message_id(post, mail_server, sending, lines):
    mail_server.on_data = answers("451 later")
    wanted = await post.put()
    async with lines() as caught, sending(mail_server):

        async def postponed():
            return (await post.row(wanted.id))["reason"] == "data_451"

        await eventually(postponed)
        assert await post.waits_about(wanted.id, 5)
        await post.alter(wanted.id, "next_attempt_at = now()")

        async def twice():
            row = await post.row(wanted.id)
            return row["attempts"] == 2 and row["lease_until"] is None

        await eventually(twice)
        assert await post.waits_about(wanted.id, 30)
        assert (await post.row(wanted.id))["token_sealed"] == wanted.token_sealed
        mail_server.on_data = answers("250 OK")
        await post.alter(wanted.id, "next_attempt_at = now()")
        await becomes(post, wanted.id, "sent")
    assert [one["message-id"] for one in mail_server.messages] == [f"<{wanted.id}@tasks.example>"]
    outcomes = [line["outcome"] for line in caught if line["event"] == "mail.settled"]
    assert outcomes == ["postponed", "postponed", "sent"]


async def test_a_refusal_for_good_fails_at_once_and_no_line_names_the_address(post, mail_server, sending, lines):
    wanted = await post.put()
    mail_server.on_recipient = answers(f"550 5.1.1 <{wanted.to}> unknown")
    before = counted("reset_password", "failed")
    async with lines() as caught, sending(mail_server):
        await becomes(post, wanted.id, "failed")
    row = await post.row(wanted.id)
    assert (row["reason"], row["attempts"], row["token_sealed"]) == ("recipient_550", 1, None)
    (line,) = [line for line in caught if line["event"] == "mail.settled"]
    assert (line["log_level"], line["outcome"], line["reason"]) == ("error", "failed", "recipient_550")
    assert wanted.to not in json.dumps(caught, default=str)
    assert counted("reset_password", "failed") == before + 1


async def test_what_is_no_address_fails_without_a_conversation(post, mail_server, sending):
    wanted = await post.put(to="ada@example.com\r\nRCPT TO:<eve@example.com>")
    async with sending(mail_server):
        await becomes(post, wanted.id, "failed")
    assert (await post.row(wanted.id))["reason"] == "address"
    assert mail_server.recipients == []


async def test_a_conversation_that_breaks_off_is_begun_again(post, mail_server, sending):
    async def die(server):
        server.transport.abort()
        return "451 never seen"

    mail_server.on_data = die
    wanted = await post.put()
    async with sending(mail_server):

        async def postponed():
            return (await post.row(wanted.id))["reason"] == "SMTPServerDisconnected"

        await eventually(postponed)
        mail_server.on_data = answers("250 OK")
        await post.alter(wanted.id, "next_attempt_at = now()")
        await becomes(post, wanted.id, "sent")
    assert len(mail_server.to(wanted.to)) == 1


async def test_a_slow_server_holds_no_connection_to_the_database(post, mail_server, sending, rows):
    answer = asyncio.Event()

    async def slow(_server):
        await answer.wait()
        return "250 OK"

    mail_server.on_data = slow
    wanted = await post.put()
    async with sending(mail_server, seconds=10.0):
        await eventually(lambda: _true(mail_server.recipients))
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %'"
        assert await rows(query) == [(0,)]
        answer.set()
        await becomes(post, wanted.id, "sent")


async def test_r63_a_sender_that_is_told_to_end_finishes_what_is_under_way(post, mail_server, sending):
    answer = asyncio.Event()

    async def slow(_server):
        await answer.wait()
        return "250 OK"

    mail_server.on_data = slow
    wanted = await post.put()
    async with sending(mail_server, seconds=10.0):
        await eventually(lambda: _true(mail_server.recipients))
        asyncio.get_running_loop().call_later(0.3, answer.set)
    assert await post.state(wanted.id) == "sent"
    assert len(mail_server.to(wanted.to)) == 1


async def test_a_slow_server_is_given_up_and_tried_again(post, mail_server, sending):
    async def hang(_server):
        await asyncio.Event().wait()

    mail_server.on_data = hang
    wanted = await post.put()
    async with sending(mail_server, seconds=0.4):

        async def postponed():
            row = await post.row(wanted.id)
            return row["reason"] is not None and "Timeout" in row["reason"]

        await eventually(postponed)
    assert await post.waits_about(wanted.id, 5)


async def test_the_mail_of_a_sender_that_died_is_sent_when_its_lease_ends(database, post, mail_server, sending):
    wanted = await post.put()
    async with transaction(database) as session:
        (claimed,) = await service.claim_mails(session, limit=8)
    lease = (await post.row(wanted.id))["lease_until"] - utcnow()
    assert timedelta(seconds=50) < lease <= timedelta(seconds=61)
    async with sending(mail_server):
        other = await post.put()
        await becomes(post, other.id, "sent")
        assert await post.state(wanted.id) == "waiting"
        await post.alter(wanted.id, "lease_until = now()")
        await becomes(post, wanted.id, "sent")
    assert (await post.row(wanted.id))["attempts"] == 2
    async with transaction(database) as session:
        assert not await service.note_failed(session, mail_id=wanted.id, claim=claimed["claim"], reason="late")
    assert await post.state(wanted.id) == "sent"


async def test_who_has_lost_a_lease_notes_nothing_any_more(database, post):
    wanted = await post.put()
    async with transaction(database) as session:
        (first,) = await service.claim_mails(session, limit=8)
    await post.alter(wanted.id, "lease_until = now()")
    async with transaction(database) as session:
        (second,) = await service.claim_mails(session, limit=8)
    mine = {"mail_id": wanted.id, "claim": first["claim"]}
    async with transaction(database) as session:
        assert not await service.note_sent(session, **mine)
        assert not await service.note_failed(session, **mine, reason="late")
        assert not await service.note_postponed(session, **mine, delay=timedelta(0), reason="late")
    assert await post.row(wanted.id) == dict(second)
    async with transaction(database) as session:
        assert await service.note_sent(session, mail_id=wanted.id, claim=second["claim"])


async def test_a_mail_that_has_just_run_out_is_not_claimed(database, post):
    await post.put(expires_at=utcnow())
    async with transaction(database) as session:
        assert await service.claim_mails(session, limit=8) == []


async def test_an_outcome_is_noted_when_the_database_comes_back(post, mail_server, sending, lane, distant_database):
    async def cut(_server):
        await lane.cut()
        return "250 OK"

    mail_server.on_data = cut
    wanted = await post.put()
    async with sending(mail_server, on=distant_database):
        await eventually(lambda: _true(mail_server.messages))
        assert await post.state(wanted.id) == "waiting"
        await lane.restore()
        await becomes(post, wanted.id, "sent")
        mail_server.on_data = answers("250 OK")
        another = await post.put()
        await becomes(post, another.id, "sent")
    assert len(mail_server.to(wanted.to)) == 1


async def test_a_connection_that_is_lost_before_it_listens_ends_no_sender(post, mail_server, sending, distant_database):
    lost = []

    def lose(dbapi_connection, _record, _proxy):
        dbapi_connection.driver_connection.terminate()
        lost.append(dbapi_connection)

    event.listen(distant_database.writer.sync_engine, "checkout", lose, once=True)
    wanted = await post.put()
    async with sending(mail_server, on=distant_database):
        await becomes(post, wanted.id, "sent")
    assert len(lost) == 1


async def test_a_mail_that_is_of_no_use_any_more_is_not_sent(post, mail_server, sending):
    before = counted("reset_password", "expired")
    late = await post.put(expires_at=utcnow() - timedelta(seconds=1))
    async with sending(mail_server):
        await becomes(post, late.id, "expired")
        other = await post.put(expires_at=None)
        await becomes(post, other.id, "sent")
    row = await post.row(late.id)
    assert (row["token_sealed"], row["attempts"]) == (None, 0)
    assert mail_server.to(late.to) == []
    assert counted("reset_password", "expired") == before + 1


async def test_mails_are_given_up_and_claimed_in_one_transaction(post, mail_server, sending, rows):
    answer = asyncio.Event()

    async def slow(_server):
        await answer.wait()
        return "250 OK"

    mail_server.on_data = slow
    late, wanted = await post.put(expires_at=utcnow() - timedelta(seconds=1)), await post.put()
    async with sending(mail_server):
        await eventually(lambda: _true(mail_server.recipients))
        assert [await post.state(one.id) for one in (late, wanted)] == ["expired", "waiting"]
        assert len(await rows("SELECT DISTINCT xmin::text FROM notifications.mail_delivery")) == 1
        answer.set()
        await becomes(post, wanted.id, "sent")


async def test_a_mail_that_runs_out_while_it_waits_for_its_next_attempt_is_not_sent(post, mail_server, sending):
    mail_server.on_data = answers("451 later")
    wanted = await post.put()
    async with sending(mail_server):

        async def postponed():
            return (await post.row(wanted.id))["reason"] == "data_451"

        await eventually(postponed)
        mail_server.on_data = answers("250 OK")
        await post.alter(wanted.id, "expires_at = now(), next_attempt_at = now()")
        await becomes(post, wanted.id, "expired")
    assert mail_server.messages == []


async def test_without_a_mail_server_mails_wait_and_a_line_says_so(post, mail_server, sending, lines):
    wanted = await post.put()
    async with lines() as caught, sending(None):
        late = await post.put(expires_at=utcnow())
        await becomes(post, late.id, "expired")
    hints = [line["hint"] for line in caught if line["event"] == "mail.no_server"]
    assert hints == ["mails wait until SMTP_URL is set"]
    assert (await post.row(wanted.id))["attempts"] == 0
    async with sending(mail_server):
        await becomes(post, wanted.id, "sent")


async def test_a_token_of_another_key_or_another_mail_waits_for_its_key(post, mail_server, sending):
    wanted, other = post.new(), post.new()
    moved = await post.put(token_sealed=other.token_sealed)
    foreign = await post.put(**wanted.model_dump(exclude={"to"}))
    async with sending(mail_server, ring=KeyRing({"m1": b"z" * 32})):

        async def postponed():
            return {(await post.row(one.id))["reason"] for one in (moved, foreign)} == {"sealed"}

        await eventually(postponed)
    await post.alter(foreign.id, "next_attempt_at = now()")
    await post.alter(moved.id, "next_attempt_at = now()")
    async with sending(mail_server):
        await becomes(post, foreign.id, "sent")

        async def tried():
            return (await post.row(moved.id))["attempts"] == 2

        await eventually(tried)
    assert (await post.row(moved.id))["reason"] == "sealed"
    assert len(mail_server.messages) == 1


async def test_a_kind_of_a_newer_release_waits_and_is_no_metric_of_its_own(post, mail_server, sending):
    before = counted("unknown", "postponed")
    wanted = await post.put(kind="fax_received")
    async with sending(mail_server):

        async def postponed():
            return (await post.row(wanted.id))["reason"] == "unknown_kind"

        await eventually(postponed)
    assert counted("unknown", "postponed") == before + 1


async def test_a_mail_that_could_not_be_sent_for_a_day_is_given_up(post, mail_server, sending):
    mail_server.on_data = answers("451 later")
    wanted = await post.put(expires_at=None)
    await post.alter(wanted.id, f"attempts = {LAST_ATTEMPT - 1}")
    async with sending(mail_server):
        await becomes(post, wanted.id, "failed")
    row = await post.row(wanted.id)
    assert (row["reason"], row["token_sealed"], row["attempts"]) == ("data_451", None, LAST_ATTEMPT)


def test_delays_grow_to_an_hour_and_end_after_a_day():
    delays = [delay_after(attempts, chance=0.5) for attempts in range(1, LAST_ATTEMPT)]
    seconds = [delay.total_seconds() for delay in delays]
    assert seconds[:7] == [5, 30, 120, 600, 1800, 3600, 3600]
    assert set(seconds[5:]) == {3600}
    assert timedelta(hours=23) < sum(delays, timedelta()) <= timedelta(hours=24)
    assert delay_after(LAST_ATTEMPT, chance=0.5) is None
    assert [delay_after(1, chance=chance).total_seconds() for chance in (0, 1)] == [4, 6]


async def test_of_a_deleted_user_no_mail_is_kept_and_the_last_one_is_nobodys(
    publish, post, mail_server, sending, rows, deletion_of
):
    gone, other = uuid7(), await post.put()
    first = await post.put(user_id=gone)
    async with sending(mail_server):
        await becomes(post, first.id, "sent")
    await post.put(user_id=gone, kind="deletion_scheduled", token_sealed=None)
    last = await post.put(user_id=gone, kind="account_deleted", token_sealed=None, expires_at=None)
    await publish(deletion_of(gone))

    async def forgotten():
        return await rows("SELECT id FROM notifications.mail_delivery WHERE user_id = :id", id=gone) == [(last.id,)]

    await eventually(forgotten)
    async with sending(mail_server):
        await becomes(post, last.id, "sent")
        await becomes(post, other.id, "sent")
    assert [str(one["subject"]) for one in mail_server.to(last.to)] == ["Your account was deleted"]
    row, kept = await post.row(last.id), await post.row(other.id)
    assert (row["recipient"], row["display_name"], row["details"]) == ("", "", {})
    assert (kept["recipient"], kept["display_name"], kept["details"]) == (other.to, "Ada", other.details)


async def test_mails_are_forgotten_after_thirty_days(database, post, rows):
    old, recent, waiting = await post.put(), await post.put(), await post.put()
    await post.alter(old.id, "state = 'failed', settled_at = now() - interval '30 d 1 min'")
    await post.alter(recent.id, "state = 'sent', settled_at = now() - interval '29 d 23 h'")
    await post.alter(waiting.id, "requested_at = now() - interval '40 d'")
    (job,) = (job for job in jobs(30) if job.name == "purge-mails")
    async with transaction(database) as session:
        assert not await job.run(session)
    found = await rows("SELECT id FROM notifications.mail_delivery")
    assert {mail_id for (mail_id,) in found} == {recent.id, waiting.id}
