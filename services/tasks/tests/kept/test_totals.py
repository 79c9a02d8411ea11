"""A total that was counted is told again while nothing has changed of what its caller sees, and no longer."""

import asyncio
from uuid import UUID

import httpx2
from chassis.db.row_security import reading
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Paging
from chassis.web.health import Health
from tasks_service.db import ROW_SECURITY
from tasks_service.listing.access import asked_plainly
from tasks_service.listing.repository import find_page
from tasks_service.main import create_app
from tasks_service.totals.repository import Total
from testkit.contract import contract_client

FIRST = "/tasks?per_page=1"
OPEN = f"{FIRST}&status=todo"
LISTS = (
    FIRST,
    f"{FIRST}&page=2",
    OPEN,
    f"{FIRST}&status=done,todo&priority=none",
    f"{FIRST}&status_category=todo",
    f"{FIRST}&assignee=none",
    f"{FIRST}&is_archived=false",
)
WATCHING = ("owner", "member", "guest", "editor", "viewer", "stranger")


async def total(roster, who, asked=FIRST):
    answer = await roster.ask(who, "GET", asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["meta"]["total"]


async def counted(roster, who, asked=FIRST):
    """Return what a walk comes to, which counts nothing."""
    found = await roster.ask(
        who, "GET", asked.replace("per_page=1", "per_page=100").replace("&page=2", "") + "&cursor="
    )
    assert found.json()["meta"]["next_cursor"] is None
    return len(found.json()["data"])


async def test_d8_a_total_is_right_whatever_was_changed_and_by_whom(roster, changes):
    for who in WATCHING:
        for asked in LISTS:
            assert await total(roster, who, asked) == await counted(roster, who, asked)
    seen = {who: [await total(roster, who, FIRST)] for who in WATCHING}
    for by, method, path, body in changes:
        answer = await roster.ask(by, method, path, body)
        assert answer.status_code < 300, (method, path, answer.text)
        for who in WATCHING:
            for asked in LISTS:
                assert await total(roster, who, asked) == await counted(roster, who, asked), (who, asked, method, path)
            seen[who].append(await total(roster, who, FIRST))
    # They have seen something of it, each of them but who sees nothing.
    assert {who for who, totals in seen.items() if len(set(totals)) > 2} >= {"owner", "member", "guest"}
    assert set(seen["stranger"]) == {0}


async def test_d8_nothing_is_counted_while_nothing_has_changed(roster, place, rows):
    before = await total(roster, "owner")
    # Not as anything changes: it says nothing in the log.
    hide = "UPDATE tasks.task SET deleted_at = now() WHERE id = :id RETURNING 1"
    await rows(hide, id=place.tasks[0]["id"])
    assert await total(roster, "owner") == before
    assert await total(roster, "owner", f"{FIRST}&page=2") == before
    # Others have asked for nothing yet, nor has the owner for this.
    assert await total(roster, "admin") == before - 1
    assert await total(roster, "owner", OPEN) == before - 1
    await roster.task()
    assert await total(roster, "owner") == before


async def test_d8_the_database_counts_only_what_is_not_known(roster, place, database):
    caller = Principal(roster.ids["owner"], uuid7())
    query, plan, _ = asked_plainly({"per_page": ("1",)}).settled

    async def found(counted_at, page=1, per_page=1):
        async with reading(database, ROW_SECURITY.of(caller.user_id)) as connection:
            return await find_page(
                connection,
                caller=caller,
                reach=plan.reach,
                found=plan.found,
                sort=query.sort,
                paging=Paging(page, per_page, None),
                parameters=plan.parameters,
                exact_up_to=100,
                keeps=True,
                counted_at=counted_at,
            )

    counted = await found(None)
    assert counted.total == Total(10, is_estimate=False)
    known = await found(counted.log_at)
    assert (known.total, known.log_at) == (None, counted.log_at)
    # A page that is the last one tells the total itself.
    last = await found(counted.log_at, per_page=20)
    assert (last.total, last.log_at) == (counted.total, counted.log_at)
    await roster.task()
    changed = await found(counted.log_at)
    assert changed.total == Total(11, is_estimate=False)
    assert changed.log_at != counted.log_at


async def test_d8_tokens_for_different_parts_are_told_their_own(roster, place):
    def token(**bounds):
        return roster.gateway.token_headers(roster.ids["owner"], "tasks:read", **bounds)

    elsewhere = await roster.ok("owner", "POST", "/workspaces", {"name": "Elsewhere"})
    tokens = {
        "P": token(project_ids=[roster.project_id]),
        "Q": token(project_ids=[UUID(place.private)]),
        "here": token(workspace_id=roster.workspace_id),
        "elsewhere": token(workspace_id=UUID(elsewhere["id"])),
    }
    for _ in range(2):
        told = {}
        for name, own in tokens.items():
            told[name] = (await roster.api.get(f"/api/v1{FIRST}", headers=own)).json()["meta"]["total"]
        assert told == {"P": 4, "Q": 3, "here": 10, "elsewhere": 0}


async def test_d8_a_token_for_a_part_is_told_the_total_of_that(roster, place):
    owner = roster.ids["owner"]
    whole = roster.gateway.token_headers(owner, "tasks:read")
    part = roster.gateway.token_headers(owner, "tasks:read", project_ids=[roster.project_id])

    async def told(own):
        return (await roster.api.get(f"/api/v1{FIRST}", headers=own)).json()["meta"]["total"]

    assert [await told(one) for one in (whole, part, whole, part)] == [10, 4, 10, 4]
    await roster.task()
    await roster.task(project_id=place.other)
    assert [await told(one) for one in (part, whole)] == [5, 12]


async def test_d8_what_another_process_writes_is_counted(roster, place, settings, database, contract):
    before = await total(roster, "owner")
    app = create_app(settings, database=database, health=Health())
    other = contract_client(contract, transport=httpx2.ASGITransport(app=app), base_url="http://tasks")
    async with other as client:
        own = roster.gateway.headers(roster.ids["owner"])
        body = {"title": "A", "project_id": str(roster.project_id)}
        assert (await client.post("/api/v1/tasks", headers=own, json=body)).status_code == 201
    assert await total(roster, "owner") == before + 1


async def test_d8_totals_are_right_while_others_write(roster, place):
    is_done = asyncio.Event()

    async def look():
        told = []
        while not is_done.is_set():
            told.append(await total(roster, "owner"))
        return told

    async def write():
        for number in range(20):
            await roster.task(title=f"while others look, no. {number}")
            # What it has written itself is in it.
            assert await total(roster, "owner") > before + number

    before = await total(roster, "owner")
    looking = [asyncio.create_task(look()) for _ in range(3)]
    await asyncio.gather(write(), write())
    is_done.set()
    for told in await asyncio.gather(*looking):
        assert told == sorted(told)
        assert set(told) <= set(range(before, before + 41))
    assert await total(roster, "owner") == before + 40 == await counted(roster, "owner")
