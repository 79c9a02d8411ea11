"""A page of a list is told again while nothing has changed of what its caller sees, and no longer (ADR 19)."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import httpx2
import pytest
from chassis.web.health import Health
from prometheus_client import REGISTRY
from tasks_service.main import create_app
from testkit.contract import contract_client

ALL = "/tasks?per_page=100"
OPEN = f"{ALL}&status=todo"
LISTS = (
    ALL,
    OPEN,
    "/tasks?per_page=2&page=1&sort=title",
    "/tasks?per_page=2&page=2&sort=title",
    "/tasks?per_page=3&page=1&sort=title",
    f"{ALL}&sort=-updated_at&is_archived=false&assignee=none",
)
WATCHING = ("owner", "member", "guest", "stranger")
ROUTED = "archived=false"
"""Says what is so without it, and is none of the parameters of the shortcut, which alone keeps pages."""
HIDE = "UPDATE tasks.task SET title = 'by hand' WHERE id = :id RETURNING 1"
"""Not as anything changes: it says nothing in the log."""


async def page(roster, who, asked=ALL):
    answer = await roster.ask(who, "GET", asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    told["meta"].pop("request_id")
    return told


async def titles(roster, who, asked=ALL):
    return [one["title"] for one in (await page(roster, who, asked))["data"]]


@pytest.fixture
async def more_changes(roster, place):
    """What may change what is shown of tasks, in an order in which it can be done."""
    here = {"workspace_id": str(roster.workspace_id)}
    label = await roster.ok("owner", "POST", "/labels", {"name": "L", **here})
    category = await roster.ok("owner", "POST", "/categories", {"name": "C", **here})
    child = await roster.task(title="below", parent_id=place.tasks[0]["id"])
    first, second, member = place.path(0), place.path(1), roster.id("member")
    closing = {"operations": [{"op": "update", "id": place.tasks[2]["id"], "patch": {"custom": {"a": 1}}}]}
    return [
        ("owner", "PATCH", first, {"title": "other", "description": "much", "due": "2026-12-01"}),
        ("owner", "PATCH", first, {"labels": [label["id"]]}),
        ("owner", "DELETE", f"/labels/{label['id']}", None),
        ("owner", "PATCH", first, {"category_id": category["id"]}),
        ("owner", "DELETE", f"/categories/{category['id']}", None),
        ("owner", "PATCH", f"/tasks/{child['id']}", {"status": "done"}),
        ("owner", "PATCH", f"/tasks/{child['id']}", {"parent_id": place.tasks[1]["id"]}),
        ("owner", "DELETE", f"/tasks/{child['id']}", None),
        ("owner", "POST", f"{second}/position", {"after_id": place.tasks[3]["id"]}),
        ("owner", "PATCH", second, {"assignees": [member, roster.id("admin")]}),
        ("owner", "POST", "/tasks/bulk", closing),
        ("owner", "PATCH", f"/projects/{roster.project_id}", {"prefix": "OTHER"}),
        ("owner", "DELETE", f"/workspaces/{roster.workspace_id}/members/{member}", None),
    ]


async def hold(roster, changes):
    """Make changes, and see after each that everybody is shown by both ways the same; return what was shown of all."""
    shown = [{who: await page(roster, who) for who in WATCHING}]
    for by, method, path, body in changes:
        answer = await roster.ask(by, method, path, body)
        assert answer.status_code < 300, (method, path, answer.text)
        for who in WATCHING:
            for asked in LISTS:
                routed = await page(roster, who, f"{asked}&{ROUTED}")
                # The first may be kept from before, and the second is.
                assert [await page(roster, who, asked) for _ in range(2)] == [routed] * 2, (who, asked, method, path)
        shown.append({who: await page(roster, who) for who in WATCHING})
    return shown


async def test_d8_a_page_is_right_whoever_sees_what_was_changed(roster, changes):
    shown = await hold(roster, changes)
    different = {who: len({repr(one[who]) for one in shown}) for who in WATCHING}
    assert different.pop("stranger") == 1
    assert min(different.values()) > 2


async def test_d8_a_page_is_right_whatever_of_tasks_was_changed(roster, more_changes):
    shown = await hold(roster, more_changes)
    assert all(one["owner"] != before["owner"] for before, one in pairwise(shown))


OUTCOMES = ("unknown", "told_again", "changed", "not_looked_at")


def times(outcome):
    return REGISTRY.get_sample_value("taskloom_kept_pages_total", {"outcome": outcome}) or 0


async def test_d8_a_page_is_told_again_while_nothing_has_changed(roster, place, rows):
    before, counts = await page(roster, "owner"), [times(one) for one in OUTCOMES]
    await rows(HIDE, id=place.tasks[0]["id"])
    assert await page(roster, "owner") == before
    # Others have not asked yet, nor has the owner for anything else.
    assert "by hand" in await titles(roster, "admin")
    assert "by hand" in await titles(roster, "owner", OPEN)
    assert "by hand" not in await titles(roster, "owner")
    await roster.task(title="new")
    assert {"by hand", "new"} <= set(await titles(roster, "owner"))
    now = [times(one) for one in OUTCOMES]
    assert [after - once for after, once in zip(now, counts, strict=True)] == [2, 2, 1, 0]
    await page(roster, "owner")
    assert times("not_looked_at") - counts[3] == 1


async def test_o5_a_page_that_is_told_again_has_the_tag_of_the_first(roster, place):
    first, again = [await roster.ask("owner", "GET", ALL) for _ in range(2)]
    assert first.headers["etag"] == again.headers["etag"]
    assert [name for name, _ in first.headers.items()] == [name for name, _ in again.headers.items()]
    own = {**roster.gateway.headers(roster.ids["owner"]), "if-none-match": first.headers["etag"]}
    assert (await roster.api.get(f"/api/v1{ALL}", headers=own)).status_code == 304
    await roster.task()
    assert (await roster.api.get(f"/api/v1{ALL}", headers=own)).status_code == 200


async def test_d8_where_its_caller_is_is_as_it_is_now(roster, place, rows):
    assert (await page(roster, "owner", OPEN))["meta"]["timezone"] == "UTC"
    moved = (
        "INSERT INTO tasks.person (id, email_verified, kind, status, version, timezone)"
        " VALUES (:id, true, 'human', 'active', 1, 'Asia/Tokyo') RETURNING 1"
    )
    await rows(moved, id=roster.ids["owner"])
    told = [await page(roster, "owner", OPEN), await page(roster, "owner", f"{OPEN}&{ROUTED}")]
    assert told[0] == told[1]
    assert told[0]["meta"]["timezone"] == "Asia/Tokyo"


async def test_d8_tokens_for_different_parts_are_shown_their_own(roster, place):
    def token(**bounds):
        return roster.gateway.token_headers(roster.ids["owner"], "tasks:read", **bounds)

    private = httpx2.Headers(token(project_ids=[place.private]))
    tokens = [token(), token(project_ids=[roster.project_id]), private, token(workspace_id=roster.workspace_id)]
    for _ in range(3):
        told = [(await roster.api.get(f"/api/v1{ALL}", headers=own)).json() for own in tokens]
        assert [len(one["data"]) for one in told] == [10, 4, 3, 10]
        assert [one["meta"]["total"] for one in told] == [10, 4, 3, 10]


@pytest.fixture
async def another_process(settings, database, contract):
    """An app with a memory of its own, which keeps no pages."""
    nothing_kept = replace(settings, tasks=settings.tasks.model_copy(update={"kept_pages_mib": 0}))
    app = create_app(nothing_kept, database=database, health=Health())
    async with contract_client(contract, transport=httpx2.ASGITransport(app=app), base_url="http://tasks") as client:
        yield client


async def test_d8_what_another_process_writes_is_shown(roster, place, another_process):
    before = await titles(roster, "owner")
    own, body = roster.gateway.headers(roster.ids["owner"]), {"title": "A", "project_id": str(roster.project_id)}
    assert (await another_process.post("/api/v1/tasks", headers=own, json=body)).status_code == 201
    assert await titles(roster, "owner") == ["A", *before]


async def test_d8_no_page_is_kept_where_there_is_no_place_for_any(roster, place, another_process, rows):
    own = roster.gateway.headers(roster.ids["owner"])
    first = (await another_process.get(f"/api/v1{ALL}", headers=own)).json()
    await rows(HIDE, id=place.tasks[0]["id"])
    second = (await another_process.get(f"/api/v1{ALL}", headers=own)).json()
    assert first["data"] != second["data"]


@pytest.mark.parametrize("asked", ["watchers={owner}", "labels=none", "due_before=today()", "assignee=me"])
async def test_d8_what_depends_on_more_than_the_log_tells_is_not_kept(roster, place, rows, asked):
    await roster.task(title="due", due="2026-01-01", assignees=[roster.id("owner")])
    asked = asked.format(owner=roster.id("owner"))
    before = await page(roster, "owner", f"{ALL}&{asked}")
    assert before["data"]
    await rows(HIDE, id=before["data"][0]["id"])
    assert await page(roster, "owner", f"{ALL}&{asked}") != before


async def test_d8_what_is_asked_for_in_many_words_is_not_kept(roster, place, rows):
    asked = f"{ALL}&project_id={roster.project_id}&workspace_id={','.join([str(roster.workspace_id)] * 9)}"
    before = await page(roster, "owner", asked)
    await rows(HIDE, id=place.tasks[0]["id"])
    assert await page(roster, "owner", asked) != before


async def test_d8_pages_are_right_while_others_write(roster, place):
    is_done = asyncio.Event()

    async def look():
        seen = []
        while not is_done.is_set():
            seen.append(await titles(roster, "owner"))
        return seen

    async def write(name):
        for number in range(20):
            await roster.task(title=f"{name} {number}")
            # What it has written itself is in it.
            assert f"{name} {number}" in await titles(roster, "owner")

    before = await titles(roster, "owner")
    looking = [asyncio.create_task(look()) for _ in range(3)]
    await asyncio.gather(write("a"), write("b"))
    is_done.set()
    for seen in await asyncio.gather(*looking):
        assert set(before) <= set(seen[0])
        assert all(set(one) <= set(after) for one, after in pairwise(seen))
    assert await titles(roster, "owner") == await titles(roster, "owner", f"{ALL}&{ROUTED}")
