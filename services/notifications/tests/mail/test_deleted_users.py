"""Of somebody who is gone no mail is kept, in whatever order the events come."""

import asyncio

import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.account_mail.consumers import on_account_mail
from testkit.waiting import eventually

KEPT = "SELECT id FROM notifications.mail_delivery WHERE user_id = :id ORDER BY id"

WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""


@pytest.fixture
def take(database):
    """Takes events in, each in a transaction of its own."""

    async def take(*events):
        for event in events:
            async with transaction(database) as session:
                await on_account_mail.handle(event, session)

    return take


async def test_a_mail_that_is_asked_for_after_the_end_is_not_kept_but_the_last_one_is(take, post, rows, deletion_of):
    gone, other = uuid7(), uuid7()
    late = post.new(user_id=gone)
    last = post.new(user_id=gone, kind="account_deleted", token_sealed=None, expires_at=None)
    of_other = post.new(user_id=other)
    await take(deletion_of(gone), deletion_of(gone))
    await take(post.event(late), post.event(last), post.event(of_other))
    assert await rows(KEPT, id=gone) == [(last.id,)]
    assert await rows(KEPT, id=other) == [(of_other.id,)]


async def test_a_mail_that_is_being_noted_while_its_user_is_deleted_goes_too(database, take, post, rows, deletion_of):
    gone = uuid7()
    mail = post.new(user_id=gone)
    async with transaction(database) as session:
        await on_account_mail.handle(post.event(mail), session)
        deletion = asyncio.create_task(take(deletion_of(gone)))

        async def waits():
            return await rows(WAITING) == [(1,)]

        await eventually(waits)
    await deletion
    assert await rows(KEPT, id=gone) == []
