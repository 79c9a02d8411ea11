"""Secrets of webhooks at rest: sealed anew with the newest key, and a lost key is not passed over."""

import base64

import pytest
from chassis.db.sealed import check_sealed
from chassis.db.transactions import transaction
from chassis.sealing import KeyRing, SealError
from notifications_service.scheduler import jobs
from notifications_service.webhooks.repository import SECRETS
from notifications_service.webhooks.rules import secret_place
from testkit.jobs import run_to_end

OLD = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
NEW = f"k2:{base64.b64encode(bytes(range(32))).decode()}"


@pytest.fixture
async def webhook(owner):
    return await owner.create(scope={"type": "user"})


@pytest.fixture
def reseal(database, nothing_sealed):
    async def reseal(keys):
        await run_to_end(database, jobs(30, ring=KeyRing.parse(keys)), "reseal")

    return reseal


async def secrets_of(rows, webhook):
    query = "SELECT secret_sealed, old_secret_sealed, old_secret_until FROM notifications.webhook WHERE id = :i"
    [found] = await rows(query, i=webhook["id"])
    return found


async def test_r43_secrets_are_sealed_anew_with_the_newest_key(owner, webhook, reseal, rows):
    rotated = (await owner.post(f"/{webhook['id']}/rotate-secret")).json()["data"]
    await reseal(f"{NEW},{OLD}")
    sealed, old, _ = await secrets_of(rows, webhook)
    ring, place = KeyRing.parse(NEW), secret_place(webhook["id"])
    assert ring.open(sealed, place=place).decode() == rotated["secret"]
    assert ring.open(old, place=place).decode() == webhook["secret"]
    assert (await owner.get(f"/{webhook['id']}")).json()["data"]["version"] == 2
    before = await secrets_of(rows, webhook)
    await reseal(f"{NEW},{OLD}")
    assert await secrets_of(rows, webhook) == before


async def test_r43_a_secret_that_signs_no_more_is_forgotten(owner, webhook, database, rows):
    await owner.post(f"/{webhook['id']}/rotate-secret")
    await rows("UPDATE notifications.webhook SET old_secret_until = now()")
    await run_to_end(database, jobs(30), "purge-webhooks")
    assert (await secrets_of(rows, webhook))[1:] == (None, None)


async def test_r43_a_key_that_is_missing_is_told_at_the_start(webhook, reseal, database, rows):
    async with transaction(database) as session:
        await check_sealed(session, SECRETS, ring=KeyRing.parse(f"{NEW},{OLD}"))
        with pytest.raises(SealError, match="k1"):
            await check_sealed(session, SECRETS, ring=KeyRing.parse(NEW))
    before = await secrets_of(rows, webhook)
    await reseal(NEW)
    assert await secrets_of(rows, webhook) == before
